"""`publish`: outbox rows get their positions, positioned rows go to Redis. At least once: the position is the event's id."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from temporalio import activity

from schema.faults import areach
from schema.store import events as store

if TYPE_CHECKING:
    from schema.store.pool import Pool

_PAGE = 1000


class Bus(Protocol):
    """Where events go: Redis, or nowhere in the inline mode."""

    async def send(self, events: list[store.Event]) -> None:
        """Raises when it is not sure that all have arrived."""
        ...


class Publish:
    def __init__(self, pool: Pool, bus: Bus) -> None:
        self._pool, self._bus = pool, bus
        self._wanted = asyncio.Event()

    def announce(self) -> None:
        """There is something to publish: `run` of this process does so at once. Nobody waits for it; a schedule sweeps."""
        self._wanted.set()

    @activity.defn(name="publish")
    async def publish(self) -> int:
        """Drain the feed. Returns how many events Redis got; 0 too when another process is at it."""
        async with self._pool.connection() as connection:
            if not await store.lock_feed(connection):
                return 0
            try:
                return await self._drain(connection)
            finally:
                await store.unlock_feed(connection)

    async def _drain(self, connection: Any) -> int:
        sent = 0
        while True:
            positioned = await store.give_positions(connection, _PAGE)
            await areach("publish.positioned")
            events = await store.unpublished(connection, _PAGE)
            if events:
                await self._bus.send(events)
                await areach("publish.sent")
                await store.published(connection, events[-1].position)
                sent += len(events)
            if positioned < _PAGE and len(events) < _PAGE:
                return sent

    async def run(self, pause_seconds: float = 0.2) -> None:
        """Drain whenever announced, at most once per pause: many lists share one round trip to Redis."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self.publish()
            except Exception as error:
                # Events wait in Postgres: the schedule tries again, and readiness tells that they wait.
                activity.logger.warning("publishing waits: %r", error)
            await asyncio.sleep(pause_seconds)
