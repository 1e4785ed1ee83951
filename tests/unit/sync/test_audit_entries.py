"""An audit stream against the journal: what was shortened, changed or made up is found."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from schema.sync.audit import compare, entry_of, id_of

AT = datetime(2026, 11, 29, 12, tzinfo=UTC)


def row(id: int, **more: Any) -> dict[str, Any]:
    return {"id": id, "tenant": "main", "kind": "commitProject", "principal": "ann", "payload": {"b": 1, "a": 2},
            "request_id": None, "recorded_at": AT} | more  # fmt: skip


JOURNAL = [row(1), row(2), row(5)]
STREAM = [entry_of(one) for one in JOURNAL]


def test_an_entry_is_the_same_bytes_whenever_it_is_written() -> None:
    same = row(1, payload={"a": 2, "b": 1}, recorded_at=AT.astimezone(timezone(timedelta(hours=2))))
    assert entry_of(same) == STREAM[0] and id_of(STREAM[2]) == ("main", 5)


@pytest.mark.parametrize(
    ("stream", "changed", "missing", "unknown"),
    [
        (STREAM, [], [], 0),
        ([*STREAM, STREAM[1]], [], [], 0),
        (STREAM[1:], [], [1], 0),
        (STREAM[:-1], [], [5], 0),
        ([STREAM[0], entry_of(row(2, principal="bob")), STREAM[2]], [2], [], 0),
        ([*STREAM, entry_of(row(4)), b"[]", b"{}"], [], [], 3),
        ([*STREAM, entry_of(row(9)), entry_of(row(3, tenant="other"))], [], [], 0),
        ([], [], [1, 2, 5], 0),
    ],
    ids=["whole", "told twice", "its beginning", "its end", "changed", "made up", "came meanwhile", "lost"],
)
def test_what_a_stream_is_not_is_found(
    stream: list[bytes], changed: list[int], missing: list[int], unknown: int
) -> None:
    found = compare("main", JOURNAL, stream, 6)
    assert (found.changed, found.missing, found.unknown) == (changed, missing, unknown)
    assert found.is_whole == (not changed and not missing and not unknown)
