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
    """`looked`: what the plan has met, of what it had counted before (`expected`), or of what the record has there. An undo has an
    item for each that its original has done."""
    cursor = row["plan_cursor"] or {}
    looked = row["items"] if row["undoes"] is not None else cursor.get("looked", 0)
    expected = cursor.get("expected", row["expected"])
    if expected is None:
        return None
    return _rest(looked, max(0, expected - looked), row["planning_seconds"])


def _scanning(row: Mapping[str, Any]) -> float | None:
    """By the names that the file system counts; or by what the record had and is met again (what the scan has recorded itself is in
    the record by now); or by the share of the directories that is behind it."""
    cursor = row["plan_cursor"] or {}
    known, share, names = cursor.get("known", 0), cursor.get("share"), cursor.get("names", 0)
    met = known + row["done"]
    had = (row["expected"] or 0) - row["done"]
    if cursor.get("scanned"):
        return _hashing(row, cursor)
    if names > met:
        return _rest(met, names - met, row["seconds"])
    if had > max(1, known) or (had > 1 and share is None):
        return _rest(met, max(0, had - known), row["seconds"])
    return _rest(share, 1 - share, row["seconds"]) if share else None


def _hashing(row: Mapping[str, Any], cursor: Mapping[str, Any]) -> float | None:
    """After the scan the contents are read that it recorded, where hashes are wanted at once: by their bytes."""
    if "scanned_at" not in cursor or row["started_at"] is None:
        return None
    seconds = row["started_at"].timestamp() + row["seconds"] - cursor["scanned_at"]
    hashed = cursor.get("hashed_bytes", 0)
    return _rest(hashed, max(0, row["bytes"] - hashed), seconds)


def _rest(through: float, left: float, seconds: float | None) -> float | None:
    return left * seconds / through if through and seconds and seconds > 0 else None
