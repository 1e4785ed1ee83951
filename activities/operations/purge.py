"""`purge`: what a plan has named is removed from the trash for good. Its pages, and the step that does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from temporalio import activity

from activities.executors.contract.abilities import purges_of
from activities.operations.work import Portion
from activities.progress import beat_once
from schema import errors
from schema.faults import areach
from schema.nodes import NodeKind, NodeState
from schema.operations.operation import ItemKind, ItemState, Operation, OperationItem
from schema.operations.purging import PurgePolicy
from schema.operations.selection import PlannedNode
from schema.store import past, trash, work_items
from schema.store import purges as store
from schema.store.purges import Marked, TrashPlace
from schema.store.trash import KeptUntil, TrashEntry
from schema.store.work_items import ItemEnd

if TYPE_CHECKING:
    from activities.ports import Executors
    from activities.threads import MountThreads
    from schema.store.connection import Connection
    from schema.store.pool import Pool

_PAGE = 100


async def purge_page(
    connection: Connection, operation: Operation, cursor: Mapping[str, Any]
) -> tuple[list[OperationItem], Mapping[str, Any]]:
    """The next of what lies in the trash, the newest first, so that it is known how much of it there is."""
    root = await past.root_of(connection, operation.mount_id)
    if root is None:
        return [], {"next": cursor["next"], "end": True}
    after = trash.LAST if cursor.get("after") is None else _read(cursor["after"])
    page = await trash.kept(
        connection, operation.mount_id, root, operation.path, after=after, limit=_PAGE, expired=True
    )
    now, newer = await past.now(connection), cursor.get("newer", 0)
    options = operation.options
    policy = PurgePolicy(options.older_than, options.keep_bytes)
    items: list[OperationItem] = []
    for one in page.entries:
        newer += one.size
        goes = policy.goes(since=one.ended, until=one.until, now=now, newer=newer)
        if goes and operation.selection.takes(_node(one), operation.path):
            items.append(_item(one, cursor["next"] + len(items)))
    place = page.end or after
    written = [place.until.isoformat(), place.node, place.version]
    return items, {
        "next": cursor["next"] + len(items), "after": written, "newer": newer, "end": page.end is None, "blocked": False,
        "looked": cursor.get("looked", 0) + page.looked,
    }  # fmt: skip


def _node(one: TrashEntry) -> PlannedNode:
    return PlannedNode(
        id=one.node, kind=NodeKind(one.kind), state=NodeState.DELETED, version=one.version, path=one.path, size=one.size,
        modified=one.ended,
    )  # fmt: skip


def _item(one: TrashEntry, number: int) -> OperationItem:
    nodes = 1 + (one.files or 0) + (one.directories or 0)
    return OperationItem(
        item=number, kind=ItemKind.PURGE, path=one.path, node_id=one.node, node_kind=NodeKind(one.kind), version=one.version,
        size=one.size, nodes=nodes,
    )  # fmt: skip


def _read(written: Sequence[Any]) -> KeptUntil:
    return KeptUntil(datetime.fromisoformat(written[0]), written[1], written[2])


class PurgeItems:
    def __init__(self, pool: Pool, executors: Executors, threads: MountThreads) -> None:
        self._pool, self._executors, self._threads = pool, executors, threads

    @activity.defn(name="purge")
    async def purge(self, portion: Portion) -> int:
        """Marked, unlinked, cleared: wherever it breaks off, the next execution goes on from there."""
        async with self._pool.connection() as connection:
            goes, _ = await work_items.wanted(connection, portion.operation)
        if not goes:
            return await self._end(portion, [ItemEnd(item, ItemState.PENDING) for item in portion.items])
        async with self._pool.connection() as connection, connection.transaction():
            marked = await store.mark(connection, portion.mount_id, portion.operation, portion.items)
        await areach("purge.marked")
        ends = [*_stayed(marked)]
        done: list[TrashPlace] = []
        for one in marked.places:
            beat_once()
            failed = await self._unlinked(portion, one, marked.deep)
            if failed is None:
                done.append(one)
                ends.append(ItemEnd(one.item, ItemState.DONE))
            else:
                ends.append(failed)
        await areach("purge.unlinked")
        return await self._end(portion, ends, done)

    async def _unlinked(self, portion: Portion, one: TrashPlace, deep: Sequence[bytes]) -> ItemEnd | None:
        """How it failed. What could not be unlinked stays marked: a retry goes on with it."""
        assert one.place is not None
        inside = [place for place in deep if place.startswith(one.place + b"/")]
        try:
            executor = purges_of(self._executors.of(portion.mount_id))
            for place in [one.place, *inside]:
                await self._threads.run(portion.mount_id, executor.purge, place)
        except errors.FilestoreError as error:
            return ItemEnd(one.item, ItemState.FAILED, error.code, error.message)
        except OSError as error:
            text = f"It can not be removed: {error.strerror or error!r}. Look at the storage, and retry."
            return ItemEnd(one.item, ItemState.FAILED, "UNAVAILABLE", text)
        return None

    async def _end(self, portion: Portion, ends: Sequence[ItemEnd], done: Sequence[TrashPlace] = ()) -> int:
        async with self._pool.connection() as connection, connection.transaction():
            if done:
                await store.clear(connection, done)
            await work_items.end(connection, portion.operation, ends)
        return len(done)


def _stayed(marked: Marked) -> list[ItemEnd]:
    ends = [
        ItemEnd(one.item, ItemState.SKIPPED, "NOT_NEEDED", "It does not lie in the trash any more.")
        for one in marked.gone
    ]
    for item, hold in marked.held.items():
        ends.append(ItemEnd(item, ItemState.SKIPPED, hold.refusal().code, hold.refusal().message))
    for item, operation in marked.counted_on.items():
        by = f"The operation {operation}" if operation else "A command"
        text = f"{by} that has not ended counts on it. Purge again after its end."
        ends.append(ItemEnd(item, ItemState.SKIPPED, "IN_USE", text))
    return ends
