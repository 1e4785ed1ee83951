"""Seal what the journal has, and copy the seals."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from schema.store import audit as store

if TYPE_CHECKING:
    from activities.audit.copies import SealCopies
    from schema.store.pool import Pool

log = structlog.get_logger("audit")

ENTRIES_MAX = 2000
"""Of one seal: it is made in some 50 ms, and holds up nothing but other seals."""
_COPIES = 1000


class Sealer:
    """One of several processes seals at a time; which one does not matter."""

    def __init__(self, pool: Pool, copies: SealCopies | None) -> None:
        self._pool, self._copies = pool, copies
        self._copied = 0

    async def run(self, seconds: float) -> None:
        """Until it is cancelled."""
        while True:
            try:
                await self.seal_due()
            except Exception as error:
                log.warning("sealing waits", error=repr(error))
            await asyncio.sleep(seconds)

    async def seal_due(self) -> int:
        """Seal all that is settled. How many seals it made."""
        made = 0
        while True:
            async with self._pool.connection() as connection:
                if await store.seal(connection, ENTRIES_MAX) is None:
                    break
            made += 1
        await self._copy()
        return made

    async def _copy(self) -> None:
        copies = self._copies
        if copies is None:
            return
        async with self._pool.connection() as connection:
            newest = await store.newest(connection)
            if newest is None or newest["number"] == self._copied:
                return
            last = await asyncio.to_thread(copies.last)
            rows = await store.to_copy(connection, last, _COPIES) if copies.every else [newest]
        if rows and rows[-1]["number"] > last:
            await asyncio.to_thread(copies.add, rows)
            self._copied = rows[-1]["number"]
