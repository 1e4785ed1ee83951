"""`plan`: the items of an operation, page by page, from what the record knows. Each page and where it ends are one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from temporalio import activity

from activities.operations import forget, held, tag, undo
from activities.operations.expected import expected
from activities.operations.purge import purge_page
from activities.operations.restores import trash_page
from activities.operations.rewinds import past_page
from activities.operations.room import shortfall
from activities.operations.subtrees import whole_trees
from schema import errors
from schema.faults import areach
from schema.nodes import NodeKind
from schema.operations.control import STALE
from schema.operations.operation import ItemKind, ItemState, Operation, OperationItem, OperationKind, OperationState
from schema.operations.planning import Planner, alternatives, topmost
from schema.operations.reversal import reversal
from schema.operations.selection import PlannedNode
from schema.paths import NodePath, parse
from schema.store import operation_plans as plan_store
from schema.store import operations as store
from schema.store import purges, tags
from schema.store.operations import LockedOperation

if TYPE_CHECKING:
    from schema.store.connection import Connection
    from schema.store.pool import Pool

_PAGE = 2000
_EXPIRED, _GONE = errors.ContentExpired.code, "What it would bring back is kept no longer."


class PlanItems:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @activity.defn(name="plan")
    async def plan(self, id: str) -> str:
        """The state of the operation when its plan is complete, or when it is not planned any more."""
        while True:
            async with self._pool.connection() as connection, connection.transaction():
                locked = await store.lock(connection, id)
                if locked is None or locked.operation.state is not OperationState.PLANNING:
                    return locked.operation.state if locked else "gone"
                state = await _page(connection, locked)
            await areach("operation.planned")
            activity.heartbeat()
            if state is not None:
                return state


async def _page(connection: Connection, locked: LockedOperation) -> OperationState | None:
    """Plan one page. Returns the state that follows, when it was the last page."""
    operation, cursor = locked.operation, locked.cursor
    if cursor is None and operation.undo is not None:
        bound, start = await undo.begin(connection, operation, locked.created_at)
        await plan_store.advance_plan(connection, operation.id, [], start, bound)
        return None
    if cursor is None:
        entry = await plan_store.begin_plan(connection, operation)
        start = {"root": 0, "next": 0} | await expected(connection, operation)
        await plan_store.advance_plan(connection, operation.id, [], start, entry)
        return None
    if operation.kind in (OperationKind.UNDO, OperationKind.RESTORE):
        await purges.share(connection)
    items, after = await _pages(operation)(connection, operation, cursor)
    items = await held.noted(connection, operation, items)
    changed_codes = undo.LEFT_CODES if operation.undo else forget.STAYS_CODES if operation.forgets else ()
    seen = locked.planned_entry or 0
    if after is not None and "expected" in cursor:
        after = {**after, "expected": cursor["expected"]}
    await plan_store.advance_plan(connection, operation.id, items, after or {}, seen, changed_codes=changed_codes)
    if after is not None and not after.get("end"):
        return None
    locked = await _again(connection, operation.id)
    state = _planned(locked.operation, blocked=(after or {}).get("blocked"))
    warning = STALE if locked.operation.stale else await shortfall(connection, locked.operation)
    await plan_store.end_plan(connection, operation.id, state, warning)
    return state


async def _again(connection: Connection, id: str) -> LockedOperation:
    locked = await store.lock(connection, id)
    assert locked is not None
    return locked


def _planned(operation: Operation, *, blocked: bool | None = None) -> OperationState:
    """With `onConflict: fail` one conflict ends the operation before anything is begun, and so does an undo of what moved on.
    `blocked`: whether there was one, where not every item that can not go is a conflict."""
    conflict = operation.failed if blocked is None else blocked
    if operation.stale or (conflict and operation.options.on_conflict == "fail"):
        return OperationState.FAILED
    return OperationState.PLANNED if operation.plan_only else OperationState.RUNNING


async def _tree_page(
    connection: Connection, operation: Operation, cursor: Mapping[str, Any]
) -> tuple[list[OperationItem], Mapping[str, Any] | None]:
    roots = topmost([parse(path) for path in operation.selection.paths]) or [operation.path]
    root = roots[cursor["root"]]
    base = root.parent if operation.selection.paths else operation.path
    made = {bytes.fromhex(path): item for path, item in cursor.get("made", {}).items()}
    planner = Planner(operation, base, cursor["next"], made)
    found, after = await _found(connection, operation, root, cursor)
    chosen = operation.selection
    taken = [node for node in found if chosen.takes(node, operation.path)] if chosen.narrows else found
    if chosen.records is not None:
        taken = await tag.found_by(connection, operation, taken)
    if operation.kind is OperationKind.TAG:
        planner.records = await tags.of_nodes(connection, [node.id for node in taken])
    places = _places(planner, taken)
    occupants = await plan_store.occupants(connection, operation.target_mount or operation.mount_id, places)
    if len(roots) > 1 or operation.options.on_conflict == "rename":  # otherwise each node has a target of its own
        occupants |= await plan_store.goes_to(connection, operation.id, places)
    trees = await whole_trees(connection, operation, taken, bytes.fromhex(cursor.get("inside", "")))
    for node in taken:
        if not trees.add(planner, node, occupants):
            planner.add(node, occupants, whole=_whole(operation, node))
    after = trees.skipped(after)
    if not found and "after" not in cursor:
        planner.items.append(_missing(operation, root, planner.next_item))
        planner.next_item += 1
    looked = cursor.get("looked", 0) + len(found) + sum(one.nodes - 1 for one in planner.items)
    goes_on = {"next": planner.next_item, "root": cursor["root"], "looked": looked}
    if after is not None:
        made_text = {path.hex(): item for path, item in planner.made.items()}
        return planner.items, goes_on | {"after": [part.hex() for part in after], "made": made_text,
                                         "inside": trees.inside.hex()}  # fmt: skip
    last = cursor["root"] + 1 == len(roots)
    return planner.items, None if last else goes_on | {"root": cursor["root"] + 1}


async def _found(
    connection: Connection, operation: Operation, root: NodePath, cursor: Mapping[str, Any]
) -> tuple[list[PlannedNode], tuple[bytes, bytes] | None]:
    """The root of what is meant first; then, unless it goes as a whole, what lies below it."""
    if "after" in cursor:
        directory, name = (bytes.fromhex(part) for part in cursor["after"])
        return await plan_store.below(connection, operation.mount_id, root, (directory, name), _PAGE)
    node = await plan_store.node_at(connection, operation.mount_id, root)
    if node is None:
        return [], None
    if node.kind is not NodeKind.DIRECTORY or _whole(operation, node):
        return [node], None
    return [replace(node, nodes=1, size=0)], (root.as_directory, b"")


def _whole(operation: Operation, node: PlannedNode) -> bool:
    """A directory that is moved or deleted goes in one step, unless only some of what it holds is meant."""
    whole = operation.kind in (OperationKind.MOVE, OperationKind.DELETE) and not operation.selection.narrows
    return whole or node.kind is not NodeKind.DIRECTORY


def _places(planner: Planner, nodes: Sequence[PlannedNode]) -> list[NodePath]:
    places = {place for node in nodes for place in planner.targets_of(node)}
    if planner.operation.options.on_conflict == "rename":
        targets = [target for node in nodes if (target := planner.target_of(node))]
        places.update(other for target in targets for other in alternatives(target))
    return sorted(places)


def _missing(operation: Operation, path: NodePath, item: int) -> OperationItem:
    return OperationItem(
        item=item,
        kind=ItemKind(operation.kind),
        path=path,
        state=ItemState.FAILED,
        code=errors.NodeNotFound.code,
        message="There is no node at this path.",
    )


async def _undo_page(
    connection: Connection, operation: Operation, cursor: Mapping[str, Any]
) -> tuple[list[OperationItem], Mapping[str, Any] | None]:
    assert operation.undoes is not None
    original = await store.find(connection, operation.undoes)
    assert original is not None, "it is kept while an undo of it has not ended"
    done = await plan_store.done_items(connection, original, cursor.get("before"), _PAGE)
    items = [reversal(one, number) for number, one in enumerate(done, cursor["next"])]
    gone = await purges.expired(connection, items)
    items = [
        replace(one, state=ItemState.FAILED, code=_EXPIRED, message=_GONE) if one.item in gone else one for one in items
    ]
    if len(done) < _PAGE:
        return items, {"end": True, "blocked": False}
    return items, {"root": 0, "next": cursor["next"] + len(items), "before": done[-1].item}


def _pages(operation: Operation) -> Callable[..., Awaitable[tuple[list[OperationItem], Mapping[str, Any] | None]]]:
    """What makes the pages of its plan."""
    match operation.kind:
        case OperationKind.UNDO if operation.undo is not None:
            return undo.page
        case OperationKind.UNDO:
            return forget.forget_page if operation.forgets else _undo_page
        case OperationKind.RESTORE:
            return trash_page if operation.options.as_of is None else past_page
        case OperationKind.PURGE:
            return purge_page
        case _:
            return _tree_page
