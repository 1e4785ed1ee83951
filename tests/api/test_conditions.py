"""The conditional headers of RFC 9110, without a disk."""

import time
from datetime import UTC, datetime

import pytest

from api.http.conditions import Validators, fails_match, not_modified, range_holds

TAG = '"' + "a" * 64 + '"'
THEN = datetime(2026, 11, 20, 12, 0, 0, 999_000, tzinfo=UTC)
HERE = Validators(TAG, THEN)


@pytest.mark.parametrize(
    ("headers", "same"),
    [
        ({"if-none-match": TAG}, True), ({"if-none-match": "*"}, True), ({"if-none-match": f"W/{TAG}"}, True),
        ({"if-none-match": f'"x", {TAG}'}, True), ({"if-none-match": f'"x"\t,, W/{TAG} ,'}, True),
        ({"if-none-match": f'"a,b",{TAG}'}, True), ({"if-none-match": f'x {TAG}'}, False), ({"if-none-match": ""}, False),
        ({"if-none-match": f'"x" {TAG}'}, False), ({"if-none-match": f'{TAG}, *'}, False),
        ({"if-none-match": TAG.upper()}, False), ({"if-none-match": "*, *"}, False),
        ({"if-none-match": '"x"'}, False), ({"if-none-match": TAG[:-1]},
        False),
        ({"if-modified-since": "Fri, 20 Nov 2026 12:00:00 GMT"}, True),
        ({"if-modified-since": "Fri, 20 Nov 2026 11:59:59 GMT"}, False), ({"if-modified-since": "nonsense"}, False),
        ({"if-modified-since": "Friday, 20-Nov-26 12:00:00 GMT"}, True), ({"if-modified-since": "Fri Nov 20 12:00:00 2026"}, True),
        ({"if-modified-since": "Friday, 20-Nov-99 12:00:00 GMT"}, False), ({"if-modified-since": "2026-11-20"}, False),
        ({"if-modified-since": "Fri, 20 Nov 2026 12:00:00"}, False), ({"if-modified-since": "9" * 400}, False),
        ({"if-modified-since": "Fri, 20 Nov 2026 14:00:00 +0200"}, False),
        ({"if-modified-since": "Fri, 31 Feb 2027 12:00:00 GMT"}, False),
        ({"if-none-match": '"x"', "if-modified-since": "Fri, 20 Nov 2026 12:00:00 GMT"}, False), ({}, False),
    ],
)  # fmt: skip
def test_not_modified(headers: dict[str, str], same: bool) -> None:
    assert not_modified(headers, HERE) == same


@pytest.mark.parametrize(
    ("headers", "fails"),
    [
        ({"if-match": TAG}, False), ({"if-match": "*"}, False), ({"if-match": '"x"'}, True),
        ({"if-match": f"W/{TAG}"}, True), ({"if-match": f'"x", {TAG}'}, False), ({"if-match": f"{TAG} x"}, True),
        ({"if-match": ""}, True), ({"if-match": TAG, "if-unmodified-since": "Fri, 20 Nov 2026 11:59:59 GMT"}, False),
        ({"if-match": '"x"', "if-unmodified-since": "Fri, 20 Nov 2026 12:00:00 GMT"}, True),
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
    assert not range_holds('W/"1.1"', weak) and not range_holds('"1.1"', weak)


def test_a_hostile_list_costs_no_time() -> None:
    began = time.perf_counter()
    for hostile in ("," * 60_000 + "x", '"' * 60_000, " \t" * 30_000 + "x", '"a", ' * 10_000 + "x", 'W/"' * 20_000):
        assert not not_modified({"if-none-match": hostile}, HERE)
    assert time.perf_counter() - began < 1
