"""`apply`: the visible step of every command of a list, under its lock, with one flush for all."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

from temporalio import activity

from activities.commands.fresh import FreshAttempts
from activities.commands.tasks import task_of
from activities.executors.contract.executor import Executor, Locks
from activities.executors.contract.task import Done, Refused, Result, Task
from schema import errors
from schema.commands.command import Status
from schema.commands.payloads import Applied, AppliedList, Begun
from schema.faults import areach
from schema.ids import CommandId, MountId
from schema.store import record as record_store

if TYPE_CHECKING:
    from activities.ports import Executors
    from activities.threads import MountThreads
    from schema.store.pool import Pool

_STALL_SECONDS = 0.5
"""After so long without progress the rest of the list goes on in another thread."""


class Apply:
    def __init__(
        self,
        pool: Pool,
        executors: Executors,
        threads: MountThreads,
        fresh: FreshAttempts,
        deadline_seconds: float,
    ) -> None:
        self._pool, self._executors, self._threads = pool, executors, threads
        self._fresh, self._deadline = fresh, deadline_seconds

    @activity.defn(name="apply")
    async def apply(self, begun: Begun) -> AppliedList:
        try:
            executor, locks, mine = await self._threads.run(begun.mount_id, self._enter, begun)
        except errors.FilestoreError as error:
            return self._not_there(begun, error)
        late = [going.id for going in begun.go if going.id not in mine]
        try:
            rows, first = await self._fence(begun, mine)
        except BaseException:
            locks.close()
            raise
        await areach("apply.locked")
        tasks = {row.id: task_of(row, first=row.id in first) for row in rows.values()}
        walk = _Walk(executor, locks, [task for task in tasks.values() if task is not None])
        results = await self._within_deadline(begun.mount_id, walk)
        done = [
            _applied(row, results.get(row.id) if tasks[row.id] else Done(None))
            for row in rows.values()
            if row.id in results or tasks[row.id] is None
        ]
        late += [row.id for row in rows.values() if tasks[row.id] is not None and row.id not in results]
        await areach("apply.flushed")
        return AppliedList(begun.mount_id, done, late)

    def _enter(self, begun: Begun) -> tuple[Executor, Locks, set[CommandId]]:
        """In a thread, because a disk may hang. Checks that the mount is there, and takes the locks that no process holds."""
        executor = self._executors.of(begun.mount_id)
        executor.check()
        locks = executor.locks()
        return executor, locks, {going.id for going in begun.go if locks.take(going.id)}

    async def _fence(
        self, begun: Begun, mine: set[CommandId]
    ) -> tuple[dict[CommandId, record_store.Row], set[CommandId]]:
        """The rows, read under the locks: what has ended or went on under another attempt is left alone. And which of them
        no process has executed before."""
        first = {g.id: g.attempt for g in self._fresh.take(g for g in begun.go if g.id in mine)}
        later = {g.id: g.attempt for g in begun.go if g.id in mine and g.id not in first}
        rows: dict[CommandId, record_store.Row] = {}
        async with self._pool.connection() as connection:
            if first:
                read = await record_store.read_running(connection, list(first), raise_attempt=False)
                rows |= {key: row for key, row in read.items() if row.attempt == first[key]}
            if later:
                raised = await record_store.read_running(connection, list(later), raise_attempt=True)
                rows |= raised
                # Every execution of a long command raises its attempt: this number is that of the first one.
                first |= {
                    row.id: row.attempt
                    for row in raised.values()
                    if row.intent.long and row.attempt == row.intent.opened + 1
                }
        return rows, set(first)

    async def _within_deadline(self, mount: MountId, walk: _Walk) -> Mapping[CommandId, Result]:
        """Returns what is done in time. A stuck item keeps its thread and its lock; the items behind it get another
        thread."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._deadline
        threads: set[asyncio.Future[None]] = set()
        seen = -1
        while walk.unfinished and (left := end - loop.time()) > 0:
            more = walk.width if not threads else int(walk.ticks == seen)
            threads |= {asyncio.ensure_future(self._threads.run(mount, walk.run)) for _ in range(more)}
            seen = walk.ticks
            done, threads = await asyncio.wait(
                threads, timeout=min(_STALL_SECONDS, left), return_when=asyncio.FIRST_COMPLETED
            )
            for thread in done:
                thread.result()
        return walk.results_so_far()

    def _not_there(self, begun: Begun, error: errors.FilestoreError) -> AppliedList:
        """The mount is away: a first attempt did nothing; a later one can not know what an earlier one did."""
        first = self._fresh.take(begun.go)
        failed = [
            Applied(g.id, g.attempt, Status.FAILED, code=error.code, message=error.message, retryable=error.retryable)
            for g in first
        ]
        return AppliedList(begun.mount_id, failed, [g.id for g in begun.go if g not in first])


def _applied(row: record_store.Row, result: Result | None) -> Applied:
    match result:
        case Done():
            facts = result.identity.facts() if result.identity else None
            return Applied(
                row.id, row.attempt, Status.SUCCEEDED, facts,
                drift=result.drift, leaves=result.leaves or result.holds, holds=result.holds,
            )  # fmt: skip
        case Refused(code=code, message=message):
            retryable = errors.BY_CODE[code].retryable
            return Applied(row.id, row.attempt, Status.FAILED, code=code, message=message, retryable=retryable)
        case _:
            message = result.message if result else ""
            return Applied(row.id, row.attempt, Status.INCONSISTENT, code="VERSION_CONFLICT", message=message)


class _Walk:
    """A list of tasks on its way. Any number of threads may `run` it. The one that finds no more to do flushes for all."""

    def __init__(self, executor: Executor, locks: Locks, tasks: list[Task]) -> None:
        self._executor, self._locks = executor, locks
        self._guard = threading.Lock()
        self._todo = deque(tasks)
        self._acted: list[tuple[Task, Result]] = []
        self._results: dict[CommandId, Result] = {}
        self._left = len(tasks)
        self.width = max(1, min(executor.width, len(tasks)))
        """How many threads make it faster"""
        self.ticks = 0
        """Rises with everything that happens."""
        if not tasks:
            locks.close()

    @property
    def unfinished(self) -> bool:
        return self._left > 0

    def results_so_far(self) -> Mapping[CommandId, Result]:
        with self._guard:
            return dict(self._results)

    def run(self) -> None:
        while True:
            with self._guard:
                task = self._todo.popleft() if self._todo else None
            if task is None:
                break
            self._act(task)
        self._flush()

    def _act(self, task: Task) -> None:
        try:
            result = self._executor.act(task)
        except Exception:
            # It is not known what happened: the command stays running and is resumed.
            activity.logger.exception("apply of %s failed", task.command)
            self._let_go([task])
            return
        with self._guard:
            self._acted.append((task, result))
            self.ticks += 1

    def _flush(self) -> None:
        with self._guard:
            acted, self._acted = self._acted, []
        if not acted:
            return
        try:
            self._executor.flush([task for task, _ in acted])
        except Exception:
            # After a failed flush nothing is durable for sure, so no client is told: the commands are resumed.
            activity.logger.exception("flush of %d commands failed", len(acted))
        else:
            with self._guard:
                self._results.update({task.command: result for task, result in acted})
        self._let_go([task for task, _ in acted])

    def _let_go(self, tasks: list[Task]) -> None:
        for task in tasks:
            self._locks.release(task.command)
        with self._guard:
            self._left -= len(tasks)
            self.ticks += 1
            last = self._left == 0
        if last:
            self._locks.close()
