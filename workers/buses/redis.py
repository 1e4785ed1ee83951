"""Redis: events as one pipelined PUBLISH per page, on the channel that subscribers know; and beside it how far the feed has come,
for the processes that read the feed themselves."""

import os
import socket
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import redis.asyncio as redis

from schema.store.events import Event


@dataclass(frozen=True, slots=True)
class EventsStream:
    """A Redis stream with every event once: its id there is its position, and an id that is not higher is refused."""

    name: str
    length: int
    """About so many are kept; 0: all"""

    def add(self, pipe: Any, event: Event, sent: bytes) -> None:
        fields = {"type": event.type, "position": event.position, "event": sent}
        trimmed = {"maxlen": self.length, "approximate": True} if self.length else {}
        pipe.xadd(self.name, fields, id=f"{event.position}-0", **trimmed)


def _check(answers: Sequence[object]) -> None:
    """What was sent before is there already. Raises what else went wrong."""
    for answer in answers:
        if isinstance(answer, Exception) and "equal or smaller than the target stream top item" not in str(answer):
            raise answer


class RedisBus:
    def __init__(self, url: str, channel: str, stream: EventsStream | None = None) -> None:
        self._client = redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)
        self._channel, self._stream = channel, stream
        self._origin = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4()}"

    async def send(self, events: list[Event]) -> None:
        """The stream first: what it does not take (it is full, or the name is another thing's) is not published again and again."""
        messages = [message(event, self._origin) for event in events]
        async with self._client.pipeline(transaction=False) as pipe:
            if self._stream is not None:
                for event, sent in zip(events, messages, strict=True):
                    self._stream.add(pipe, event, sent)
                _check(await pipe.execute(raise_on_error=False))
            for sent in messages:
                pipe.publish(self._channel, sent)
            pipe.publish(positions(self._channel), events[-1].position)
            _check(await pipe.execute(raise_on_error=False))

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
