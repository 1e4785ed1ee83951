"""Notifications of buckets that no route takes: those of a queue; and our canaries, which tell whether any come."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from activities.executors.contract.abilities import Notifying
from activities.executors.contract.executor import Executor
from activities.threads import MountThreads
from schema.drift.notifications import NamedKey, QueuedNotification, named_keys
from schema.errors import InvalidRequest
from schema.ids import MountId
from schema.mounts import Mount
from schema.settings import Settings
from schema.store import bucket_notifications as store
from schema.store import mounts as mount_store
from schema.store.pool import Pool

log = structlog.get_logger("notifications")

_AGAIN_SECONDS = 5.0
_MOST_AT_ONCE = 100


class NotificationQueue(Protocol):
    """Where stores put their notifications, each until it is done."""

    async def take(self, most: int) -> Sequence[QueuedNotification]:
        """Those that are not done yet, the oldest first; waits for a moment where there is none."""
        ...

    async def done(self, ids: Sequence[str]) -> None: ...

    async def close(self) -> None: ...


async def follow(queue: NotificationQueue, pool: Pool, wanted: Callable[[Sequence[MountId]], None]) -> None:
    """Until it is cancelled. `wanted`: called with the mounts that a look is due at. What is no notification is dropped, and the
    log says so."""
    while True:
        try:
            taken = await queue.take(_MOST_AT_ONCE)
            named = [key for one in taken for key in _named(one)]
            async with pool.connection() as connection:
                wanted(await store.notice(connection, await mount_store.every(connection), named))
            await queue.done([one.id for one in taken])
        except Exception as error:
            log.warning("the queue of notifications waits", error=repr(error))
            await asyncio.sleep(_AGAIN_SECONDS)


def _named(one: QueuedNotification) -> list[NamedKey]:
    try:
        document = json.loads(one.text)
        return named_keys(document if isinstance(document, dict) else {})
    except (ValueError, InvalidRequest) as error:
        log.warning("a queued notification is dropped", id=one.id, cause=str(error))
        return []


class Canaries:
    """Of the mounts of this host that had notifications."""

    def __init__(
        self, settings: Settings, pool: Pool, threads: MountThreads, open_executor: Callable[[Mount, str], Executor]
    ) -> None:
        self._settings, self._pool, self._threads, self._open = settings, pool, threads, open_executor
        self._executors: dict[MountId, tuple[tuple[object, ...], Executor]] = {}

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                await self.put_due()
            except Exception as error:
                log.warning("canaries wait", error=repr(error))
            await asyncio.sleep(min(_AGAIN_SECONDS, self._settings.notifications_canary_seconds / 2))

    async def put_due(self) -> None:
        async with self._pool.connection() as connection:
            due = await store.canaries_due(connection, self._settings.notifications_canary_seconds)
            mounts = await mount_store.every(connection) if due else []
        here = [one for one in mounts if one.id in due and one.serving and one.host_id == self._settings.host_id]
        # At once: a bucket that does not answer holds up no other.
        puts = await asyncio.gather(
            *(self._threads.run(mount.id, self._put, mount) for mount in here), return_exceptions=True
        )
        async with self._pool.connection() as connection:
            for mount, put in zip(here, puts, strict=True):
                if isinstance(put, Exception):
                    log.info("a canary could not be written", mount=mount.id, error=repr(put))
                elif put:
                    await store.canary_put(connection, mount.id, due[mount.id])

    def _put(self, mount: Mount) -> bool:
        known = self._executors.get(mount.id)
        if known is None or known[0] != mount.place:
            known = self._executors[mount.id] = mount.place, self._open(mount, self._settings.spool_path)
        executor = known[1]
        if not isinstance(executor, Notifying):
            return False
        executor.put_canary()
        return True
