"""`publish`: outbox rows get their positions, positioned rows go to Redis. At least once: the position is the event's id."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from temporalio import activity

from schema.faults import areach
from schema.locks import Lock
from schema.store import events as store

if TYPE_CHECKING:
    from schema.store.pool import Pool

_PAGE = 1000
_KEEP_SECONDS = 10.0
_OWED_SECONDS = 0.5
"""As much as some ten rounds of a busy machine owe"""


class Bus(Protocol):
    """Where events go: Redis, or nowhere in the inline mode."""

    async def send(self, events: list[store.Event]) -> None:
        """Raises when it is not sure that all have arrived."""
        ...


class Publish:
    def __init__(self, pool: Pool, bus: Bus) -> None:
        self._pool, self._bus = pool, bus
        self._wanted, self._unsent = asyncio.Event(), asyncio.Event()

    def announce(self) -> None:
        """Say that there is something to publish: `run` of this process does so at once. The caller does not wait for
        it."""
        self._wanted.set()

    @activity.defn(name="publish")
    async def publish(self) -> int:
        """Drain the feed. Returns how many events Redis got; 0 too when another process is at it."""
        await self.position()
        return await self.send()

    @activity.defn(name="keepPublishing")
    async def keep_publishing(self, seconds: float) -> int:
        """The same every few seconds, for so long since this was scheduled, or until this process ends. One run of a workflow
        for all that time: a run each time would be all that a person sees in Temporal."""
        end = activity.info().scheduled_time + timedelta(seconds=seconds)
        sent = 0
        while datetime.now(UTC) < end:
            try:
                sent += await self.publish()
            except Exception as error:
                activity.logger.warning("publishing waits: %r", error)
            with suppress(TimeoutError):
                async with asyncio.timeout(_KEEP_SECONDS):
                    await activity.wait_for_worker_shutdown()
                    break
        return sent

    async def position(self, *, announced: bool = False) -> store.Backlog:
        """Give positions to all events that can have one, and tell what still waits. `announced`: there are some, most likely."""
        async with self._pool.connection() as connection:
            if not announced:
                waiting = await store.waiting(connection)
                if not (waiting.unpositioned or waiting.unsettled):
                    return waiting
            if not await store.lock(connection, Lock.FEED):
                return await store.waiting(connection)
            try:
                while given := await store.give_positions(connection, _PAGE):
                    self._unsent.set()  # they go out while the journal is settled here
                    if given < _PAGE:
                        break
                await store.settle_entries(connection)
            finally:
                await store.unlock(connection, Lock.FEED)
            await areach("publish.positioned")
            return await store.waiting(connection)

    async def send(self) -> int:
        """Send what Redis has not had. Apart from the positions: a reader of the feed itself does not wait for Redis."""
        async with self._pool.connection() as connection:
            mine, events, more = await store.lock_unpublished(connection, _PAGE)
            if not mine:
                return 0
            sent = 0
            try:
                while events:
                    await self._bus.send(events)
                    await areach("publish.sent")
                    await store.published(connection, events[-1].position)
                    sent += len(events)
                    events, more = await store.unpublished(connection, _PAGE) if more else ([], False)
            finally:
                await store.unlock_bus(connection)
            return sent

    async def run(self, pause_seconds: float = 0.2, idle_seconds: float = 0.8) -> None:
        """Publish whenever announced, at the pace of `PublishPace`: few events at a time are there at once, and of many lists share
        one round trip. Without an announcement look now and then: events that a transaction held back, or whose process died
        after its commit, are not announced again."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_positioning(pause_seconds, idle_seconds))
            group.create_task(self._keep_sending(pause_seconds))

    async def _keep_positioning(self, pause_seconds: float, idle_seconds: float) -> None:
        patience, pace = idle_seconds, PublishPace(pause_seconds)
        while True:
            announced = await _within(patience, self._wanted)
            self._wanted.clear()
            patience, began = idle_seconds, monotonic()
            try:
                waiting = await self.position(announced=announced)
                if waiting.unpublished:
                    self._unsent.set()
                if announced and (waiting.unpositioned or waiting.unsettled):
                    patience = 0.0  # mostly a list that ends in a moment; what takes longer is looked for when idle
            except Exception as error:
                activity.logger.warning("giving positions waits: %r", error)
            await asyncio.sleep(pace.pause(began, monotonic()))

    async def _keep_sending(self, pause_seconds: float) -> None:
        pace = PublishPace(pause_seconds)
        while True:
            await self._unsent.wait()
            self._unsent.clear()
            began = monotonic()
            try:
                await self.send()
            except Exception as error:
                # Events wait in Postgres: the next look at the feed tries again, and readiness tells that they wait.
                activity.logger.warning("publishing waits: %r", error)
            await asyncio.sleep(pace.pause(began, monotonic()))


@dataclass(slots=True)
class PublishPace:
    """How long rounds of work pause, so that over a second they take a tenth of the time, of the processor and of Postgres. Each
    round owes nine times what it took, and time that passes without one pays for it; a pause comes only when more is owed than
    `_OWED_SECONDS`. So rounds that come now and then never pause, and rounds without end do, each as long as it owes."""

    longest: float
    owed: float = 0.0
    ended: float = 0.0
    """When the last round did"""

    def pause(self, began: float, now: float) -> float:
        """After a round."""
        idle = began - self.ended
        self.owed = min(max(0.0, self.owed - idle) + 9 * (now - began), _OWED_SECONDS + self.longest)
        self.ended = now
        return max(0.0, self.owed - _OWED_SECONDS)


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Waits for the event. True: it was set before the time was over."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
