"""A Redis stream of notifications: each entry has the JSON text in its field `notification`, and stays until it is done."""

from collections.abc import Sequence
from typing import Any

import redis.asyncio as redis

from schema.drift.notifications import QueuedNotification

_GROUP, _CONSUMER = "filestore", "watcher"
_WAIT_MS = 1000


class RedisNotifications:
    """One consumer of the name `watcher`: what it had not done when it died it gets again."""

    def __init__(self, url: str, stream: str) -> None:
        self._client = redis.from_url(url, socket_timeout=10, socket_connect_timeout=2, decode_responses=True)
        self._stream, self._made = stream, False

    async def take(self, most: int) -> Sequence[QueuedNotification]:
        await self._make()
        return await self._read("0", most) or await self._read(">", most)

    async def done(self, ids: Sequence[str]) -> None:
        if ids:
            await self._client.xack(self._stream, _GROUP, *ids)
            await self._client.xdel(self._stream, *ids)

    async def close(self) -> None:
        await self._client.aclose()

    async def _make(self) -> None:
        if self._made:
            return
        try:
            await self._client.xgroup_create(self._stream, _GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
        self._made = True

    async def _read(self, after: str, most: int) -> list[QueuedNotification]:
        block = _WAIT_MS if after == ">" else None
        answer: Any = await self._client.xreadgroup(_GROUP, _CONSUMER, {self._stream: after}, count=most, block=block)
        entries = answer[0][1] if answer else []
        return [QueuedNotification(id, (fields or {}).get("notification", "")) for id, fields in entries]
