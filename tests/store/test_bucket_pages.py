"""A look at a bucket goes through its keys in pages, goes on after the last one, and holds only some of them at a time."""

import errno
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from activities.drift import keys, reading
from activities.executors.contract.listing import ScanPage
from schema.paths import NodePath
from tests.executors.bench_s3 import OutsideBucket
from tests.store.drift import Drifting
from tests.store.test_drift_objects import bucket, drifting

__all__ = ["bucket", "drifting"]

FLAT = [b"flat/%02d" % number for number in range(24)]


class LookKilled(Exception):
    pass


@pytest.fixture
def paged(drifting: Drifting, bucket: OutsideBucket, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Pages of three keys, of which two are compared at once. The cursors with which scans began."""
    for path in (*FLAT, b"p-b", b"p.c", b"p/x/w", b"p/x/y", b"p/z", b"q", b"flat-more/a"):
        bucket.put(path, path)
    scan, begun = drifting.executor.scan, list[bytes]()

    def small(path: NodePath, after: bytes = b"", most: int = 3) -> Iterator[ScanPage]:
        if most != 1:
            begun.append(after)
        return scan(path, after, min(most, 3))

    monkeypatch.setattr(drifting.executor, "scan", small)
    monkeypatch.setattr(keys, "HELD", 6)
    monkeypatch.setattr(keys, "SLICE", 4)
    monkeypatch.setattr(keys, "_ASKED", 2)
    return begun


def at_page(monkeypatch: pytest.MonkeyPatch, act: Callable[[int], object]) -> None:
    """Called with the number of each page of the listing, once it is compared."""
    number = iter(range(1000))

    async def reached(point: str, subject: str = "") -> None:
        if point == "drift.page":
            act(next(number))

    monkeypatch.setattr(reading, "areach", reached)


def die(page: int, number: int) -> None:
    if number == page:
        raise LookKilled


async def test_names_in_any_order_of_a_store_are_compared_with_those_of_the_record(
    drifting: Drifting, bucket: OutsideBucket, paged: list[bytes]
) -> None:
    end = await drifting.look()
    assert end.counts == {"new": len(FLAT) + 7 + 4}
    before = await drifting.nodes()
    assert (await drifting.look()).counts == {}
    bucket.put(b"flat/05", b"other")
    bucket.put(b"flat/05a", b"new")
    for gone in (b"flat/00", b"flat/11", b"flat/23", b"p-b", b"p/x/y"):
        bucket.remove(gone)
    end = await drifting.look()
    assert end.counts == {"changed": 1, "new": 1, "missed": 5}
    await drifting.look()
    after = await drifting.nodes()
    missing = {path for path, (_, state) in after.items() if state != "active"}
    assert missing == {"flat/00", "flat/11", "flat/23", "p-b", "p/x/y"}
    assert {path: after[path][0] for path in before} == {path: before[path][0] for path in before}
    assert (await drifting.look()).counts == {}
    assert set(paged) == {b""}


async def test_a_look_at_a_bucket_that_was_cut_off_goes_on_at_its_cursor(
    drifting: Drifting, bucket: OutsideBucket, paged: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    await drifting.look()
    for path in (b"flat/03", b"flat/12", b"q"):
        bucket.put(path, b"other")
    bucket.put(b"flat/10a", b"new")
    bucket.remove(b"flat/02")
    bucket.remove(b"flat/20")
    opened, read = drifting.executor.open, list[bytes]()

    def open_one(path: NodePath) -> Any:
        read.append(path.raw)
        return opened(path)

    look = await drifting.begin()
    paged.clear()
    cuts = (4, 3, 2)
    for cut in cuts:
        at_page(monkeypatch, partial(die, cut))
        with pytest.raises(LookKilled):
            await drifting.read(look)
    at_page(monkeypatch, lambda number: None)
    monkeypatch.setattr(drifting.executor, "open", open_one)
    assert await drifting.read(look)
    assert (paged[0], len(paged), len(set(paged))) == (b"", len(cuts) + 1, len(cuts) + 1), "each began further on"
    assert b"flat/03" not in read, "its page was done"
    end = await drifting.conclude(look)
    assert end.counts == {"changed": 3, "new": 1, "missed": 2}
    assert (await drifting.rows("SELECT seen FROM filestore.looks WHERE id = %s", look))[0]["seen"] >= len(FLAT)
    for table in ("look_pages", "look_entries"):
        assert await drifting.rows(f"SELECT FROM filestore.{table} WHERE look_id = %s", look) == []


async def test_what_was_come_upon_after_the_last_page_is_read_anew(
    drifting: Drifting, bucket: OutsideBucket, paged: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    await drifting.look()
    bucket.put(b"flat/00a", b"new, and gone before the look went on")
    look = await drifting.begin()
    at_page(monkeypatch, partial(die, 0))
    monkeypatch.setattr(keys, "HELD", 3)
    with pytest.raises(LookKilled):
        await drifting.read(look)
    bucket.remove(b"flat/00a")
    at_page(monkeypatch, lambda number: None)
    async with drifting.pool.connection() as connection:
        await connection.execute(b"DELETE FROM filestore.look_pages")
    assert await drifting.read(look)
    assert (await drifting.conclude(look)).counts == {}


async def test_a_key_that_a_listing_leaves_out_is_asked_for(
    drifting: Drifting, bucket: OutsideBucket, paged: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    await drifting.look()
    scan, hidden = drifting.executor.scan, {b"flat/07", b"p/x", b"p/x/w", b"p/x/y", b"q", b"flat/01", b"flat-more/a"}

    def hiding(*args: Any, **more: Any) -> Iterator[ScanPage]:
        for page in scan(*args, **more):
            told = [one for one in page.entries if one.path not in hidden]
            yield ScanPage(told, page.cursor, page.folders, page.unseen)

    monkeypatch.setattr(drifting.executor, "scan", hiding)
    bucket.remove(b"flat/01")
    end = await drifting.look()
    assert end.counts == {"missed": 1}
    states = await drifting.states()
    assert {path for path, state in states.items() if state != "active"} == {"flat/01"}
    await drifting.look()
    assert (await drifting.states())["flat/01"] == "missing"


async def test_an_emptied_prefix_is_compared_a_slice_at_a_time(
    drifting: Drifting, bucket: OutsideBucket, paged: list[bytes]
) -> None:
    await drifting.look()
    for path in FLAT[1:]:
        bucket.remove(path)
    await drifting.settle()
    states = await drifting.states()
    assert {path for path, state in states.items() if state == "missing"} == {path.decode() for path in FLAT[1:]}
    bucket.put(FLAT[5], FLAT[5])
    await drifting.look()
    assert (await drifting.states())[FLAT[5].decode()] == "active"


async def test_a_cursor_that_the_store_does_not_take_any_more_begins_the_look_anew(
    drifting: Drifting, bucket: OutsideBucket, paged: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    look = await drifting.begin()
    at_page(monkeypatch, partial(die, 4))
    with pytest.raises(LookKilled):
        await drifting.read(look)
    at_page(monkeypatch, lambda number: None)
    scan = drifting.executor.scan

    def forgetful(path: NodePath, after: bytes = b"", most: int = 3) -> Iterator[ScanPage]:
        if after:
            raise OSError(errno.EIO, "the store answered 400 InvalidArgument")
        yield from scan(path, after, most)

    monkeypatch.setattr(drifting.executor, "scan", forgetful)
    with pytest.raises(OSError, match="InvalidArgument"):
        await drifting.read(look)
    assert await drifting.read(look)
    assert (await drifting.conclude(look)).counts == {"new": len(FLAT) + 7 + 4}
