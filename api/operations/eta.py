"""How long an operation still takes, as far as anything is known of how much there is. Pure."""

from collections.abc import Mapping
from typing import Any

from schema.operations.operation import OperationKind, OperationState


def eta(row: Mapping[str, Any], state: OperationState) -> float | None:
    """Seconds, at the pace that it had so far. None: it does not move, or nobody knows how much is left."""
    if state is OperationState.PLANNING:
        return _planning(row)
    if state is not OperationState.RUNNING or not row["seconds"]:
        return None
    if row["kind"] == OperationKind.IMPORT:
        return _scanning(row)
    handled = row["done"] + row["failed"] + row["skipped"] + row["reversed"]
    return _rest(row["done"], max(0, row["items"] - handled), row["seconds"])


def _planning(row: Mapping[str, Any]) -> float | None:
    """`looked`: nodes that the plan has met. An undo has an item for each that its original has done."""
    looked = row["items"] if row["undoes"] is not None else (row["plan_cursor"] or {}).get("looked", 0)
    if row["expected"] is None:
        return None
    return _rest(looked, max(0, row["expected"] - looked), row["planning_seconds"])


def _scanning(row: Mapping[str, Any]) -> float | None:
    """A scan meets again what the record has, and what it has recorded itself is in the record by now. Where the record had
    nothing, nobody knows how much there is."""
    cursor = row["plan_cursor"] or {}
    known = cursor.get("known", 0)
    had = (row["expected"] or 0) - row["done"]
    if cursor.get("scanned") or had <= 1:
        return None
    return _rest(known + row["done"], max(0, had - known), row["seconds"])


def _rest(through: int, left: int, seconds: float | None) -> float | None:
    return left * seconds / through if through and seconds else None
