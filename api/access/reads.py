"""Reads that may look at a whole tree: those that take long get a lane and a time of their own, so that however many are asked
for at once, others are answered as before."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from schema.errors import Overloaded, Unavailable
from schema.settings import Settings
from schema.store import reads as store
from schema.store.pool import Pool

if TYPE_CHECKING:
    from schema.store.connection import Connection

T = TypeVar("T")

QUICK_SECONDS = 0.25
"""A read that takes no longer needs no lane. It can not be told beforehand: the same list is short here and long
there."""


class LongReads:
    """The lane of one process, used by its HTTP loop alone. The read that has waited longest goes first."""

    def __init__(self, pool: Pool, settings: Settings, refused: Callable[[str], None]) -> None:
        self._pool, self._refused = pool, refused
        self._wait_seconds, self._seconds = settings.read_wait_seconds, settings.read_seconds
        self._lane = asyncio.Semaphore(settings.long_reads)

    async def run(self, read: Callable[[Connection], Awaitable[T]]) -> T:
        """`read` only reads: it is begun anew where it turns out to take long. Raises Overloaded, Unavailable."""
        try:
            return await self._quickly(read)
        except _TakesLong:
            pass
        await self._turn()
        try:
            return await self._alone(read)
        finally:
            self._lane.release()

    async def _quickly(self, read: Callable[[Connection], Awaitable[T]]) -> T:
        async with self._pool.connection() as connection:
            try:
                return await _within(QUICK_SECONDS, read(connection))
            except _TakesLong as error:
                if connection.closed:  # the server did not even hear that it was to stop
                    raise Unavailable() from error
                raise

    async def _turn(self) -> None:
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._lane.acquire()
        except TimeoutError as error:
            self._refused("reads")
            raise Overloaded(
                "Too many long reads are under way. Send the same request again shortly, or ask for less: a path further "
                "down, a smaller depth, a shorter span."
            ) from error

    async def _alone(self, read: Callable[[Connection], Awaitable[T]]) -> T:
        """Runs on one processor, so that the lane uses as many processors of the server as it has places."""
        try:
            async with self._pool.connection() as connection, connection.transaction():
                await store.one_process(connection)
                return await _within(self._seconds, read(connection))
        except _TakesLong as error:
            self._refused("reads")
            raise Overloaded(
                f"This read was given up after {self._seconds:g} seconds. Ask for less: a path further down, a smaller "
                "depth, a shorter span, fewer conditions."
            ) from error


class _TakesLong(Exception):
    """A read was ended before its end."""


async def _within(seconds: float, read: Awaitable[T]) -> T:
    """The server is told to stop, too: psycopg cancels a statement whose caller is gone."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await read
    except TimeoutError as error:
        if limit.expired():
            raise _TakesLong from error
        raise
