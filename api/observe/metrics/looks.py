"""What has to be asked for: rarely, by one at a time, and so that a server or a disk that hangs holds up no scrape."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, TypeVar

import structlog

from api.services import MountSeen, ProcessVitals
from schema.store import bucket_notifications, metrics, object_locks, project_numbers, quotas, watchers
from schema.store import looks as drift
from schema.store import scrub as scrubs
from schema.store.bucket_notifications import NotificationsOfMount
from schema.store.looks import DriftOfMount
from schema.store.metrics import WorkCounts
from schema.store.object_locks import LockingMount
from schema.store.pool import Pool
from schema.store.project_numbers import NumbersOfProject
from schema.store.quotas import QuotaSeen
from schema.store.scrub import ScrubOfMount
from schema.store.watchers import WatchOfMount

T = TypeVar("T")

WORK_SECONDS = 5.0
SERVERS_SECONDS = 10.0
DRIFT_SECONDS = 15.0
"""An answer holds so long: more scrapes, and more scrapers, cause no more questions."""
PATIENCE_SECONDS = 2.0
"""A scrape waits no longer than this, and goes without."""
STALE_SECONDS = 30.0
"""An answer that is older is not shown any more, while the next one is still awaited."""

log = structlog.get_logger(__name__)


class Looked(Generic[T]):
    """The latest answer to one question. Lives on the HTTP loop."""

    def __init__(self, ask: Callable[[], Awaitable[T]], fresh_seconds: float) -> None:
        self._ask, self._fresh_seconds = ask, fresh_seconds
        self._known: T | None = None
        self._known_at = self._asked_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    async def answer(self) -> T | None:
        """None: there was no answer, or not in time."""
        if self._asking is None and monotonic() - self._asked_at >= self._fresh_seconds:
            self._asking = asyncio.create_task(self._look())
        if self._asking is not None:
            # The question belongs to no single scraper: when one goes away, the next one gets the answer.
            await asyncio.wait([self._asking], timeout=PATIENCE_SECONDS)
        return self._known if monotonic() - self._known_at < STALE_SECONDS else None

    async def _look(self) -> None:
        self._asked_at = monotonic()
        try:
            self._known, self._known_at = await self._ask(), monotonic()
        except Exception as error:
            log.warning("a look for the metrics failed", error=f"{type(error).__name__}: {error}")
            self._known = None
        finally:
            self._asking = None


class Looks:
    """Everything that is asked for. `vitals` is None where only the record is known."""

    def __init__(self, pool: Pool, vitals: ProcessVitals | None) -> None:
        self._pool, self._vitals = pool, vitals
        self.work: Looked[WorkCounts] = Looked(self._work, WORK_SECONDS)
        self.servers: Looked[dict[str, bool]] = Looked(self._servers, SERVERS_SECONDS)
        self.watches: Looked[list[WatchOfMount]] = Looked(self._watches, WORK_SECONDS)
        self.notifications: Looked[list[NotificationsOfMount]] = Looked(self._notifications, WORK_SECONDS)
        self.quotas: Looked[list[QuotaSeen]] = Looked(self._quotas, SERVERS_SECONDS)
        self.locks: Looked[list[LockingMount]] = Looked(self._locks, SERVERS_SECONDS)
        self.drift: Looked[list[DriftOfMount]] = Looked(self._drift, DRIFT_SECONDS)
        self.scrubs: Looked[list[ScrubOfMount]] = Looked(self._scrubs, SERVERS_SECONDS)
        self.projects: Looked[list[NumbersOfProject]] = Looked(self._projects, WORK_SECONDS)
        self.mounts: Looked[list[MountSeen]] = Looked(self._mounts, SERVERS_SECONDS)

    async def _work(self) -> WorkCounts:
        async with self._pool.connection(timeout=PATIENCE_SECONDS) as connection:
            return await metrics.work(connection)

    async def _watches(self) -> list[WatchOfMount]:
        async with self._pool.connection(timeout=PATIENCE_SECONDS) as connection:
            return await watchers.every(connection)

    async def _notifications(self) -> list[NotificationsOfMount]:
        async with self._pool.connection(timeout=PATIENCE_SECONDS) as connection:
            return await bucket_notifications.every(connection)

    async def _quotas(self) -> list[QuotaSeen]:
        async with self._pool.connection(timeout=PATIENCE_SECONDS) as connection:
            return await quotas.seen(connection)

    async def _locks(self) -> list[LockingMount]:
        async with self._pool.connection(timeout=PATIENCE_SECONDS) as connection:
            return await object_locks.every(connection)

    async def _drift(self) -> list[DriftOfMount]:
        async with self._pool.connection(timeout=PATIENCE_SECONDS) as connection:
            return await drift.numbers(connection)

    async def _scrubs(self) -> list[ScrubOfMount]:
        async with self._pool.connection(timeout=PATIENCE_SECONDS) as connection:
            return await scrubs.every(connection)

    async def _projects(self) -> list[NumbersOfProject]:
        async with self._pool.connection(timeout=PATIENCE_SECONDS) as connection:
            return await project_numbers.numbers(connection)

    async def _servers(self) -> dict[str, bool]:
        return {} if self._vitals is None else dict(await self._vitals.servers())

    async def _mounts(self) -> list[MountSeen]:
        return [] if self._vitals is None else list(await self._vitals.mounts())
