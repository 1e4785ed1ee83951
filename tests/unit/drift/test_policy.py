"""A policy is read and written in the same words; brakes and ignored places are what they say."""

from datetime import UTC, datetime, timedelta

import pytest

from schema.drift.policy import Brake, DriftAction, IgnoredPattern, Phase, Policy

NOW = datetime(2026, 11, 29, tzinfo=UTC)
SAID = {
    "phase": "enforce",
    "onNew": "quarantine",
    "onChanged": "restore",
    "onMissing": "ask",
    "onUnreadable": "mark",
    "brake": {"share": 0.25, "count": 7},
    "audits": [{"path": "docs", "everySeconds": 900}],
    "scrub": {"everySeconds": 86400},
    "ignore": ["*.tmp", {"pattern": "cache/", "until": "2026-12-01T00:00:00+00:00"}],
}


def test_a_policy_reads_as_it_was_written() -> None:
    assert Policy.of_json(SAID).to_json() == SAID


def test_what_is_not_said_is_as_in_a_policy_of_which_nothing_was_said() -> None:
    assert Policy.of_json({}) == Policy()
    assert Policy.of_json({"brake": {"count": 1}}).brake == Brake(count=1)
    assert (Policy().phase, Policy().on_new, Policy().on_missing) == (
        Phase.OBSERVE,
        DriftAction.IMPORT,
        DriftAction.MARK,
    )


@pytest.mark.parametrize(
    ("path", "ignored"),
    [
        (b"a.tmp", True),
        (b"d/a.tmp", True),
        (b"d/a.tmp/below", True),
        (b"a.txt", False),
        (b"cache/x", True),
        (b"cache/x/y", True),
        (b"other/cache/x", False),
        (b"\xff.tmp", True),
    ],
)
def test_a_pattern_covers_a_place_and_all_below_it(path: bytes, ignored: bool) -> None:
    assert Policy.of_json(SAID).ignores(path, NOW) is ignored


def test_a_pattern_ends_at_its_time() -> None:
    assert IgnoredPattern("*", NOW + timedelta(seconds=1)).takes("a", NOW)
    assert not IgnoredPattern("*", NOW).takes("a", NOW)


@pytest.mark.parametrize(
    ("changes", "nodes", "holds"),
    [(3, 3, False), (4, 5, True), (50, 100, False), (51, 100, True), (10_001, 10**6, True)],
)
def test_a_brake_holds_beyond_its_share_or_its_number(changes: int, nodes: int, holds: bool) -> None:
    assert Brake().holds(changes, nodes) is holds
