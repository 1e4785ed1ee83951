"""Redis: events as one pipelined PUBLISH per page, on the channel that subscribers know; and beside it how far the feed has come,
for the processes that read the feed themselves."""

import os
import socket
import uuid
from collections.abc import AsyncIterator

import orjson
import redis.asyncio as redis

from schema.store.events import Event


class RedisBus:
    def __init__(self, url: str, channel: str) -> None:
        self._client = redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)
        self._channel = channel
        self._origin = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4()}"

    async def send(self, events: list[Event]) -> None:
        async with self._client.pipeline(transaction=False) as pipe:
            for event in events:
                pipe.publish(self._channel, message(event, self._origin))
            pipe.publish(positions(self._channel), events[-1].position)
            await pipe.execute()

    async def ping(self) -> None:
        await self._client.ping()

    async def close(self) -> None:
        await self._client.aclose()


class InlineBus:
    """No Redis: the feed in Postgres is all there is, and consumers read events there."""

    async def send(self, events: list[Event]) -> None:
        pass

    async def ping(self) -> None:
        pass

    async def close(self) -> None:
        pass


class RedisWakeups:
    """`Wakeups` for the HTTP front: one message a page, however large its events are."""

    def __init__(self, url: str, channel: str) -> None:
        self._url, self._channel = url, positions(channel)

    async def listen(self) -> AsyncIterator[None]:
        client = redis.from_url(self._url, socket_connect_timeout=2, socket_keepalive=True)
        try:
            async with client.pubsub(ignore_subscribe_messages=True) as subscription:
                await subscription.subscribe(self._channel)
                async for _ in subscription.listen():
                    yield
        finally:
            await client.aclose()


def positions(channel: str) -> str:
    return f"{channel}:position"


def message(event: Event, origin: str) -> bytes:
    """{"origin", "event": {"type", "data"}, "position"}: subscribers look for `event`, and drop positions they have seen."""
    body = {"type": event.type, "data": orjson.Fragment(event.data)}
    return orjson.dumps({"origin": origin, "event": body, "position": event.position})
