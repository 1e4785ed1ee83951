"""`finish`: what may only happen after the record is durable: old content goes to the trash, stages of failures go away."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from temporalio import activity

from activities import items
from activities.commands.tasks import departure_of, task_of
from activities.executors.base import Done, Executor, ItemByItem, Source, Step, Task
from schema.commands import intents
from schema.commands.payloads import CommandIds
from schema.errors import VersionConflict
from schema.faults import areach, reach
from schema.ids import CommandId, MountId
from schema.store import leftovers as leftover_store
from schema.store import trees

if TYPE_CHECKING:
    from activities.ports import Executors
    from activities.threads import MountThreads
    from schema.store.pool import Pool


_PAGE = 1000


class Finish:
    def __init__(self, pool: Pool, executors: Executors, threads: MountThreads) -> None:
        self._pool, self._executors, self._threads = pool, executors, threads

    @activity.defn(name="finish")
    async def finish(self, commands: CommandIds) -> int:
        return await self.clear(commands.mount_id, commands.ids)

    async def clear(self, mount: MountId, ids: Sequence[CommandId] | None) -> int:
        """Clear the leftovers of these commands, or (None) of all that have ended. Returns how many are done."""
        async with self._pool.connection() as connection:
            leftovers = await leftover_store.leftovers(connection, mount, ids)
        if not leftovers:
            return 0
        executor = self._executors.of(mount)
        by_item = [leftover for leftover in leftovers if _goes_by_item(executor, leftover)]
        others = [leftover for leftover in leftovers if not _goes_by_item(executor, leftover)]
        cleared, changed = await self._clear_at_once(mount, executor, others)
        cleared += [leftover.cleanup for leftover in by_item if await self._clear_items(mount, executor, leftover)]
        departed = [leftover.row.id for leftover in leftovers if leftover.departs and leftover.cleanup in cleared]
        async with self._pool.connection() as connection, connection.transaction():
            for command in changed:
                await leftover_store.disown(connection, command)
            await trees.forget(connection, departed)
            await leftover_store.close_leftovers(connection, cleared)
        await areach("finish.closed")
        return len(cleared)

    async def _clear_at_once(
        self, mount: MountId, executor: Executor, leftovers: Sequence[leftover_store.Leftover]
    ) -> tuple[list[int], list[CommandId]]:
        """In some threads, where storage answers several at once; the others are for the steps of the next list."""
        todo = deque(leftovers)
        width = max(1, min(executor.width // 2, len(todo)))
        told = await asyncio.gather(
            *(self._threads.run(mount, _clear, executor, todo) for _ in range(width)), return_exceptions=True
        )
        cleared, changed = list[int](), list[CommandId]()
        for one in told:
            if isinstance(one, BaseException):
                raise one  # all of them have ended: nobody holds a lock when it is tried again
            cleared += one[0]
            changed += one[1]
        return cleared, changed

    async def _clear_items(self, mount: MountId, executor: Executor, leftover: leftover_store.Leftover) -> bool:
        """Page by page, each forgotten when it is cleared: whoever goes on after a crash goes on there. False: another process
        is at it."""
        row, by_item, run = leftover.row, cast(ItemByItem, executor), self._threads.run
        task = departure_of(row, items=True) if leftover.departs else items.task_of(row)
        # What a copy laid stays, and what a move to another mount has laid is still to leave over there.
        stays = leftover.succeeded and task.step is Step.CREATE
        locks = await run(mount, executor.locks)
        try:
            if not locks.take(task.command):
                return False
            if leftover.departs:
                await run(mount, by_item.begin_tree, task)
            while not stays and (page := await self._remaining(task.command)):
                sources = [items.source_of(row, entry) for entry in page if entry.identity is not None]
                if leftover.departs:
                    sources = await run(mount, _laid, by_item, task, sources)
                await run(mount, by_item.clear_tree, task, sources, leftover.succeeded)
                await areach("finish.cleared", task.path.text)
                async with self._pool.connection() as connection:
                    await trees.cleared(connection, task.command, page[-1].path)
            await run(mount, executor.finish, task, leftover.succeeded)
            if stays and intents.departure_of(row.intent) is None:
                async with self._pool.connection() as connection:
                    await trees.forget(connection, [task.command])
            return True
        finally:
            locks.close()

    async def _remaining(self, command: CommandId) -> list[trees.Planned]:
        async with self._pool.connection() as connection:
            return await trees.remaining(connection, command, _PAGE)


def _goes_by_item(executor: Executor, leftover: leftover_store.Leftover) -> bool:
    if leftover.departs:
        departs = intents.departure_of(leftover.row.intent)
        return departs is not None and departs.tree and not executor.whole_trees
    return leftover.row.by_item


def _laid(executor: ItemByItem, task: Task, sources: Sequence[Source]) -> list[Source]:
    """Those of the sources that lie in the trash now. The others were changed by somebody, and stay where they are."""
    try:
        executor.lay(task, sources)
        return list(sources)
    except VersionConflict:
        if len(sources) == 1:
            return []
    half = len(sources) // 2
    return [*_laid(executor, task, sources[:half]), *_laid(executor, task, sources[half:])]


def _clear(executor: Executor, todo: deque[leftover_store.Leftover]) -> tuple[list[int], list[CommandId]]:
    """Take from what is to do until nothing is left. Which of those are cleared, and the sources among them that somebody
    had changed: those stay as they are."""
    cleared: list[int] = []
    changed: list[CommandId] = []
    locks = executor.locks()
    try:
        while todo:
            try:
                leftover = todo.popleft()
            except IndexError:  # another thread took the last one
                break
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
