"""`finish`: what may only happen after the record is durable: old content goes to the trash, stages of failures go away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from temporalio import activity

from activities.executors.base import Done, Executor
from activities.tasks import departure_of, task_of
from schema.commands import CommandIds
from schema.faults import areach, reach
from schema.ids import CommandId, MountId
from schema.store import commands as store

if TYPE_CHECKING:
    from activities.ports import Executors
    from activities.threads import MountThreads
    from schema.store.pool import Pool


class Finish:
    def __init__(self, pool: Pool, executors: Executors, threads: MountThreads) -> None:
        self._pool, self._executors, self._threads = pool, executors, threads

    @activity.defn(name="finish")
    async def finish(self, commands: CommandIds) -> int:
        return await self.clear(commands.mount_id, commands.ids)

    async def clear(self, mount: MountId, ids: Sequence[CommandId] | None) -> int:
        """Clear the leftovers of these commands, or (None) of all that have ended. Returns how many are done."""
        async with self._pool.connection() as connection:
            leftovers = await store.leftovers(connection, mount, ids)
        if not leftovers:
            return 0
        executor = self._executors.of(mount)
        cleared, changed = await self._threads.run(mount, _clear, executor, leftovers)
        async with self._pool.connection() as connection, connection.transaction():
            for command in changed:
                await store.disown(connection, command)
            await store.close_leftovers(connection, cleared)
        await areach("finish.closed")
        return len(cleared)


def _clear(executor: Executor, leftovers: list[store.Leftover]) -> tuple[list[int], list[CommandId]]:
    """Which of them are cleared, and the sources among them that somebody had changed: those stay as they are."""
    cleared: list[int] = []
    changed: list[CommandId] = []
    locks = executor.locks()
    try:
        for leftover in leftovers:
            task = departure_of(leftover.row) if leftover.departs else task_of(leftover.row)
            if task is not None:
                if not locks.take(task.command):
                    continue
                if leftover.departs:
                    if not isinstance(executor.act(task), Done):
                        changed.append(task.command)
                    executor.flush([task])
                executor.finish(task, leftover.succeeded)
                reach("finish.acted", task.path.text)
            cleared.append(leftover.cleanup)
    finally:
        locks.close()
    return cleared, changed
