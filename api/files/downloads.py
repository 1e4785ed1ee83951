"""Tell of complete downloads: `filestore.node.downloaded`, after the answer and beside it.

A download changes nothing, so no command, journal entry or transaction stands behind it, and none is waited for: what was
sent is noted in memory, and one task writes what has gathered, many events in one statement, ten times a second at most. If
Postgres is away or slow, or the process ends, events are lost, and never a download.
"""

import asyncio
from collections.abc import Callable
from typing import cast

import structlog
from starlette.requests import Request

from schema.store import downloads as store
from schema.store.downloads import DownloadEvent
from schema.store.pool import Pool

log = structlog.get_logger(__name__)

WAITING_MAX = 10_000
"""The most downloads that are noted and not written; further ones get no event."""
PART = 1000
GATHER_SECONDS = 0.1
"""How long events gather before they are written. One statement for each would cost a small file a third of its rate."""


class Downloads:
    """On the HTTP loop alone."""

    def __init__(self, pool: Pool, announce: Callable[[], None]) -> None:
        """`announce`: called when there are new events for Redis."""
        self._pool, self._announce = pool, announce
        self._waiting: list[DownloadEvent] = []
        self._untold = 0
        self._writing: asyncio.Task[None] | None = None

    def tell(self, download: DownloadEvent) -> None:
        """Returns at once, and never raises."""
        if len(self._waiting) >= WAITING_MAX:
            self._untold += 1
            return
        self._waiting.append(download)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        while self._waiting:
            await asyncio.sleep(GATHER_SECONDS)
            part, self._waiting = self._waiting[:PART], self._waiting[PART:]
            try:
                async with self._pool.connection() as connection:
                    await store.tell(connection, part)
                self._announce()
            except Exception as error:
                # Whatever it is: no download may fail of it, and trying again would only gather more.
                self._untold += len(part)
                log.warning("downloads are not told of", untold=self._untold, error=repr(error))


def downloads_of(request: Request) -> Downloads:
    return cast(Downloads, request.scope["app"].state.downloads)
