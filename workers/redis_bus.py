"""Events to Redis: one pipelined PUBLISH per page, on the channel that subscribers know."""

import orjson
import redis.asyncio as redis

from schema.store.events import Event


class RedisBus:
    def __init__(self, url: str, channel: str) -> None:
        self._client = redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)
        self._channel = channel

    async def send(self, events: list[Event]) -> None:
        async with self._client.pipeline(transaction=False) as pipe:
            for event in events:
                pipe.publish(self._channel, message(event))
            await pipe.execute()

    async def ping(self) -> None:
        await self._client.ping()

    async def close(self) -> None:
        await self._client.aclose()


class InlineBus:
    """No Redis: the feed in Postgres is all there is, and whoever wants events reads them there."""

    async def send(self, events: list[Event]) -> None:
        pass

    async def ping(self) -> None:
        pass

    async def close(self) -> None:
        pass


def message(event: Event) -> bytes:
    """{"type", "data", "position"}: subscribers drop positions they have seen."""
    data = orjson.Fragment(event.data)
    return orjson.dumps({"type": event.type, "data": data, "position": event.position})
