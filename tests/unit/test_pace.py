"""The publisher's pace: few rounds never wait, and many of them take a tenth of the time."""

import pytest

from activities.events.publish import PublishPace


def rounds(took: float, apart: float, count: int) -> list[float]:
    """The pauses after rounds that take so long, each asked for so long after the one before has ended."""
    pace, now, pauses = PublishPace(0.2), 100.0, []
    for _ in range(count):
        pauses.append(pace.pause(now, now + took))
        now += took + max(apart, pauses[-1])
    return pauses


def test_rounds_that_come_now_and_then_never_pause() -> None:
    assert set(rounds(took=0.004, apart=0.05, count=500)) == {0.0}


def test_a_burst_after_a_rest_does_not_pause() -> None:
    assert set(rounds(took=0.005, apart=0.0, count=11)) == {0.0}


def test_rounds_without_end_take_a_tenth_of_the_time() -> None:
    later = rounds(took=0.005, apart=0.0, count=200)[100:]
    assert all(abs(pause - 9 * 0.005) < 1e-9 for pause in later)


def test_no_pause_is_longer_than_the_longest_and_none_is_owed_for_ever() -> None:
    pace = PublishPace(0.2)
    assert [pace.pause(at, at + 5) for at in (100.0, 106.0)] == pytest.approx([0.2, 0.2])
    assert pace.pause(111.3, 111.301) == 0.0, "a rest of a third of a second has paid for what a pause would be for"
