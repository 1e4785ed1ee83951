"""RFC 9110 without a disk: which ranges, which conditions."""

from datetime import UTC, datetime

import pytest

from api.conditions import Validators, fails_match, not_modified
from api.disposition import disposition
from api.ranges import RANGES_MAX, Unsatisfiable, wanted

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
        ("bytes=" + "9" * 40 + "-", []), ("bytes=" + ",".join(["0-0"] * 33), []), ("bytes=٣-٤", []),
    ],
)  # fmt: skip
def test_ranges(text: str, ranges: list[tuple[int, int]]) -> None:
    assert wanted({"range": text}, 10, HERE) == ranges


@pytest.mark.parametrize(
    "text", ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=11-12,13-14", "bytes=" + "9" * 18 + "-"]
)
def test_no_range_begins_within(text: str) -> None:
    with pytest.raises(Unsatisfiable):
        wanted({"range": text}, 10, HERE)


@pytest.mark.parametrize("text", ["bytes=0-0", "bytes=-1", "bytes=0-"])
def test_an_empty_file_has_no_ranges(text: str) -> None:
    with pytest.raises(Unsatisfiable):
        wanted({"range": text}, 0, HERE)


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


@pytest.mark.parametrize(
    ("headers", "same"),
    [
        ({"if-none-match": TAG}, True), ({"if-none-match": "*"}, True), ({"if-none-match": f"W/{TAG}"}, True),
        ({"if-none-match": f'"x", {TAG}'}, True), ({"if-none-match": '"x"'}, False), ({"if-none-match": TAG[:-1]},
        False),
        ({"if-modified-since": "Fri, 20 Nov 2026 12:00:00 GMT"}, True),
        ({"if-modified-since": "Fri, 20 Nov 2026 11:59:59 GMT"}, False), ({"if-modified-since": "nonsense"}, False),
        ({"if-none-match": '"x"', "if-modified-since": "Fri, 20 Nov 2026 12:00:00 GMT"}, False), ({}, False),
    ],
)  # fmt: skip
def test_not_modified(headers: dict[str, str], same: bool) -> None:
    assert not_modified(headers, HERE) == same


@pytest.mark.parametrize(
    ("headers", "fails"),
    [
        ({"if-match": TAG}, False), ({"if-match": "*"}, False), ({"if-match": '"x"'}, True),
        ({"if-match": f"W/{TAG}"}, True),
        ({"if-unmodified-since": "Fri, 20 Nov 2026 12:00:00 GMT"}, False),
        ({"if-unmodified-since": "Fri, 20 Nov 2026 11:59:59 GMT"}, True), ({"if-unmodified-since": "x"}, False), ({},
        False),
    ],
)  # fmt: skip
def test_if_match(headers: dict[str, str], fails: bool) -> None:
    assert fails_match(headers, HERE) == fails


def test_a_weak_tag_matches_weakly_alone() -> None:
    weak = Validators('W/"1.1"', THEN)
    assert not_modified({"if-none-match": 'W/"1.1"'}, weak) and not_modified({"if-none-match": '"1.1"'}, weak)
    assert fails_match({"if-match": 'W/"1.1"'}, weak)
    assert wanted({"range": "bytes=0-1", "if-range": 'W/"1.1"'}, 10, weak) == []


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a.txt", 'attachment; filename="a.txt"'),
        ("a b (1).txt", 'attachment; filename="a b (1).txt"'),
        ('a"b.txt', "attachment; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt"),
        ("a\r\nSet-Cookie: x=1",
        "attachment; filename=\"a__Set-Cookie_ x=1\"; filename*=UTF-8''a%0D%0ASet-Cookie%3A%20x%3D1"),
        ("é.txt", "attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%A9.txt"),
        ("a;b\\c", "attachment; filename=\"a_b_c\"; filename*=UTF-8''a%3Bb%5Cc"),
        ("�.bin", "attachment; filename=\"_.bin\"; filename*=UTF-8''%EF%BF%BD.bin"),
    ],
)  # fmt: skip
def test_no_name_breaks_out_of_its_header(name: str, header: str) -> None:
    assert disposition(name) == header
    assert header.isascii() and "\n" not in header and "\r" not in header
