"""`sweep`: what a crash left on a mount, and what may be done at leisure: leftovers, orphaned stages, rollup deltas."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from temporalio import activity

from activities.commands.finish import Finish
from activities.executors.contract.abilities import OwnUploads, TrashByDay
from activities.executors.contract.executor import Executor
from schema.errors import FilestoreError, MountReadOnly, StorageFull
from schema.ids import CommandId, MountId, is_command_id
from schema.store import leftovers as leftover_store
from schema.store import rollups

if TYPE_CHECKING:
    from activities.ports import Executors
    from activities.threads import MountThreads
    from schema.store.pool import Pool


@dataclass(frozen=True, slots=True)
class Swept:
    cleared: int = 0
    stages: int = 0
    folded: int = 0


class Sweep:
    def __init__(
        self, pool: Pool, executors: Executors, threads: MountThreads, finish: Finish, stage_max_age_seconds: float
    ) -> None:
        self._pool, self._executors, self._threads = pool, executors, threads
        self._finish, self._max_age = finish, stage_max_age_seconds

    @activity.defn(name="sweep")
    async def sweep(self, mount: MountId) -> Swept:
        folded = await self._fold()
        await self._make_days(mount)
        cleared = await self._finish.clear(mount, None)
        stages = await self._clear_stages(mount)
        return Swept(cleared, stages, folded)

    async def _make_days(self, mount: MountId) -> None:
        """Today's and tomorrow's folder in the trash: a full storage can take in no new one, and then nothing could be deleted."""
        executor, now = self._executors.of(mount), datetime.now(UTC)
        if not isinstance(executor, TrashByDay):
            return
        for day in (now, now + timedelta(days=1)):
            try:
                await self._threads.run(mount, executor.make_day, f"{day:%Y-%m-%d}")
            except (StorageFull, MountReadOnly, PermissionError) as error:
                activity.logger.warning("the trash of %s could not be made for %s: %r", mount, day.date(), error)

    async def _fold(self) -> int:
        total = 0
        while True:
            async with self._pool.connection() as connection, connection.transaction():
                folded = await rollups.fold(connection)
            total += folded
            if folded == 0:
                return total

    async def _clear_stages(self, mount: MountId) -> int:
        async with self._pool.connection() as connection:
            await leftover_store.forget_stages(connection, mount)
        executor = self._executors.of(mount)
        # Strangers' files among the stages have no lock and no command; they are not ours to remove.
        found = await self._threads.run(
            mount, lambda: [(stage, age) for stage, age in executor.stages() if is_command_id(stage)]
        )
        old = [stage for stage, age in found if age > self._max_age]
        old += await self._ended(mount, [stage for stage, age in found if age <= self._max_age])
        removed = 0
        if isinstance(executor, OwnUploads):
            removed = await self._threads.run(mount, executor.sweep_uploads)
        for start in range(0, len(old), 500):
            removed += await self._clear_some(mount, executor, old[start : start + 500])
        return removed

    async def _ended(self, mount: MountId, young: list[CommandId]) -> list[CommandId]:
        """The stages whose commands are known to have ended: a crash came between the record and `finish`."""
        ended: list[CommandId] = []
        for start in range(0, len(young), 500):
            async with self._pool.connection() as connection:
                ended += await leftover_store.ended_stages(connection, mount, young[start : start + 500])
        return ended

    async def _clear_some(self, mount: MountId, executor: Executor, stages: list[CommandId]) -> int:
        """Under their locks: a stage that no process holds, and that no live command or leftover knows, has no owner."""
        locks = executor.locks()
        try:
            free = [stage for stage in stages if locks.take(stage)]
            async with self._pool.connection() as connection:
                live = await leftover_store.live_stages(connection, mount, free)
                dead = [stage for stage in free if stage not in live]
                await leftover_store.forget_interrupted(connection, dead)
            return await self._threads.run(mount, lambda: sum(_discard(executor, stage) for stage in dead))
        finally:
            locks.close()


def _discard(executor: Executor, stage: CommandId) -> bool:
    """Remove a stage. One that can not be removed is left to the next sweep, and holds up no other. Raises MountOffline
    where the mount is away."""
    try:
        return executor.discard_stage(stage, None)
    except (FilestoreError, OSError) as error:
        executor.check()
        activity.logger.warning("the stage %s can not be removed: %r", stage, error)
        return False
