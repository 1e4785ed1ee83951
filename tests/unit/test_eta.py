"""How long an operation still takes: at the pace that it had, where something says how much is left."""

from datetime import UTC, datetime
from typing import Any

import pytest

from api.operations.eta import eta
from schema.operations.operation import OperationState

S = OperationState


def row(**values: Any) -> dict[str, Any]:
    told: dict[str, Any] = {
        "kind": "copy", "items": 100, "done": 0, "failed": 0, "skipped": 0, "reversed": 0, "seconds": None, "undoes": None,
        "plan_cursor": None, "planning_seconds": 10.0, "expected": None, "started_at": None,
    }  # fmt: skip
    return told | values


@pytest.mark.parametrize(("state", "values", "expected"), [
    (S.RUNNING, {"done": 20, "failed": 5, "seconds": 10.0}, 37.5),
    (S.RUNNING, {"done": 100, "seconds": 10.0}, 0.0),
    (S.RUNNING, {"seconds": 10.0}, None),
    (S.PAUSED, {"done": 20, "seconds": 10.0}, None),
    (S.SUCCEEDED, {"done": 100, "seconds": 10.0}, None),
    (S.PLANNING, {"plan_cursor": {"looked": 500}, "expected": 2000}, 30.0),
    (S.PLANNING, {"plan_cursor": {"looked": 500}, "expected": 400}, 0.0),
    (S.PLANNING, {"plan_cursor": {"looked": 0}, "expected": 2000}, None),
    (S.PLANNING, {"plan_cursor": None, "expected": 2000}, None),
    (S.PLANNING, {"plan_cursor": {"looked": 500}}, None),
    (S.PLANNING, {"kind": "undo", "undoes": "x", "items": 250, "expected": 1000}, 30.0),
])  # fmt: skip
def test_it_is_what_is_left_at_the_pace_so_far(
    state: OperationState, values: dict[str, Any], expected: float | None
) -> None:
    assert eta(row(**values), state) == expected


@pytest.mark.parametrize(("cursor", "done", "there", "expected"), [
    ({"known": 300}, 0, 900, 20.0),
    ({"known": 200}, 100, 1000, 23.333333333333332),
    ({"known": 0}, 500, 501, None),
    ({"known": 300, "scanned": True}, 0, 900, None),
    (None, 0, 900, None),
])  # fmt: skip
def test_a_scan_is_measured_by_what_the_record_had_already(
    cursor: dict[str, Any] | None, done: int, there: int, expected: float | None
) -> None:
    """And where it had nothing, a bucket says nothing of how much there is."""
    told = row(kind="import", plan_cursor=cursor, done=done, expected=there, seconds=10.0)
    assert eta(told, S.RUNNING) == expected


@pytest.mark.parametrize(("cursor", "done", "there", "expected"), [
    ({"share": 0.25}, 500, 501, 30.0),
    ({"share": 0.25, "names": 2000}, 500, 501, 30.0),
    ({"share": 0.5, "names": 400}, 500, 501, 10.0),
    ({"share": 0.25, "known": 300}, 0, 900, 20.0),
    ({"share": 0.25, "known": 2}, 500, 502, 30.0),
    ({"share": 0.0}, 500, 501, None),
    ({"share": 1.0, "scanned": True}, 500, 501, None),
])  # fmt: skip
def test_a_first_scan_is_measured_by_the_names_of_the_file_system_or_by_the_directories_behind_it(
    cursor: dict[str, Any], done: int, there: int, expected: float | None
) -> None:
    told = row(kind="import", plan_cursor=cursor, done=done, expected=there, seconds=10.0)
    assert eta(told, S.RUNNING) == expected


@pytest.mark.parametrize(("cursor", "expected"), [
    ({"hashed_bytes": 100}, 12.0),
    ({"hashed_bytes": 500}, 0.0),
    ({}, None),
    ({"hashed_bytes": 100, "scanned_at": None}, None),
])  # fmt: skip
def test_after_the_scan_it_is_the_bytes_that_are_still_to_be_read(
    cursor: dict[str, Any], expected: float | None
) -> None:
    began = datetime(2026, 11, 29, tzinfo=UTC)
    scanned = {"scanned": True, "scanned_at": began.timestamp() + 6.0} | cursor
    told = row(kind="import", plan_cursor={k: v for k, v in scanned.items() if v is not None}, seconds=10.0, bytes=400)
    assert eta(told | {"started_at": began}, S.RUNNING) == expected


def test_a_plan_counts_what_it_goes_through_before_it_begins() -> None:
    told = row(kind="purge", plan_cursor={"looked": 100, "expected": 400})
    assert eta(told, S.PLANNING) == 30.0
    assert eta(told | {"plan_cursor": {"looked": 500, "expected": 400}}, S.PLANNING) == 0.0
