"""`import`: what a scan of the storage sees becomes nodes, page by page; then, where that is wanted, contents get their hashes.

A page and the place where the scan goes on are one transaction. It holds the operation's row, so that a pause that was
answered is kept, and no lock of the mount but for its last moment: single commands go on meanwhile, and a name that one of
them is at is looked at again when that has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, suppress
from time import monotonic, time
from typing import TYPE_CHECKING, Any
from uuid import UUID

from temporalio import activity

from activities.executors.contract.abilities import Counting
from activities.executors.contract.listing import ScanPage
from activities.operations.import_hashes import hash_contents
from activities.operations.import_turns import ImportStopped, ImportTurn, counted, goes_on, lock_turn
from schema import errors
from schema.faults import areach
from schema.ids import new_command_id
from schema.operations import imports as judging
from schema.operations.imports import ImportItem, JudgedPage, within
from schema.operations.operation import ItemState, Operation
from schema.paths import NodePath
from schema.store import imports as store
from schema.store import operation_turns as turn_store
from schema.store import operations as operation_store
from schema.store.begin import lock_mounts
from schema.store.imports import Stamp

if TYPE_CHECKING:
    from activities.ports import Executors
    from activities.threads import MountThreads
    from schema.store.connection import Connection
    from schema.store.pool import Pool

PAGE = 10_000
"""Names in one transaction"""
_LOOKS_MOST = 12
"""So often a name that commands are at is looked at again: about a minute and a half."""
_AGAIN = 100
"""So many of them in one turn"""
_OTHERS_CAME = ("23505", "40P01")
"""What Postgres says when others record the same name: a second living node, or two transactions that wait for each other"""
_TRIES = 5
"""A page that commands came into is written anew without their names, so often"""


class _Touched(Exception):
    """Commands were at names of this page while it was written."""

    def __init__(self, paths: set[bytes]) -> None:
        self.paths = paths


class ImportTree:
    def __init__(self, pool: Pool, executors: Executors, threads: MountThreads, announce: Callable[[], None]) -> None:
        self._pool, self._executors, self._threads, self._announce = pool, executors, threads, announce

    @activity.defn(name="import")
    async def import_tree(self, id: str) -> float:
        """Go on for a while. Returns for how many seconds there is nothing to do."""
        try:
            turn = await self._turn(id)
            if not turn.cursor.get("scanned"):
                await self._scan(turn)
            elif not turn.cursor.get("settled"):
                return await self._look_again(turn)
            else:
                await hash_contents(self._pool, self._threads, turn)
        except ImportStopped:
            return 0.0
        except (errors.MountOffline, errors.Unavailable) as error:
            activity.logger.warning("an import waits for its mount: %s", error.message)
            return 3.0
        return 0.0

    async def _turn(self, id: str) -> ImportTurn:
        async with self._pool.connection() as connection, connection.transaction():
            locked = await operation_store.lock(connection, id)
            if locked is None or not goes_on(locked.operation):
                raise ImportStopped
            operation, refused = locked.operation, await store.refused(connection, id)
        cursor = dict(locked.cursor or {})
        return ImportTurn(operation, self._executors.of(operation.mount_id), cursor, refused, bool(cursor))

    # -- what lies there -----------------------------------------------------------------------------------------------

    async def _scan(self, turn: ImportTurn) -> None:
        begun = after = bytes.fromhex(turn.cursor.get("after", ""))
        try:
            await self._count(turn)
            async with aclosing(self._pages(turn, turn.operation.path, after)) as pages:
                async for page, stamp in pages:
                    await self._write(turn, page, stamp, _moved(turn.cursor, page))
                    turn.again = turn.again and page.cursor == begun
                    # In the middle of a directory the next turn would begin it anew.
                    if page.cursor != after and (monotonic() > turn.until or _pace(turn.operation, 1) > 0):
                        return
                    after = page.cursor
        except errors.NodeNotFound as error:
            item = ImportItem(turn.operation.path.raw, "special", ItemState.FAILED, error.code, error.message)
            return await self._close(turn, [item])
        await self._close(turn, [])

    async def _count(self, turn: ImportTurn) -> None:
        """About how many names there are, where the storage knows it: it says how long the scan takes."""
        executor, root = turn.executor, not turn.operation.path.raw
        if not turn.cursor and root and isinstance(executor, Counting):
            names = await self._threads.run(turn.operation.mount_id, executor.names)
            turn.cursor |= {} if names is None else {"names": names}

    async def _pages(
        self, turn: ImportTurn, path: NodePath, after: bytes
    ) -> AsyncGenerator[tuple[ScanPage, Stamp], None]:
        """Each page with the stamp that was taken before it was read; the next one is read meanwhile."""
        rate = turn.operation.options.files_per_second
        most = PAGE if rate is None else max(1, min(PAGE, int(rate)))
        mount, scan = turn.operation.mount_id, turn.executor.scan(path, after, most)

        async def read() -> tuple[ScanPage | None, Stamp]:
            async with self._pool.connection() as connection:
                stamp = await store.stamp(connection, mount)
            return await self._threads.run(mount, next, scan, None), stamp

        reading = asyncio.create_task(read())
        try:
            while True:
                page, stamp = await reading
                if page is None:
                    return
                reading = asyncio.create_task(read())
                yield page, stamp
        finally:
            with suppress(Exception):
                await reading
            await self._threads.run(mount, _close, scan)

    async def _write(
        self, turn: ImportTurn, page: ScanPage, stamp: Stamp, cursor: dict[str, Any], *, item: int | None = None
    ) -> set[bytes]:
        """The names in it that wait. Raises ImportStopped."""
        busy = set(stamp.claimed)
        for _ in range(_TRIES):
            try:
                async with self._pool.connection() as connection, connection.transaction():
                    waits = await self._write_in(connection, turn, page, stamp, busy, cursor, item)
                break
            except _Touched as error:
                busy |= error.paths
            except Exception as error:
                if getattr(error, "sqlstate", None) not in _OTHERS_CAME:
                    raise
                activity.logger.info("a name of this page was recorded meanwhile; the page is written anew")
                turn.fresh.clear()
        else:
            raise errors.PathBusy("Commands came into each attempt to write this page. It is tried again.")
        turn.cursor = cursor
        self._announce()
        await areach("import.page")
        return waits

    async def _write_in(
        self, connection: Connection, turn: ImportTurn, page: ScanPage, stamp: Stamp, busy: set[bytes],
        cursor: dict[str, Any], item: int | None,
    ) -> set[bytes]:  # fmt: skip
        turn.operation = operation = await lock_turn(connection, turn)
        mount = operation.mount_id
        now_busy, _ = await store.touched(connection, mount, stamp)
        seen, now = await _judged(connection, turn, page, busy | now_busy)
        new, size = seen.new, 0
        if new:
            size = await store.put_nodes(connection, operation, UUID(new_command_id()), new, now)
        await areach("import.written")
        await lock_mounts(connection, [mount])
        late, arrived = await store.touched(connection, mount, stamp)
        late -= busy | now_busy
        if late and any(within(node.found.path, late) for node in new):
            raise _Touched(late)
        if item is not None:
            await store.seen_again(connection, operation.id, item)
        waits = seen.waits | {path for path in arrived if _inside(path, operation.path.raw)}
        items = [*seen.items, *_unseen(page), *map(judging.waiting, sorted(waits))]
        states = await store.put_items(connection, operation.id, items, again=turn.again or bool(waits))
        cursor["known"] = turn.cursor.get("known", 0) + seen.already
        pace = _pace(operation, len(page.entries))
        await store.advance(connection, operation.id, cursor, done=len(new), size=size, items=states, seconds=pace)
        turn.fresh.update(node.found.path for node in new if node.found.kind == "directory")
        return waits

    async def _close(self, turn: ImportTurn, items: list[ImportItem]) -> None:
        """All is seen."""
        cursor = {**counted(turn.cursor), "scanned": True, "scanned_at": time()}
        async with self._pool.connection() as connection, connection.transaction():
            operation = await lock_turn(connection, turn)
            states = await store.put_items(connection, operation.id, items, again=True)
            if not await turn_store.anything_left(connection, operation):
                cursor |= _settled(operation)
            await store.advance(connection, operation.id, cursor, items=states)

    # -- what waited for commands --------------------------------------------------------------------------------------

    async def _look_again(self, turn: ImportTurn) -> float:
        async with self._pool.connection() as connection, connection.transaction():
            operation = await lock_turn(connection, turn)
            waiting = await store.waiting(connection, operation.id, _AGAIN)
            await store.defer(connection, operation.id, [item for item, _ in waiting], _LOOKS_MOST)
            if not waiting:
                if await turn_store.anything_left(connection, operation):
                    return 0.5
                await store.advance(connection, operation.id, counted(turn.cursor) | _settled(operation))
        for item, path in waiting:
            await self._look_at(turn, item, NodePath(path))
        return 0.0

    async def _look_at(self, turn: ImportTurn, item: int, path: NodePath) -> None:
        """A name, and all below it. Nothing there: the command took it away."""
        turn.again, waits = True, set[bytes]()
        turn.fresh.clear()  # what leads to a name is told again
        with suppress(errors.NodeNotFound):
            async with aclosing(self._pages(turn, path, b"")) as pages:
                async for page, stamp in pages:
                    waits |= await self._write(turn, page, stamp, counted(turn.cursor))
        if not within(path.raw, waits):
            async with self._pool.connection() as connection:
                stamp = await store.stamp(connection, turn.operation.mount_id)
            await self._write(turn, ScanPage((), b""), stamp, counted(turn.cursor), item=item)


async def _judged(connection: Connection, turn: ImportTurn, page: ScanPage, busy: set[bytes]) -> tuple[JudgedPage, int]:
    """And the time of the transaction, as new nodes are written with it."""
    above = {entry.path.rpartition(b"/")[0] for entry in page.entries}
    folders = await store.folders(connection, turn.operation.mount_id, above)
    older = {path: folder for path, folder in folders.items() if path not in turn.fresh}
    known = await store.known(connection, page.entries, older)
    ids, now = await store.fresh_ids(connection, len(page.entries) - len(known))
    seen = JudgedPage(folders, known, busy, turn.refused, ids)
    for entry in page.entries:
        seen.add(entry)
    return seen, now


def _unseen(page: ScanPage) -> Iterator[ImportItem]:
    return (ImportItem(one.path, "special", ItemState.FAILED, one.code, one.message) for one in page.unseen)


def _moved(cursor: dict[str, Any], page: ScanPage) -> dict[str, Any]:
    at = page.entries[-1].path.decode("utf-8", "replace")[:500] if page.entries else cursor.get("at", "")
    share = {} if page.share is None else {"share": round(page.share, 9)}
    return {**counted(cursor), "after": page.cursor.hex(), "at": at, **share}


def _settled(operation: Operation) -> dict[str, Any]:
    """No name waits any more."""
    return {"settled": True, "over": operation.options.hashes != "now"}


def _pace(operation: Operation, files: int) -> float:
    """For how many seconds the limits make it wait after a page."""
    rate = operation.options.files_per_second
    return files / rate if rate else 0.0


def _inside(path: bytes, root: bytes) -> bool:
    return not root or path == root or path.startswith(root + b"/")


def _close(scan: Iterator[ScanPage]) -> None:
    close = getattr(scan, "close", None)
    if close is not None:
        close()
