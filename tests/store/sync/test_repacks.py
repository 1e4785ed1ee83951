"""Mostly dead packs are written anew, once, and those that read them meanwhile notice nothing."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from activities.sync.pages import TierOrder, TierPages
from activities.sync.repacks import Repacks
from activities.sync.sweeps import Sweeps
from schema import faults
from schema.faults import InjectedFault
from schema.store import objects, project_due, project_numbers
from schema.sync.tiers import Tier
from tests.store.sync.test_cold import ProjectOnDisk, unlease
from tests.store.sync.test_cold import disk as disk


class PacksOfTest:
    """A pack of ten contents of 1,000 bytes, of which three are needed still, and all are cold alone."""

    def __init__(self, disk: ProjectOnDisk) -> None:
        self.disk = disk
        self.repacks = Repacks(TierPages(disk.contents, lambda: None), 0.5)
        self.sweeps = Sweeps(disk.contents)
        self.contents: dict[str, bytes] = {}

    async def fill(self) -> None:
        made = [os.urandom(1000) for _ in range(10)]
        shas = await self.disk.put(*made)
        await self.disk.all_pages(self.disk.tiers.archive)
        await self.disk.all_pages(self.disk.tiers.evict)
        await unlease(self.disk.pool, shas[3:])
        async with self.disk.pool.connection() as connection:
            await objects.condemn(connection, self.disk.project.id, shas[3:])
        await self.disk.all_pages(self.disk.collects.collect, idle=-1.0)
        self.contents |= dict(zip(shas[:3], made[:3], strict=True))

    async def repack(self) -> int:
        page = await self.repacks.repack(TierOrder(self.disk.project.mount, self.disk.project.id))
        return page.done

    async def sweep(self, grace: float) -> int:
        return (await self.sweeps.copies(TierOrder(self.disk.project.mount, self.disk.project.id, idle=grace))).done

    async def dead_bytes(self) -> int:
        async with self.disk.pool.connection() as connection:
            found = await project_numbers.numbers(connection)
        return next(one.dead_bytes for one in found if one.name == self.disk.project.name)

    async def is_whole(self) -> bool:
        expected = dict(self.contents)
        return await self.disk.contents.small(self.disk.project, expected) == expected


@pytest.fixture
async def packs(disk: ProjectOnDisk) -> AsyncIterator[PacksOfTest]:
    made = PacksOfTest(disk)
    await made.fill()
    yield made


async def test_packs_of_which_little_is_needed_become_one_and_their_space_comes_back(packs: PacksOfTest) -> None:
    await packs.fill()
    before = sum(path.stat().st_size for path in packs.disk.files())
    assert (len(packs.disk.files()), await packs.repack()) == (2, 2)
    assert await packs.dead_bytes() > 20_000, "the old ones are there still"
    assert (await packs.repack(), len(packs.disk.files())) == (0, 3), "each is written anew once"
    assert await packs.sweep(3600.0) == 0 and await packs.is_whole()
    assert await packs.sweep(-1.0) == 2 and await packs.is_whole()
    (left,) = packs.disk.files()
    assert left.stat().st_size < before / 2 and await packs.dead_bytes() < 1000
    # What lies in the new pack is moved like any other content.
    await packs.disk.all_pages(packs.disk.rehydrates.rehydrate)
    assert await packs.disk.tiers_of(list(packs.contents)) == [Tier.HOT_COLD] * 6


async def test_a_pack_of_which_enough_is_needed_stays(packs: PacksOfTest) -> None:
    packs.repacks = Repacks(TierPages(packs.disk.contents, lambda: None), 0.2)
    assert await packs.repack() == 0 and 6000 < await packs.dead_bytes() < 9000
    assert await packs.sweep(-1.0) == 0 and await packs.is_whole()


async def test_a_pack_of_tiny_contents_that_are_all_needed_stays(packs: PacksOfTest) -> None:
    """Most of it is its index."""
    await packs.repack()
    shas = await packs.disk.put(*(b"%d" % n for n in range(50)))
    await packs.disk.all_pages(packs.disk.tiers.archive)
    assert await packs.repack() == 0
    assert len(await packs.disk.contents.small(packs.disk.project, shas)) == 50


async def test_a_crash_between_the_new_pack_and_the_switch_leaves_the_old_one_and_the_next_sweep_takes_the_new(
    packs: PacksOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FILESTORE_FAULT", "sync.repacked=fail")
    faults.arm()
    with pytest.raises(InjectedFault):
        await packs.repack()
    monkeypatch.delenv("FILESTORE_FAULT")
    faults.arm()
    assert len(packs.disk.files()) == 2 and await packs.is_whole()
    assert await packs.sweep(-1.0) == 1 and await packs.is_whole()
    assert await packs.repack() == 1 and await packs.is_whole()


async def test_of_two_that_write_a_pack_anew_at_once_one_does(packs: PacksOfTest) -> None:
    await asyncio.gather(*(packs.repack() for _ in range(4)))
    assert await packs.is_whole()
    await packs.sweep(-1.0)
    assert len(packs.disk.files()) == 1 and await packs.is_whole()


async def test_a_reader_that_has_the_row_of_before_reads_the_same_content(packs: PacksOfTest) -> None:
    """While the old pack stays, and behind its end."""
    async with packs.disk.pool.connection() as connection:
        rows = await objects.known(connection, packs.disk.project.id, packs.contents)
    await packs.repack()
    for grace in (3600.0, -1.0):
        await packs.sweep(grace)
        for sha, row in rows.items():
            read = b"".join([piece async for piece in packs.disk.contents.read_cold(packs.disk.project, row)])
            assert read == packs.contents[sha]


async def test_readers_and_movers_go_on_while_packs_are_written_anew(packs: PacksOfTest) -> None:
    over = asyncio.Event()

    async def again(one: Any) -> None:
        while not over.is_set():
            await one(TierOrder(packs.disk.project.mount, packs.disk.project.id))

    async def read() -> None:
        while not over.is_set():
            assert await packs.is_whole()

    working = [asyncio.ensure_future(one) for one in (
        read(), again(packs.disk.tiers.evict), again(packs.disk.rehydrates.rehydrate), again(packs.repacks.repack),
    )]  # fmt: skip
    for _ in range(3):
        await packs.fill()
        await packs.repack()
        await packs.sweep(3600.0)
    over.set()
    await asyncio.gather(*working)
    await packs.sweep(-1.0)
    assert await packs.is_whole()


async def test_what_lies_in_an_archive_class_is_left_for_later(packs: PacksOfTest) -> None:
    packs.disk.archive.frozen = True
    assert await packs.repack() == 0
    packs.disk.archive.frozen = False
    assert await packs.repack() == 1 and await packs.is_whole()


async def test_packs_from_before_they_were_counted_are_found_by_the_sweep(packs: PacksOfTest) -> None:
    async with packs.disk.pool.connection() as connection:
        await connection.execute(b"DELETE FROM filestore.project_packs")
    assert await packs.repack() == 0
    assert await packs.sweep(-1.0) == 0
    assert await packs.repack() == 1 and await packs.is_whole()


async def test_a_collection_is_due_a_while_after_the_last_one(packs: PacksOfTest) -> None:
    project, pool = packs.disk.project, packs.disk.pool

    async def due() -> bool:
        async with pool.connection() as connection:
            found = await project_due.due(connection, [project.mount], 3600.0)
        return any(one.uncollected for one in found)

    assert not await due()
    async with pool.connection() as connection:
        await connection.execute(b"UPDATE filestore.projects SET collected_at = now() - interval '2 hours'")
    assert await due()
    await packs.sweeps.collected(TierOrder(project.mount, project.id))
    assert not await due()
