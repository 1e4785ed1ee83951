"""`finish`: what may only happen after the record is durable: old content goes to the trash, stages of failures go away."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from temporalio import activity

from activities import items
from activities.commands.tasks import departure_of, task_of
from activities.executors.contract.executor import Executor, Locks
from activities.executors.contract.stage import Source
from activities.executors.contract.task import Done, Refused, Step, Task
from activities.executors.contract.trees import TreesByItem, trees_of
from activities.failures import passes
from schema.commands import intents
from schema.commands.payloads import CommandIds
from schema.errors import FilestoreError, VersionConflict, from_code
from schema.faults import areach, reach
from schema.ids import CommandId, MountId
from schema.store import leftovers as leftover_store
from schema.store import trees

if TYPE_CHECKING:
    from activities.ports import Executors
    from activities.threads import MountThreads
    from schema.store.pool import Pool


_PAGE = 1000
_CHANGED = frozenset(("VERSION_CONFLICT", "NODE_NOT_FOUND", "PARENT_NOT_FOUND", "NOT_A_DIRECTORY", "CHILDREN_EXIST"))
"""Refusals of a source that another program has changed or taken away before it could go"""


@dataclass(slots=True)
class _Cleared:
    """What became of leftovers."""

    done: list[int] = field(default_factory=list)
    """Their cleanups"""
    changed: list[CommandId] = field(default_factory=list)
    """Sources among them that another program had changed: those stay as they are"""
    problems: dict[int, str] = field(default_factory=dict)
    """What could not be cleared, and why"""

    def add(self, other: _Cleared) -> None:
        self.done += other.done
        self.changed += other.changed
        self.problems |= other.problems


class Finish:
    def __init__(self, pool: Pool, executors: Executors, threads: MountThreads) -> None:
        self._pool, self._executors, self._threads = pool, executors, threads

    @activity.defn(name="finish")
    async def finish(self, commands: CommandIds) -> int:
        return await self.clear(commands.mount_id, commands.ids)

    async def clear(self, mount: MountId, ids: Sequence[CommandId] | None) -> int:
        """Clear the leftovers of these commands, or (None) all that is due. Returns how many are done. What can not be cleared
        is tried again later and holds up no other; but where the mount itself is away this raises, and nothing is counted."""
        async with self._pool.connection() as connection:
            leftovers = await leftover_store.leftovers(connection, mount, ids)
        if not leftovers:
            return 0
        executor = self._executors.of(mount)
        by_item = [leftover for leftover in leftovers if _goes_by_item(executor, leftover)]
        others = [leftover for leftover in leftovers if not _goes_by_item(executor, leftover)]
        cleared = _Cleared()
        try:
            await self._clear_at_once(mount, executor, others, cleared)
            for leftover in by_item:
                await self._clear_by_item(mount, executor, leftover, cleared)
        finally:
            await self._close(leftovers, cleared)
        await areach("finish.closed")
        return len(cleared.done)

    async def _close(self, leftovers: Sequence[leftover_store.Leftover], cleared: _Cleared) -> None:
        departed = [leftover.row.id for leftover in leftovers if leftover.departs and leftover.cleanup in cleared.done]
        async with self._pool.connection() as connection, connection.transaction():
            for command in cleared.changed:
                await leftover_store.disown(connection, command)
            await trees.forget(connection, departed)
            await leftover_store.close_leftovers(connection, cleared.done)
            await leftover_store.postpone(connection, cleared.problems)

    async def _clear_at_once(
        self, mount: MountId, executor: Executor, leftovers: Sequence[leftover_store.Leftover], cleared: _Cleared
    ) -> None:
        """Uses some of the threads where storage answers several requests at once; the others are for the steps of the
        next list."""
        todo = deque(leftovers)
        width = max(1, min(executor.width // 2, len(todo)))
        parts = [_Cleared() for _ in range(width)]
        ended = await asyncio.gather(
            *(self._threads.run(mount, _clear, executor, todo, part) for part in parts), return_exceptions=True
        )
        for part in parts:
            cleared.add(part)
        for one in ended:
            if isinstance(one, BaseException):
                raise one  # all of them have ended: no thread holds a lock when it is tried again

    async def _clear_by_item(
        self, mount: MountId, executor: Executor, leftover: leftover_store.Leftover, cleared: _Cleared
    ) -> None:
        try:
            if await self._clear_items(mount, executor, leftover):
                cleared.done.append(leftover.cleanup)
        except Exception as error:
            if passes(error):  # Postgres is away, and this leftover is not to blame
                raise
            cleared.problems[leftover.cleanup] = await self._threads.run(mount, _problem, executor, leftover, error)

    async def _clear_items(self, mount: MountId, executor: Executor, leftover: leftover_store.Leftover) -> bool:
        """Page by page. Each is forgotten when it is cleared, so a worker goes on there after a crash. False: another process
        is at it."""
        row, by_item, run = leftover.row, trees_of(executor), self._threads.run
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
        return departs is not None and departs.tree and isinstance(executor, TreesByItem)
    return leftover.row.by_item


def _laid(executor: TreesByItem, task: Task, sources: Sequence[Source]) -> list[Source]:
    """Those of the sources that lie in the trash now. Another program has changed the others, and they stay where they are."""
    try:
        executor.lay(task, sources)
        return list(sources)
    except VersionConflict:
        if len(sources) == 1:
            return []
    half = len(sources) // 2
    return [*_laid(executor, task, sources[:half]), *_laid(executor, task, sources[half:])]


def _clear(executor: Executor, todo: deque[leftover_store.Leftover], cleared: _Cleared) -> None:
    """Take leftovers from the list until it is empty."""
    locks = executor.locks()
    try:
        while todo:
            try:
                leftover = todo.popleft()
            except IndexError:  # another thread took the last one
                break
            try:
                _clear_one(executor, locks, leftover, cleared)
            except Exception as error:
                cleared.problems[leftover.cleanup] = _problem(executor, leftover, error)
    finally:
        locks.close()


def _clear_one(executor: Executor, locks: Locks, leftover: leftover_store.Leftover, cleared: _Cleared) -> None:
    task = departure_of(leftover.row) if leftover.departs else task_of(leftover.row)
    if task is not None:
        if not locks.take(task.command):
            return
        if leftover.departs:
            result = executor.act(task)
            if isinstance(result, Refused) and result.code not in _CHANGED:
                raise from_code(result.code, result.message)  # it is still ours and has to go: later
            if not isinstance(result, Done):
                cleared.changed.append(task.command)
            executor.flush([task])
        executor.finish(task, leftover.succeeded)
        reach("finish.acted", task.path.text)
    cleared.done.append(leftover.cleanup)


def _problem(executor: Executor, leftover: leftover_store.Leftover, error: Exception) -> str:
    """The problem in words for a person. Raises MountOffline where the mount is away, so that this leftover is not to
    blame."""
    executor.check()
    activity.logger.warning("what %s left can not be cleared: %r", leftover.row.id, error)
    why = error.message if isinstance(error, FilestoreError) else f"{type(error).__name__}: {error}"
    return f"{leftover.row.path.text}: {why}"[:1000]
