"""The Timestore's consumer: a batch of the feed becomes rows of the lake, and its cursor moves in the same transaction there.

Events are gathered to batches of thousands or for a second, whichever comes first, because a commit of the lake takes some ten
milliseconds, however many rows it has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from activities.consumers.lake import Lake, LakeConflict, LakeFeed
from schema.consumers.following import Following
from schema.faults import areach
from schema.store import activity as store

if TYPE_CHECKING:
    from schema.store.connection import Connection
    from schema.store.pool import Pool

BATCH = 50_000
GATHERED = 2000
GATHER_SECONDS = 1.0

_COLUMNS = pa.schema(
    [
        ("position", pa.int64()), ("type", pa.string()), ("tenant", pa.string()), ("mount_id", pa.int64()),
        ("created_at", pa.timestamp("us", tz="UTC")), ("data", pa.string()),
    ]
)  # fmt: skip


def table(rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    """Position, type, tenant, mount, time and data of events."""
    columns = zip(*rows, strict=True) if rows else ([] for _ in _COLUMNS)
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, _COLUMNS, strict=True)], schema=_COLUMNS
    )


def reaching(page: pa.Table) -> ActivityBatch:
    """A page with the positions from which and to which it reaches."""
    reach = pc.min_max(page.column("position")).as_py()
    return ActivityBatch(reach["min"], reach["max"], page.num_rows, page)


@dataclass(frozen=True, slots=True)
class ActivityBatch:
    """`first` and `last`: the positions from which and up to which it reaches; None: there are no events."""

    first: int | None
    last: int | None
    rows: int
    table: pa.Table


class Timestore:
    name = "timestore"

    def __init__(
        self, pool: Pool, lake: Lake, keep_seconds: float, batch: int = BATCH, gather_seconds: float = GATHER_SECONDS
    ) -> None:
        """`keep_seconds`: so long a former state of the lake can still be read."""
        self._pool, self._lake, self._keep, self._batch, self._gather = pool, lake, keep_seconds, batch, gather_seconds
        assert isinstance(pool.conninfo, str), "DuckDB reads from the same database"
        self._feed = LakeFeed(pool.conninfo)
        self._turn = asyncio.Lock()
        """One call to the lake at a time"""
        self._took = monotonic()
        self._problem: str | None = None
        self._looked: datetime | None = None
        self._next: tuple[int, asyncio.Task[ActivityBatch]] | None = None
        """The batch after this position, on its way while the one before it is taken in"""

    async def step(self) -> int:
        """Take in the next batch; how many positions. 0: there is nothing, or another process is at it."""
        async with self._pool.connection() as connection:
            if not await store.lock(connection):
                return 0
            try:
                async with self._turn:
                    return await self._take(connection)
            except LakeConflict:
                return 0  # another process took it in
            finally:
                await store.unlock(connection)

    async def complain(self, problem: str) -> None:
        self._problem = problem

    async def state(self) -> Following:
        async with self._turn:
            cursor = await asyncio.to_thread(self._lake.cursor)
        async with self._pool.connection() as connection:
            ahead = await store.ahead(connection, cursor.position)
        idle = None if cursor.moved_at is None else (datetime.now(UTC) - cursor.moved_at).total_seconds()
        return Following(
            cursor.position,
            ahead.last,
            False,
            cursor.written,
            cursor.moved_at,
            self._looked,
            idle,
            ahead.lag_seconds,
            self._problem,
        )

    async def compact(self) -> None:
        """Merge small files. The work of a schedule."""
        async with self._turn:
            await asyncio.to_thread(self._lake.compact, self._keep)

    async def compact_every(self, seconds: float, said: Any) -> None:
        """Until it is cancelled. `said` is told of what fails, and it is tried again at the next time."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.compact()
            except Exception as error:
                said("the Timestore's files are not merged", error=repr(error))

    async def rebuild(self) -> int:
        """Write what the journal tells anew; how many rows that is. What no journal tells (downloads, drift) stays."""
        while await self.step():
            pass
        async with self._pool.connection() as connection:
            await store.hold(connection)
            try:
                async with self._turn:
                    cursor = await asyncio.to_thread(self._lake.cursor)
                    return await self._from_journal(connection, cursor.position)
            finally:
                await store.unlock(connection)

    async def _from_journal(self, connection: Connection, position: int) -> int:
        """All that the journal tells up to a position, written anew, and the cursor there. A page at a time is in memory."""
        loop = asyncio.get_running_loop()
        async with aclosing(store.journal(connection, position)) as told:

            async def following() -> list[store.Row] | None:
                return await anext(told, None)

            def pages() -> Iterator[pa.Table]:
                while (page := asyncio.run_coroutine_threadsafe(following(), loop).result()) is not None:
                    yield table(page)

            return await asyncio.to_thread(self._lake.rebuild, pages(), position)

    async def _take(self, connection: Connection) -> int:
        cursor = await asyncio.to_thread(self._lake.cursor)
        self._looked = datetime.now(UTC)
        batch = await self._batch_after(cursor.position)
        if batch.rows < GATHERED and batch.last and (early := self._took + self._gather - monotonic()) > 0:
            await asyncio.sleep(early)
            batch = await self._read(cursor.position)
        self._problem = None
        gone = await store.gone(connection) if batch.first is None else batch.first - 1
        if gone > cursor.position:
            # It was off for longer than events are kept: what they told of commands is in the journal.
            await self._from_journal(connection, gone)
            return gone - cursor.position
        if batch.last is None:
            return 0
        if batch.rows == self._batch:
            self._next = batch.last, asyncio.create_task(self._read(batch.last))
        await asyncio.to_thread(self._lake.take, batch.table, cursor.position, batch.last)
        await areach("timestore.taken")
        self._took = monotonic()
        return batch.last - cursor.position

    async def _batch_after(self, position: int) -> ActivityBatch:
        """The next batch; it may have been read while the one before it was taken in."""
        ahead, self._next = self._next, None
        if ahead is not None and ahead[0] == position:
            return await ahead[1]
        if ahead is not None:
            ahead[1].cancel()
        return await self._read(position)

    async def _read(self, position: int) -> ActivityBatch:
        return reaching(await asyncio.to_thread(self._feed.read, store.page(position, self._batch)))
