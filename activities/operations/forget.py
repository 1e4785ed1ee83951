"""The undo of an import: its plan, from what the import made; and `forget`, which takes its items out of the record. Nothing on the
storage is looked at or touched: what lies there is as unknown as before the import.

One transaction takes some hundred nodes, under the lock of their mount: no command begins meanwhile, and places where commands
are at work come later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from temporalio import activity

from activities.operations.work import Portion
from schema.faults import areach
from schema.ids import CommandId, NodeId, new_command_id
from schema.nodes import NodeKind
from schema.operations.forgetting import STAYS, planned
from schema.operations.operation import ItemState, Operation, OperationItem, OperationState
from schema.store import forgets as store
from schema.store import operations as operation_store
from schema.store import undo_trees, work_items
from schema.store.begin import lock_mounts
from schema.store.forgets import RunningItem
from schema.store.undo import FOREVER
from schema.store.work_items import ItemEnd

if TYPE_CHECKING:
    from schema.store.connection import Connection
    from schema.store.operations import LockedOperation
    from schema.store.pool import Pool

STAYS_CODES = frozenset(STAYS)


async def forget_page(
    connection: Connection, operation: Operation, cursor: Mapping[str, Any]
) -> tuple[list[OperationItem], Mapping[str, Any]]:
    """What the next page of the import made, the newest first. The last cursor says that it is the `end`."""
    assert operation.undoes is not None
    page = await store.page_before(connection, operation.undoes, cursor.get("below", FOREVER))
    if page is None:
        return [], {"end": True, "blocked": False}
    nodes = await store.made(connection, page)
    directories = {one.node for one in nodes if one.kind is NodeKind.DIRECTORY and not one.gone}
    holding = await store.holding(connection, operation.undoes, directories)
    kept = set(map(NodeId, cursor.get("kept", ()))) | await undo_trees.above(connection, holding)
    items = planned(nodes, kept, cursor["next"])
    return items, {"next": cursor["next"] + len(items), "below": page.entry, "kept": sorted(kept)}


class ForgetNodes:
    def __init__(self, pool: Pool, announce: Callable[[], None]) -> None:
        self._pool, self._announce = pool, announce

    @activity.defn(name="forget")
    async def forget(self, portion: Portion) -> int:
        """All of it, or nothing."""
        async with self._pool.connection() as connection, connection.transaction():
            locked = await operation_store.lock(connection, portion.operation)
            if locked is None:
                return 0
            items = await store.portion(connection, portion.operation, portion.items)
            if not _goes_on(locked):
                ends = [ItemEnd(one.item, ItemState.PENDING) for one in items]
                await work_items.end(connection, portion.operation, ends)
                return 0
            done = await _forgotten(connection, locked.operation, items)
        await areach("forget.done")
        self._announce()
        return done


async def _forgotten(connection: Connection, operation: Operation, items: list[RunningItem]) -> int:
    await lock_mounts(connection, [operation.mount_id])
    claimed = await store.claimed(connection, operation.mount_id)
    busy = [one.item for one in items if claimed.holds(one.path)]
    going = [one for one in items if one.item not in busy]
    gone, same = await store.forget(connection, operation, CommandId(new_command_id()), going)
    first = await store.waiting(connection, operation.id)
    later = {one.item for one in going if one.node in same and (busy or (first is not None and first < one.item))}
    await store.put_off(connection, operation.id, [*busy, *later])
    await work_items.end(connection, operation.id, [_end(one, gone, same) for one in going if one.item not in later])
    return len(gone)


def _end(one: RunningItem, gone: set[NodeId], same: set[NodeId]) -> ItemEnd:
    if one.node in gone:
        return ItemEnd(one.item, ItemState.DONE)
    code = "CHILDREN_EXIST" if one.node in same else "VERSION_CONFLICT"
    return ItemEnd(one.item, ItemState.SKIPPED, code, STAYS[code])


def _goes_on(locked: LockedOperation) -> bool:
    operation = locked.operation
    return operation.state is OperationState.RUNNING and operation.want is None and locked.claimed
