"""`stage`: what a command copies is staged, under its lock, before anything becomes visible. The long part of a copy."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from temporalio import activity

from activities import items
from activities.executors.contract.executor import Content, Executor, Fetch
from activities.executors.contract.identity import Identity
from activities.executors.contract.stage import Copied, Source
from activities.executors.contract.task import Step, Task
from activities.executors.contract.trees import TreesByItem, trees_of
from activities.executors.drafts import pour
from activities.progress import beat_once, counted, current, followed
from schema import errors
from schema.commands import intents
from schema.commands.command import Status
from schema.commands.intents import Appears, copied_of, is_tree
from schema.commands.payloads import Applied, Begun, Going, Staged
from schema.faults import areach
from schema.ids import CommandId, MountId
from schema.paths import NodePath
from schema.store import outcomes as outcome_store
from schema.store import record as record_store
from schema.store import trees

if TYPE_CHECKING:
    from activities.ports import Executors
    from activities.threads import MountThreads
    from schema.store.pool import Pool

_BEAT_SECONDS = 3.0
"""How often a long copy says that it is alive: to Temporal, and to the sweeper."""
_PAGE = 1000
_AT_ONCE = 6
"""Copies of one list: each takes a thread of the few that long work has on a mount."""


class StageCopies:
    def __init__(self, pool: Pool, executors: Executors, threads: MountThreads) -> None:
        self._pool, self._executors, self._threads = pool, executors, threads

    @activity.defn(name="stage")
    async def stage(self, begun: Begun) -> Staged:
        """Stage `begun.unstaged`, as many at once as storage takes. A failure ends its own command only, or its whole
        atomic list: nothing of them is visible."""
        staged = Staged(begun.mount_id, go=list(begun.go))
        room = asyncio.Semaphore(self._at_once(begun.mount_id))
        for result in await asyncio.gather(*(self._tried(begun, going, room) for going in begun.unstaged)):
            match result:
                case Going():
                    staged.go.append(result)
                case Applied():
                    staged.failed.append(result)
                case _:
                    staged.late.append(result)
        return _none_of(begun, staged) if begun.atomic and staged.failed else staged

    def _at_once(self, mount: MountId) -> int:
        try:
            return max(1, min(self._executors.of(mount).width, _AT_ONCE))
        except errors.FilestoreError:
            return 1  # each is told so

    async def _tried(self, begun: Begun, going: Going, room: asyncio.Semaphore) -> Going | Applied | CommandId:
        """Returns the command that can go on, or how it failed, or its id when another process is at it."""
        async with room:
            try:
                there = await self._stage_one(begun, going)
            except errors.FilestoreError as error:
                return _failed(going, error)
            except Exception:
                activity.logger.exception("staging %s failed", going.id)
                failure = errors.Unavailable("What was to be copied could not be staged. Nothing was changed.")
                return _failed(going, failure)
            return going if there else going.id

    async def _stage_one(self, begun: Begun, going: Going) -> bool:
        """False: another process is at it."""
        executor = self._executors.of(begun.mount_id)
        locks = await self._threads.run(begun.mount_id, executor.locks)
        copying: asyncio.Future[None] | None = None
        try:
            if not locks.take(going.id):
                return False
            async with self._pool.connection() as connection:
                rows = await record_store.read_running(connection, [going.id], raise_attempt=False)
            row = rows.get(going.id)
            if row is None or row.attempt != going.attempt or not row.unstaged:
                return True  # it went on without us; `apply` looks again
            work = self._lay if row.by_item else self._copy
            wanted = threading.Event()
            async with self._alive(going.id, wanted):
                copying = asyncio.ensure_future(work(begun.mount_id, executor, row, wanted))
                await asyncio.shield(copying)
            await areach("stage.recorded")
            return True
        finally:
            if copying is None or copying.done():
                locks.close()
            else:
                # Given up for dead while its thread goes on: no other attempt may stage this before that has ended.
                copying.add_done_callback(lambda _: locks.close())

    async def _copy(
        self, mount: MountId, executor: Executor, row: record_store.Row, interrupted: threading.Event
    ) -> None:
        """`interrupted`: its operation pauses, or is cancelled. What is staged stays for the next attempt."""
        loop = asyncio.get_running_loop()
        tree, planned, goes_on = is_tree(row.intent), 0, False
        if tree:
            async with self._pool.connection() as connection:
                planned, goes_on = await trees.plan(connection, row.id, items.planned_node(row))
        progress = current()
        progress.expect(planned + 1)

        def read() -> Iterator[Source]:
            """In the copying thread, page by page: a tree may be larger than memory."""
            yield _root(row)
            after: bytes | None = b""
            while planned and after is not None:
                page = asyncio.run_coroutine_threadsafe(self._page(row.id, after), loop).result()
                for entry in page:
                    if interrupted.is_set():
                        raise errors.Interrupted()
                    yield items.source_of(row, entry)
                after = page[-1].path if page else None

        def work() -> Copied:
            sources = followed(read(), row.path.text, progress, streamed=fetch is not None)
            for page in _pages(executor.stage_copy(row.id, sources, fetch, goes_on=goes_on)):
                below = [copy for copy in page if copy.relative]
                asyncio.run_coroutine_threadsafe(self._keep(row.id, below), loop).result()
            executor.seal([], [row.id])
            sealed = executor.find_stage(row.id)
            if sealed is None:
                raise errors.StageLost()
            return Copied(b"", _appears(row).kind, sealed)

        origin = self._origin(mount, row)
        fetch = counted(partial(fetched, origin), progress) if origin is not None else None
        if fetch is not None and not tree:
            progress.at(row.path.text)
            work = partial(transfer, fetch, executor, row)
        root = await self._threads.run(mount, work)
        await areach("stage.staged", row.path.text)
        async with self._pool.connection() as connection, connection.transaction():
            await trees.record_stage(connection, row.id, row.attempt, root.identity.facts(), tree=tree)

    def _origin(self, mount: MountId, row: record_store.Row) -> Executor | None:
        """Where the source lies, if that is another mount."""
        source = copied_of(row.intent)
        if source is None or source.mount in (None, mount):
            return None
        return self._executors.of(MountId(source.mount))

    async def _lay(
        self, mount: MountId, executor: Executor, row: record_store.Row, interrupted: threading.Event
    ) -> None:
        """A tree on storage that knows none: item by item to where it goes, page by page. A copy that is `interrupted` takes back
        what it laid, as one that fails."""
        by_item, task, files, after = trees_of(executor), items.task_of(row), 0, b""
        origin = self._origin(mount, row)
        progress = current()
        near = origin if origin is not None and by_item.reaches(origin) else None
        fetch = counted(partial(fetched, origin), progress) if origin is not None and near is None else None
        async with self._pool.connection() as connection:
            planned = await trees.plan_anew(
                connection, row.id, items.planned_node(row), deleted=task.step is Step.RESTORE
            )
        progress.expect(planned)
        await self._check_names(by_item, task, row)
        await self._threads.run(mount, by_item.begin_tree, task)
        while page := await self._page(row.id, after):
            if interrupted.is_set() and task.step is Step.CREATE:
                raise errors.Interrupted()
            sources = [items.source_of(row, entry) for entry in page]
            progress.at(f"{row.path.text}/{page[0].shown}")
            laid = await self._threads.run(mount, by_item.lay, task, sources, fetch, near)
            await self._keep(row.id, laid)
            await areach("stage.laid", row.path.text)
            files += sum(copy.kind != "directory" for copy in laid)
            progress.done(len(laid), 0 if fetch else sum(copy.size for copy in laid))
            after = page[-1].path
        await self._threads.run(mount, by_item.end_tree, task, files)
        async with self._pool.connection() as connection, connection.transaction():
            await trees.record_stage(connection, row.id, row.attempt, items.DIRECTORY.facts(), tree=True)

    async def _check_names(self, by_item: TreesByItem, task: Task, row: record_store.Row) -> None:
        """Checks the names of the whole tree, before anything is laid. Raises InvalidPath, and VersionConflict as
        `items.source_of`."""
        by_item.check_names(task, [])
        after = b""
        while page := await self._page(row.id, after):
            by_item.check_names(task, [items.source_of(row, entry) for entry in page])
            after = page[-1].path

    async def _page(self, command: CommandId, after: bytes) -> list[trees.Planned]:
        async with self._pool.connection() as connection:
            return await trees.page(connection, command, after, _PAGE)

    async def _keep(self, command: CommandId, copies: list[Copied]) -> None:
        async with self._pool.connection() as connection:
            await trees.keep(connection, command, [(copy.relative, copy.identity.facts()) for copy in copies])

    @asynccontextmanager
    async def _alive(self, command: CommandId, interrupted: threading.Event) -> AsyncIterator[None]:
        """Says so from time to time, and asks whether its operation wants it to stop."""

        async def beat() -> None:
            while True:
                await asyncio.sleep(_BEAT_SECONDS)
                beat_once()
                with suppress(Exception):  # the copy itself does not need Postgres now
                    async with self._pool.connection() as connection:
                        if await outcome_store.touch(connection, command):
                            interrupted.set()

        beating = asyncio.create_task(beat())
        try:
            yield
        finally:
            beating.cancel()


def fetched(origin: Executor, source: Source) -> Content:
    """Exactly the recorded version of a file on another mount, open for reading."""
    assert source.path is not None
    content = origin.open(source.path)
    if not source.identity.same_content(content.identity):
        content.close()
        raise _changed(source)
    return content


def _changed(source: Source) -> errors.FilestoreError:
    shown = source.path.text if source.path else ""
    return errors.VersionConflict(
        f"{shown} is not what the record knows. Reconcile it first; nothing was copied.", path=shown
    )


def transfer(fetch: Fetch, executor: Executor, row: record_store.Row) -> Copied:
    """A file from one mount to another: read, hashed and staged in one pass, and exactly the recorded version."""
    source, at = _root(row), NodePath(bytes.fromhex(_appears(row).at or ""))
    executor.discard_stage(row.id, None)
    content = fetch(source)
    try:
        stage = pour(content, executor.open_stage(row.id, at))
        whole = content.unchanged()
    finally:
        content.close()
    if not whole or source.sha256 not in (None, stage.sha256):
        executor.discard_stage(row.id, stage.identity)
        raise _changed(source)
    executor.seal([], [row.id])
    return Copied(b"", source.kind, stage.identity, source.identity.size, stage.sha256)


def _root(row: record_store.Row) -> Source:
    copies = _appears(row)
    source = copies.source
    assert source is not None, "only a copy is staged"
    return Source(
        b"",
        copies.kind,
        _identity(source),
        NodePath(bytes.fromhex(source.path)) if source.path is not None else None,
        bytes.fromhex(source.place) if source.place is not None else None,
        bytes.fromhex(source.sha256) if source.sha256 else None,
    )


def _appears(row: record_store.Row) -> Appears:
    assert isinstance(row.intent, Appears), "only what appears is staged"
    return row.intent


def _identity(source: intents.CopySource) -> Identity:
    assert source.identity is not None, "only what is certain is copied"
    identity = Identity.of_facts(source.identity)
    # On its way into the trash a file's change time moved: it says nothing there.
    return identity if source.place is None else replace(identity, ctime=0)


def _pages(copies: Iterable[Copied]) -> Iterator[list[Copied]]:
    """The last one, too, where they are interrupted."""
    page: list[Copied] = []
    try:
        for one in copies:
            page.append(one)
            if len(page) == _PAGE:
                yield page
                page = []
    except errors.Interrupted:
        yield page
        raise
    yield page


def _none_of(begun: Begun, staged: Staged) -> Staged:
    """Nothing of the list is visible, and nothing of it will be. `commit` writes the message."""
    failed = {item.id: item for item in staged.failed}
    return Staged(
        begun.mount_id,
        failed=[failed.get(g.id) or _failed(g, errors.NotAttempted()) for g in [*begun.go, *begun.unstaged]],
    )


def _failed(going: Going, error: errors.FilestoreError) -> Applied:
    return Applied(
        going.id, going.attempt, Status.FAILED, code=error.code, message=error.message, retryable=error.retryable
    )
