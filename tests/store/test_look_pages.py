"""A look compares the directories that the record knows as wholes, in pages, and goes on after the last one."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from activities.drift import known, reading
from activities.drift.listers import Listers
from activities.executors.contract.folders import FolderPage, SievedPage
from activities.executors.contract.listing import ScanPage
from activities.executors.local.executor import LocalExecutor
from schema.paths import NodePath
from schema.store.pool import Pool
from tests.store.drift import Drifting, make_drifting
from tests.store.helpers import Protocol

FILES = ("a", "b", "d/a", "d/b", "d/e/c", "d/f", "e/a", "e/b/a", "f/a", "g/a")


@pytest.fixture
async def paged(pool: Pool, tmp_path: Path, protocol: Protocol, monkeypatch: pytest.MonkeyPatch) -> Drifting:
    """Seven directories, of which two are a page."""
    drifting = await make_drifting(pool, tmp_path / "root", protocol, FILES)
    await drifting.settle()
    monkeypatch.setattr(known, "PAGE", 2)
    return drifting


def between_pages(monkeypatch: pytest.MonkeyPatch, act: Callable[[int], object]) -> None:
    """Called with the number of each page, once what differs in it is kept."""
    number = iter(range(100))

    async def reached(point: str, subject: str = "") -> None:
        if point == "drift.differing":
            act(next(number))

    monkeypatch.setattr(reading, "areach", reached)


async def test_what_did_not_change_is_not_read_by_name(paged: Drifting, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[bytes] = []
    scan = LocalExecutor.scan

    def scanned(self: LocalExecutor, path: NodePath, after: bytes = b"", most: int = 2000) -> Iterator[ScanPage]:
        listed.append(path.raw)
        return scan(self, path, after, most)

    monkeypatch.setattr(LocalExecutor, "scan", scanned)
    assert (await paged.look()).counts == {}
    assert listed == []
    paged.write("e/b/a", "other")
    end = await paged.look()
    assert (end.counts, sorted(listed)) == ({"changed": 1}, [b"e/b"])
    seen = await paged.rows("SELECT seen FROM filestore.looks ORDER BY id DESC LIMIT 1")
    assert seen == [{"seen": 16}]


async def test_a_look_that_was_cut_off_goes_on_after_its_last_page(
    paged: Drifting, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        pass

    def die(number: int) -> None:
        if number == 2:
            raise Killed

    compared: list[bytes] = []
    sieved = Listers.compare

    async def compare(self: Listers, page: FolderPage, *, alone: bool) -> SievedPage:
        compared.extend(page.paths.split(b"\0"))
        return await sieved(self, page, alone=alone)

    paged.write("a", "other")
    paged.write("new/below/x")
    paged.write("g/a", "other")
    look = await paged.begin()
    between_pages(monkeypatch, die)
    with pytest.raises(Killed):
        await paged.read(look)
    assert await paged.rows("SELECT count(*) AS n FROM filestore.look_pages WHERE look_id = %s", look) == [{"n": 2}]
    between_pages(monkeypatch, lambda number: None)
    monkeypatch.setattr(Listers, "compare", compare)
    assert await paged.read(look)
    assert compared == [b"e/b/", b"f/", b"g/"], "the root, d, d/e and e were done"
    end = await paged.conclude(look)
    assert (end.counts["changed"], end.counts["new"], end.again) == (2, 3, False)
    assert await paged.problems() == []
    assert await paged.rows("SELECT count(*) AS n FROM filestore.look_pages WHERE look_id = %s", look) == [{"n": 0}]


async def test_a_file_that_moves_to_a_page_that_is_done_is_not_taken_for_gone(
    paged: Drifting, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await paged.nodes()

    def move(number: int) -> None:
        if number == 0:
            paged.rename("g/a", "d/from-g")
            paged.rename("f", "d/f-too")

    between_pages(monkeypatch, move)
    end = await paged.look()
    assert (end.counts, end.again) == ({"moved": 2}, False)
    after = await paged.nodes()
    assert (after["d/from-g"], after["d/f-too/a"]) == (before["g/a"], before["f/a"])
    assert await paged.problems() == []


async def test_a_directory_below_one_that_stands_elsewhere_is_looked_at_where_it_lies(paged: Drifting) -> None:
    paged.rename("e", "away")
    paged.rename("f", "e")
    paged.write("away/b/a", "other")
    paged.write("e/new/x")
    end = await paged.look()
    assert (end.counts["moved"], end.counts["changed"], end.counts["new"], end.again) == (2, 1, 2, False)
    assert await paged.problems() == []
    assert (await paged.look()).counts == {}


async def test_a_look_at_a_tree_compares_the_directories_of_that_tree(paged: Drifting) -> None:
    paged.write("e/b/a", "other")
    paged.write("f/a", "other")
    end = await paged.look("e", whole=False)
    assert end.counts == {"changed": 1}
    assert (await paged.look("f/a", whole=False)).counts == {"changed": 1}
    assert (await paged.look("nothing", whole=False)).counts == {}


async def test_a_large_directory_is_compared_a_slice_at_a_time(
    paged: Drifting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_SLICE", 2)
    before = await paged.nodes()
    for name in ("d/0", "d/a0", "d/zz"):
        paged.write(name)
    paged.write("d/b", "other")
    paged.rename("d/f", "d/z")
    paged.remove("d/a")
    paged.rename("e/b", "d/moved")
    end = await paged.look()
    assert end.counts == {"new": 3, "changed": 1, "moved": 2, "missed": 1}
    await paged.look()
    after = await paged.nodes()
    assert (after["d/z"], after["d/moved/a"]) == (before["d/f"], before["e/b/a"])
    assert after["d/a"][1] == "missing"
    assert await paged.problems() == []
    paged.write("d/a")
    await paged.settle()
    assert (await paged.look()).counts == {}
