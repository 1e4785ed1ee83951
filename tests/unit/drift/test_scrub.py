"""How fast contents are read again, and how far: the promise holds between any two readings of one file."""

from datetime import UTC, datetime, timedelta

from schema.drift.scrub import LEAST_RATE, ScrubProgress, coverage, oldest, pause, rate

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DAY = 86_400


def test_two_rounds_of_the_slowest_rate_keep_the_promise() -> None:
    total = 10**12
    takes = total / rate(total, DAY, None)
    assert pause(DAY).total_seconds() + takes <= DAY


def test_a_rate_that_is_set_is_that_rate_and_a_small_mount_is_read_soon() -> None:
    assert rate(10**12, DAY, 5000) == 5000
    assert rate(1000, DAY, None) == LEAST_RATE


def test_coverage_counts_rounds_that_began_within_the_promised_time() -> None:
    nothing = ScrubProgress()
    assert (coverage(nothing, 100, DAY, NOW), oldest(nothing)) == (0.0, None)
    half = nothing.begun(NOW - timedelta(hours=1))
    assert half.now is not None
    half = ScrubProgress.of_json(half.to_json() | {"now": half.to_json()["now"] | {"size": 50}})
    assert (coverage(half, 100, DAY, NOW), oldest(half)) == (0.5, None)
    whole = half.ended(NOW)
    assert (coverage(whole, 100, DAY, NOW), oldest(whole)) == (1.0, NOW - timedelta(hours=1))
    assert coverage(whole, 100, DAY, NOW + timedelta(days=2)) == 0.0


def test_a_round_that_broke_off_goes_on() -> None:
    first = ScrubProgress().begun(NOW)
    assert first.begun(NOW + timedelta(hours=1)) == first
    assert ScrubProgress.of_json(first.to_json()) == first
