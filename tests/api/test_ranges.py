"""Which ranges, and how many: RFC 9110 without a disk."""

import random
from datetime import UTC, datetime

import pytest

from api.http.conditions import Validators
from api.http.ranges import RANGES_MAX, Unsatisfiable, wanted

TAG = '"' + "a" * 64 + '"'
THEN = datetime(2026, 11, 20, 12, 0, 0, 999_000, tzinfo=UTC)
HERE = Validators(TAG, THEN)


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("bytes=0-0", [(0, 1)]), ("bytes=0-9", [(0, 10)]), ("bytes=2-4", [(2, 5)]), ("bytes=9-", [(9, 10)]),
        ("bytes=0-", [(0, 10)]), ("bytes=5-100", [(5, 10)]), ("bytes=-3", [(7, 10)]), ("bytes=-100", [(0, 10)]),
        ("bytes=0-1,4-5", [(0, 2), (4, 6)]), ("bytes= 0-1 , 4-5 ", [(0, 2), (4, 6)]), ("BYTES=0-1", [(0, 2)]),
        ("bytes=4-5,0-1", [(4, 6), (0, 2)]), ("bytes=0-1,50-60", [(0, 2)]), ("bytes=0-1,,2-3", [(0, 2), (2, 4)]),
        ("bytes=0-8,0-8", [(0, 9)]), ("bytes=0-5,3-9,0-0", [(0, 10)]),
        # Ignored: the whole file.
        ("", []), ("bytes", []), ("bytes=", []), ("bytes=,", []), ("items=0-1", []), ("bytes=a-b", []), ("bytes=5-2",
        []),
        ("bytes=-", []), ("bytes=1", []), ("bytes=0-1;2-3", []), ("bytes=--1", []), ("bytes=0-1,x", []),
        ("bytes=+1-2", []),
        ("bytes=٣-٤", []), ("bytes=1-2-3", []), ("bytes=0-1 2-3", []), ("bytes", []),
        # However often a byte is asked for, it comes once.
        ("bytes=" + ",".join(["0-0"] * 33), [(0, 1)]), ("bytes=" + ",".join(["0-"] * 1000), [(0, 10)]),
        ("bytes=5-,-5,0-" + "9" * 40, [(0, 10)]),
    ],
)  # fmt: skip
def test_ranges(text: str, ranges: list[tuple[int, int]]) -> None:
    assert wanted({"range": text}, 10, HERE) == ranges


@pytest.mark.parametrize(
    "text", ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=11-12,13-14", "bytes=" + "9" * 40 + "-"]
)
def test_no_range_begins_within(text: str) -> None:
    with pytest.raises(Unsatisfiable):
        wanted({"range": text}, 10, HERE)


@pytest.mark.parametrize("text", ["bytes=0-0", "bytes=-0", "bytes=0-", "bytes=-0,0-5"])
def test_an_empty_file_has_no_ranges(text: str) -> None:
    with pytest.raises(Unsatisfiable):
        wanted({"range": text}, 0, HERE)


@pytest.mark.parametrize("text", ["bytes=-1", "bytes=-500", "bytes=0-0,-1"])
def test_the_end_of_an_empty_file_is_all_of_it(text: str) -> None:
    assert wanted({"range": text}, 0, HERE) == []


def test_parts_that_are_too_many_join_with_their_neighbours() -> None:
    near = "bytes=" + ",".join(f"{n * 100}-{n * 100 + 9}" for n in range(RANGES_MAX + 1))
    assert wanted({"range": near}, 10_000, HERE) == [(0, 3210)]
    some = "bytes=" + ",".join(f"{n * 100}-{n * 100 + 9}" for n in reversed(range(RANGES_MAX)))
    parts = wanted({"range": some}, 10_000, HERE)
    assert len(parts) == RANGES_MAX and parts[0] == (3100, 3110), "as they were asked for"


@pytest.mark.parametrize("count", [RANGES_MAX + 1, 1000, 1001, 20_000])
def test_parts_that_are_far_too_many_are_refused(count: int) -> None:
    far = "bytes=" + ",".join(f"{n * 1000}-{n * 1000}" for n in range(count))
    with pytest.raises(Unsatisfiable):
        wanted({"range": far}, 10**9, HERE)


def parts_of(text: str, size: int) -> set[int]:
    """Every byte that is asked for, by the letter of the RFC."""
    found: set[int] = set()
    for spec in text.removeprefix("bytes=").split(","):
        first, _, last = spec.partition("-")
        if first:
            found |= set(range(int(first), min(size, int(last) + 1 if last else size)))
        elif int(last):
            found |= set(range(max(0, size - int(last)), size))
    return found


def test_random_ranges_are_the_bytes_asked_for_each_once() -> None:
    dice = random.Random(9110)
    for _ in range(5000):
        size = dice.choice([0, 1, 2, 50, 400])
        specs = []
        for _ in range(dice.choice([1, 1, 2, 5, 40])):
            first = dice.randrange(size + 5)
            last = dice.choice(["", str(first + dice.randrange(size + 5))])
            specs.append(dice.choice([f"{first}-{last}", f"-{first}"]))
        text = "bytes=" + ",".join(specs)
        asked = parts_of(text, size)
        if size == 0 and any(spec.startswith("-") and spec != "-0" for spec in specs):
            assert wanted({"range": text}, size, HERE) == []
            continue
        if not asked:
            with pytest.raises(Unsatisfiable):
                wanted({"range": text}, size, HERE)
            continue
        try:
            ranges = wanted({"range": text}, size, HERE)
        except Unsatisfiable:
            assert len(specs) > RANGES_MAX
            continue
        sent = [byte for start, end in ranges for byte in range(start, end)]
        assert len(sent) == len(set(sent)) and 0 < len(ranges) <= RANGES_MAX
        assert set(sent) == asked or (len(specs) > RANGES_MAX and set(sent) > asked)


@pytest.mark.parametrize(
    ("if_range", "holds"),
    [
        (TAG, True), ('"other"', False), (f"W/{TAG}", False), ("Fri, 20 Nov 2026 12:00:00 GMT", True),
        ("Fri, 20 Nov 2026 12:00:01 GMT", False), ("Fri, 20 Nov 2026 11:59:59 GMT", False), ("nonsense", False), ("",
        False),
    ],
)  # fmt: skip
def test_a_range_is_for_one_version(if_range: str, holds: bool) -> None:
    assert bool(wanted({"range": "bytes=0-1", "if-range": if_range}, 10, HERE)) == holds
