"""Take back effects that can not be recorded. The locks of their commands are held until that is durable."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from activities.commands.tasks import task_of
from activities.executors.contract.executor import Executor
from activities.executors.contract.task import Done
from schema import errors
from schema.commands.command import Status
from schema.commands.payloads import Applied
from schema.ids import CommandId
from schema.store import record as record_store

if TYPE_CHECKING:
    from schema.store.pool import Pool

Run = Callable[[Callable[[], Any]], Awaitable[Any]]

_STANDS = "The command took effect but could not be recorded or taken back. Reconcile the path."


@asynccontextmanager
async def taken_back(
    pool: Pool, run: Run, executor: Executor, items: Sequence[Applied], effects: Sequence[CommandId]
) -> AsyncIterator[Mapping[CommandId, Applied] | None]:
    """What the `items` that had `effects` are now: taken back, with the identity of what lies at its old place again,
    or inconsistent. None: another attempt has them, and nothing was touched. `run` brings a thread of the mount.

    The locks of all items are held until the caller has recorded it: no other process may act on them meanwhile. If the
    process dies before that, the commands still run, and the worker that resumes them takes the steps anew. Raises
    Unavailable when another process holds one of the locks.
    """
    locks = await run(executor.locks)
    try:
        if not all([locks.take(item.id) for item in items]):
            raise errors.Unavailable("Another process is still at a command that is to be taken back.")
        async with pool.connection() as connection:
            rows = await record_store.read_running(connection, [item.id for item in items], raise_attempt=False)
        if any(item.id not in rows or rows[item.id].attempt != item.attempt for item in items):
            yield None
        else:
            acted = [(item, rows[item.id]) for item in items if item.id in set(effects)]
            yield await run(lambda: {item.id: _take_back(executor, item, row) for item, row in acted})
    finally:
        locks.close()


def _take_back(executor: Executor, item: Applied, row: record_store.Row) -> Applied:
    task = task_of(row)
    result = Done(None) if task is None else executor.reverse(task)
    if not isinstance(result, Done):
        doubt = replace(item, status=Status.INCONSISTENT, code=errors.VersionConflict.code, message=_STANDS)
        return replace(doubt, identity=None, drift=None, retryable=False)
    # Putting a file back moved its ctime: the record learns the new one, or the next command would take it for drift.
    identity = result.identity.facts() if result.identity else None
    replaced = None
    if task is not None and task.replaced is not None and task.target is not None:
        try:
            content = executor.open(task.target)
            replaced = content.identity.facts()
            content.close()
        except errors.FilestoreError as error:
            # Another program came right after us: then it is drift. If the look itself failed, all of it is tried again.
            if error.retryable:
                raise
    return replace(item, identity=identity, replaced=replaced, drift=None)
