"""A page of the plan of an undo by selection: the next changes that it takes, newest first, as items that put them back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from schema import errors
from schema.operations.operation import Operation, OperationItem
from schema.operations.undo import LEFT, UndoPlanner, left
from schema.store import undo as store
from schema.store.undo import Taken

if TYPE_CHECKING:
    from datetime import datetime

    from schema.store.connection import Connection

LEFT_CODES = frozenset(LEFT)
PAGE = 500


async def begin(connection: Connection, operation: Operation, asked_at: datetime) -> tuple[int, dict[str, Any]]:
    """The last entry that the plan looks at, and its cursor. Raises PathBusy."""
    begun = await store.begin(connection, _taken(operation), asked_at)
    if begun is None:
        raise errors.PathBusy("A command that is to be put back has not ended. The plan is made after it.")
    bound, units = begun
    return bound, {"next": 0, "bound": bound, "units": units, "below": bound + 1}


async def page(
    connection: Connection, operation: Operation, cursor: Mapping[str, Any]
) -> tuple[list[OperationItem], Mapping[str, Any] | None]:
    """The items of the page, and where the next one begins. None: it was the last."""
    taken = _taken(operation, cursor["bound"], cursor["units"])
    changes = await store.changes(connection, taken, cursor["below"], PAGE)
    nodes = {change.node for change in changes if not change.superseded}
    nodes |= {change.replaced.node for change in changes if change.replaced is not None}
    planner = UndoPlanner(cursor["next"], await store.runs(connection, taken, nodes))
    planner.add(changes)
    refused = await store.refused(connection, taken, planner.steps)
    items = [left(step.item, code) if (code := refused.get(step.item.item)) else step.item for step in planner.steps]
    if len(changes) < PAGE:
        return items, None
    return items, {**cursor, "next": planner.next_item, "below": changes[-1].entry}


def _taken(operation: Operation, bound: int = store.FOREVER, units: list[str] | None = None) -> Taken:
    assert operation.undo is not None
    return Taken(operation.tenant, operation.mount_id, operation.undo, bound, units or [])
