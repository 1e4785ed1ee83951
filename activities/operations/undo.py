"""A page of the plan of an undo by selection: the next changes that it takes, newest first, as items that put them back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from activities.operations import undo_trees
from schema import errors
from schema.ids import NodeId
from schema.nodes import NodeKind
from schema.operations.coverage import Coverage
from schema.operations.operation import ItemKind, ItemState, Operation, OperationItem
from schema.operations.undo import LEFT, UndoPlanner, left, listed
from schema.operations.undo_changes import JournalChange, RecordChange
from schema.operations.undo_passed import Passed
from schema.store import operation_plans as plan_store
from schema.store import undo as store
from schema.store import undo_trees as tree_store
from schema.store.undo import Taken

if TYPE_CHECKING:
    from datetime import datetime

    from schema.store.connection import Connection

LEFT_CODES = frozenset(LEFT)
PAGE = 500
Cursor = Mapping[str, Any]


async def begin(connection: Connection, operation: Operation, asked_at: datetime) -> tuple[int, dict[str, Any]]:
    """The last entry that the plan looks at, and its cursor. Raises PathBusy."""
    begun = await store.begin(connection, _taken(operation), asked_at)
    if begun is None:
        raise errors.PathBusy("A command that is to be put back has not ended. The plan is made after it.")
    bound, units = begun
    start = {"next": 0, "bound": bound, "units": units, "below": bound + 1, "passed": Passed().to_json()}
    if (number := await store.count(connection, _taken(operation, bound, units))) is not None:
        start["expected"] = number
    else:
        # No index says how many. How far it is shows in the numbers of the entries that it has come to.
        low, high = await store.span(connection, _taken(operation, bound, units))
        start |= {"expected": high - low, "top": high}
    return bound, start | {"kept": [], "covers": []}


async def page(
    connection: Connection, operation: Operation, cursor: Cursor
) -> tuple[list[OperationItem], Cursor | None]:
    """The items of the page, and where the next one begins. None: it was the last, and the operation claims what its items need."""
    at = UndoPage(
        connection, operation, _taken(operation, cursor["bound"], cursor["units"]), Passed.of_json(cursor["passed"])
    )
    going: Cursor | None
    if cursor.get("tree"):
        items, going = await at.tree(cursor)
    else:
        items, going = await at.changes(cursor)
    items, kept = await _kept(connection, at.taken, items, set(cursor["kept"]))
    coverage = Coverage.of_json(operation.mount_id, cursor["covers"])
    coverage.add(items)
    if going is None:
        await plan_store.cover(connection, operation.id, coverage.trees)
        return items, None
    number = items[-1].item + 1 if items else cursor["next"]
    planned = {"next": number, "passed": at.passed.to_json(), "kept": sorted(kept), "covers": coverage.to_json()}
    if "top" in cursor:
        planned["looked"] = max(0, cursor["top"] - going.get("below", cursor["below"]))
    return items, {**cursor, **going, **planned}


@dataclass(slots=True)
class UndoPage:
    connection: Connection
    operation: Operation
    taken: Taken
    passed: Passed

    async def changes(self, cursor: Cursor) -> tuple[list[OperationItem], Cursor | None]:
        changes = await store.changes(self.connection, self.taken, cursor["below"], PAGE)
        looked = cursor.get("looked", 0) + len(changes)
        of_nodes = [change for change in changes if isinstance(change, JournalChange)]
        nodes = {change.node for change in of_nodes if not change.superseded}
        nodes |= {gone.node for change in of_nodes for gone in (change.replaced, change.departed) if gone is not None}
        described = {change.node for change in changes if isinstance(change, RecordChange)}
        planner = UndoPlanner(
            cursor["next"], await store.runs(self.connection, self.taken, nodes), self.taken.mounts,
            await store.changed_below(self.connection, self.taken, of_nodes), self.passed,
            await store.record_runs(self.connection, self.taken, described),
        )  # fmt: skip
        planner.add(changes)
        items = listed(planner.steps, await store.refused(self.connection, self.taken, planner.steps))
        if planner.apart is not None:
            looked -= sum(change.entry < planner.apart.entry for change in changes)
            return items, {"below": planner.apart.entry, "tree": undo_trees.begin(planner.apart), "looked": looked}
        return items, None if len(changes) < PAGE else {"below": changes[-1].entry, "looked": looked}

    async def tree(self, cursor: Cursor) -> tuple[list[OperationItem], Cursor]:
        """The next of a tree that is taken back node by node; then the changes before it."""
        walk = undo_trees.TreeWalk(self.connection, self.taken, self.passed.entries, cursor["tree"])
        items = [replace(one, item=number) for number, one in enumerate(await walk.page(PAGE), cursor["next"])]
        return items, {"tree": walk.place if walk.place["above"] else None}


async def _kept(
    connection: Connection, taken: Taken, items: Sequence[OperationItem], kept: set[NodeId]
) -> tuple[list[OperationItem], set[NodeId]]:
    """Directories stay in which something else lies, and so do those above. What lies there is listed, too."""
    going = {one.node_id for one in items if _removes_a_directory(one) and one.node_id is not None}
    found = await tree_store.strangers(connection, taken, going)
    kept = kept | await tree_store.above(connection, {one.directory for one in found})
    seen = [left(one, "CHILDREN_EXIST") if _removes_a_directory(one) and one.node_id in kept else one for one in items]
    number = items[-1].item + 1 if items else 0
    home = taken.mounts[0]
    for stranger in found:
        if stranger.foreign:
            item = OperationItem(
                item=number, kind=ItemKind.DELETE, path=stranger.path, node_id=stranger.node, node_kind=stranger.kind,
                version=stranger.version, size=stranger.size, mount=None if stranger.mount == home else stranger.mount,
            )  # fmt: skip
            seen.append(left(item, "NEW_SINCE"))
            number += 1
    return seen, kept


def _removes_a_directory(item: OperationItem) -> bool:
    """By itself: it has to be empty then."""
    removes = item.kind is ItemKind.DELETE and item.state is ItemState.PENDING
    return removes and item.node_kind is NodeKind.DIRECTORY and item.nodes == 1


def _taken(operation: Operation, bound: int = store.FOREVER, units: list[str] | None = None) -> Taken:
    assert operation.undo is not None
    return Taken(operation.tenant, operation.undo.mounts or [operation.mount_id], operation.undo, bound, units or [])
