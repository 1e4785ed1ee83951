"""The watches of a host: one for each local mount that takes commands, begun and ended as mounts come and go.

Every two seconds the mounts are read, and how each watch is is written. Where Postgres does not answer, the watches go on, and
what they gather waits.
"""

import asyncio
import os
import uuid
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import structlog

from activities.executors.local.watch.limit import WatchLimit
from activities.executors.local.watch.mount import Delivered, MountWatch
from activities.executors.local.watch.seen import SeenName
from schema.drift.fold import Breadth
from schema.drift.gather import Pace
from schema.ids import MountId
from schema.mounts import Mount
from schema.settings import Settings
from schema.store import mounts as mount_store
from schema.store import watchers as store
from schema.store.pool import Pool
from workers.watching.looks import LookStarts
from workers.watching.passing import pass_on

log = structlog.get_logger("watcher")

EVERY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class HeldWatch:
    place: tuple[object, ...]
    watch: MountWatch


class Watches:
    """On one loop, which `pool` belongs to."""

    def __init__(self, settings: Settings, pool: Pool, looks: LookStarts) -> None:
        self._settings, self._pool, self._looks = settings, pool, looks
        self._process = f"{os.getpid()}@{settings.host_id}/{uuid.uuid4().hex[:8]}"
        self._pace = Pace(
            quiet=settings.watch_quiet_seconds,
            rest=settings.watch_rest_seconds,
            longest=settings.watch_longest_seconds,
            unwatched=settings.watch_unwatched_seconds,
        )
        self._limit = WatchLimit(settings.watch_directories_max)
        self._held: dict[MountId, HeldWatch] = {}
        self._postgres_since: float | None = None
        self._failing = False

    async def run(self) -> None:
        """Until it is cancelled; then every watch ends."""
        try:
            while True:
                await self._once()
                await asyncio.sleep(EVERY_SECONDS)
        finally:
            await asyncio.gather(*(asyncio.to_thread(held.watch.stop) for held in self._held.values()))
            await self._leave()

    async def _once(self) -> None:
        try:
            async with self._pool.connection() as connection:
                mounts = await mount_store.every(connection)
            await self._follow([mount for mount in mounts if self._is_watched(mount)])
            await self._beat()
            self._failing = False
        except Exception as error:
            if not self._failing:
                log.warning("the watcher waits for Postgres", error=repr(error))
            self._failing = True

    def _is_watched(self, mount: Mount) -> bool:
        return mount.backend_kind == "local" and mount.host_id == self._settings.host_id and mount.serving

    async def _follow(self, mounts: Sequence[Mount]) -> None:
        there = {mount.id: (mount.mount_uuid, *mount.place) for mount in mounts}
        for id in [id for id, held in self._held.items() if held.place != there.get(id)]:
            await asyncio.to_thread(self._held.pop(id).watch.stop)
            log.info("a mount is not watched any more", mount=id)
        for mount in mounts:
            if mount.id not in self._held:
                self._held[mount.id] = HeldWatch(there[mount.id], self._started(mount))
                log.info("a mount is watched", mount=mount.id)

    def _started(self, mount: Mount) -> MountWatch:
        loop = asyncio.get_running_loop()

        def deliver(seen: Sequence[SeenName], breadth: Breadth) -> "Future[Delivered]":
            return asyncio.run_coroutine_threadsafe(self._pass_on(mount.id, seen, breadth), loop)

        return MountWatch(mount.root_path or "", mount.mount_uuid, deliver, self._pace, self._limit).start()

    async def _pass_on(self, mount: MountId, seen: Sequence[SeenName], breadth: Breadth) -> Delivered:
        delivered = await pass_on(self._pool, mount, seen, breadth)
        if delivered.hints:
            self._looks.wanted([mount])
        return delivered

    async def _beat(self) -> None:
        said = [
            {
                "mount": id, "phase": status.phase, "cause": status.cause, "lag": status.lag_seconds,
                "directories": status.directories, "unwatched": status.unwatched, "events": status.events,
                "lost": status.lost, "hints": status.hints, "own": status.own,
            }
            for id, status in ((id, held.watch.status()) for id, held in self._held.items())
        ]  # fmt: skip
        async with self._pool.connection() as connection:
            since = await store.beat(connection, self._settings.host_id, self._process, said)
        if self._postgres_since not in (None, since):
            log.warning("Postgres began anew: hints may be lost, and every mount is looked at")
            for held in self._held.values():
                held.watch.doubt()
        self._postgres_since = since

    async def _leave(self) -> None:
        """A courtesy: other processes see at once that this one is gone, and not only after some silence."""
        try:
            async with asyncio.timeout(1), self._pool.connection(timeout=1) as connection:
                await store.leave(connection, self._process)
        except Exception as error:
            log.info("the last sign of life stays", error=repr(error))
