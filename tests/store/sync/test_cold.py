"""Contents between a real NATS, a disk and the record: in packs, and out of an archive class."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

from activities.executors.contract.cold import ColdCopies, ColdFile
from activities.executors.local.executor import LocalExecutor
from activities.sync.collect import Collects
from activities.sync.contents import Contents
from activities.sync.nats.store import NatsHot
from activities.sync.nats.tenants import OneHot
from activities.sync.pages import TierOrder, TierPage, TierPages
from activities.sync.rehydrate import Rehydrates
from activities.sync.tiers import Tiers
from activities.threads import MountThreads
from schema.ids import MountId
from schema.paths import ROOT
from schema.store import holds, objects
from schema.store.pool import Pool
from schema.store.projects import Project
from schema.store.revisions import CommitRefused
from schema.sync.changes import ChangeKind, PathChange
from schema.sync.tiers import Tier, TierMove
from tests.store.helpers import make_mount
from tests.store.operation_rows import blocked
from tests.store.sync.projects import make_project, send

MOUNT = "0190a1b2-0000-7000-8000-000000000001"


class ArchiveOfTest:
    """Cold copies that lie in an archive class until they were asked for and some time has passed."""

    def __init__(self, below: ColdCopies) -> None:
        self._below = below
        self.frozen, self.asked = False, list[str]()

    def put(self, key: str, content: BinaryIO, sha: str, size: int) -> None:
        self._below.put(key, content, sha, size)

    def holds(self, key: str, sha: str, size: int) -> bool:
        return self._below.holds(key, sha, size)

    def read(self, key: str, start: int = 0, size: int | None = None) -> Iterator[bytes]:
        if self.frozen:
            raise OSError("InvalidObjectState")
        return self._below.read(key, start, size)

    def thaw(self, key: str) -> bool:
        if self.frozen:
            self.asked.append(key)
        return not self.frozen

    def delete(self, key: str) -> None:
        self._below.delete(key)

    def keys(self, prefix: str) -> Iterator[ColdFile]:
        return self._below.keys(prefix)


class ProjectOnDisk:
    def __init__(self, pool: Pool, hot: NatsHot, folder: Path) -> None:
        self.archive, self.folder = ArchiveOfTest(LocalExecutor.register(str(folder), MOUNT).cold()), folder
        self.contents = Contents(pool, OneHot(hot), cast(Any, self), MountThreads("cold", 2))
        pages = TierPages(self.contents, lambda: None)
        self.tiers, self.rehydrates, self.collects, self.pool = Tiers(pages), Rehydrates(pages), Collects(pages), pool
        self.project: Project = cast(Any, None)

    def of(self, mount: int) -> "ProjectOnDisk":
        return self

    def cold(self) -> ColdCopies:
        return self.archive

    async def put(self, *contents: bytes) -> list[str]:
        named = {hashlib.sha256(content).hexdigest(): content for content in contents}
        await self.contents.put_small(self.project, named)
        return list(named)

    async def all_pages(self, one: Any, **order: Any) -> TierPage:
        while True:
            page: TierPage = await one(TierOrder(self.project.mount, self.project.id, **order))
            if not page.left:
                return page

    async def tiers_of(self, shas: list[str]) -> list[Tier]:
        async with self.pool.connection() as connection:
            rows = await objects.known(connection, self.project.id, shas)
        return [rows[sha].tier for sha in shas if sha in rows]

    def files(self) -> list[Path]:
        return [path for path in (self.folder / ".filestore/cold").rglob("*") if path.is_file()]


@pytest.fixture
async def disk(pool: Pool, hot: NatsHot, tmp_path: Path) -> AsyncIterator[ProjectOnDisk]:
    made = ProjectOnDisk(pool, hot, tmp_path)
    async with pool.connection() as connection:
        made.project = await make_project(connection, await make_mount(connection))
    yield made


async def unlease(pool: Pool, shas: list[str]) -> None:
    query = b"UPDATE filestore.project_objects SET lease_until = NULL WHERE sha = %s"
    async with pool.connection() as connection:
        for sha in shas:
            await connection.execute(query, (bytes.fromhex(sha),))


async def hold_mount(pool: Pool, mount: MountId) -> int:
    async with pool.connection() as connection:
        return await holds.create(connection, "main", mount, ROOT, "legal", "case 1", None, "ann")


async def test_small_contents_lie_together_and_are_read_moved_and_collected_alone(disk: ProjectOnDisk) -> None:
    small = await disk.put(*(os.urandom(size) for size in (1, 10, 1000, 60_000)), b"")
    (large,) = await disk.put(os.urandom(100_000))
    await disk.all_pages(disk.tiers.archive)
    assert await disk.tiers_of([*small, large]) == [Tier.HOT_COLD] * 6
    assert sorted("packs" in str(path) for path in disk.files()) == [False, True]
    await disk.all_pages(disk.tiers.evict)
    assert await disk.tiers_of([*small, large]) == [Tier.COLD] * 6
    found = await disk.contents.small(disk.project, [*small, large])
    assert [hashlib.sha256(found[sha]).hexdigest() for sha in [*small, large]] == [*small, large]
    await disk.all_pages(disk.rehydrates.rehydrate)
    assert await disk.tiers_of([*small, large]) == [Tier.HOT_COLD] * 6
    # What is not needed any more goes alone; the pack once nothing in it is.
    for gone, left in ((small[:4], 2), (small[4:], 1)):
        await unlease(disk.pool, gone)
        async with disk.pool.connection() as connection:
            assert sorted(await objects.condemn(connection, disk.project.id, gone)) == sorted(gone)
        hold = await hold_mount(disk.pool, disk.project.mount)
        await disk.all_pages(disk.collects.collect, idle=-1.0)
        assert await disk.tiers_of(gone) == [Tier.CONDEMNED] * len(gone), "its mount is held"
        async with disk.pool.connection() as connection:
            await holds.release(connection, hold, "ann")
        await disk.all_pages(disk.collects.collect, idle=-1.0)
        assert await disk.tiers_of(gone) == [] and len(disk.files()) == left


async def test_a_content_that_its_pack_has_lost_keeps_its_hot_copy(disk: ProjectOnDisk) -> None:
    first, second = await disk.put(b"first" * 100, b"second" * 100)
    await disk.all_pages(disk.tiers.archive)
    (pack,) = disk.files()
    pack.write_bytes(pack.read_bytes().replace(b"second" * 100, b"SECOND" * 100))
    await disk.all_pages(disk.tiers.evict)
    assert await disk.tiers_of([first, second]) == [Tier.COLD, Tier.HOT]
    assert set(await disk.contents.small(disk.project, [first, second])) == {first, second}
    await disk.all_pages(disk.tiers.archive)
    await disk.all_pages(disk.tiers.evict)
    assert await disk.tiers_of([first, second]) == [Tier.COLD, Tier.COLD], "it was archived anew"
    assert set(await disk.contents.small(disk.project, [first, second])) == {first, second}


@pytest.mark.parametrize("many", [1, 3])
async def test_what_lies_in_an_archive_class_is_asked_for_once_and_hot_when_it_is_there(
    disk: ProjectOnDisk, many: int
) -> None:
    shas = await disk.put(*(os.urandom(100) for _ in range(many)))
    await disk.all_pages(disk.tiers.archive)
    await disk.all_pages(disk.tiers.evict)
    disk.archive.frozen = True
    await disk.all_pages(disk.rehydrates.rehydrate)
    assert await disk.tiers_of(shas) == [Tier.RESTORING] * many and len(set(disk.archive.asked)) == 1
    page = await disk.all_pages(disk.rehydrates.thaw)
    assert (page.done, page.failed) == (0, many)
    assert await disk.tiers_of(shas) == [Tier.RESTORING] * many
    disk.archive.frozen = False
    await disk.all_pages(disk.rehydrates.thaw)
    assert await disk.tiers_of(shas) == [Tier.HOT_COLD] * many


async def test_contents_that_many_archive_at_once_have_one_place_each(disk: ProjectOnDisk) -> None:
    shas = await disk.put(*(b"%d" % n for n in range(20)))
    await asyncio.gather(*(disk.all_pages(disk.tiers.archive) for _ in range(4)))
    await disk.all_pages(disk.tiers.evict)
    assert await disk.tiers_of(shas) == [Tier.COLD] * 20
    assert len(await disk.contents.small(disk.project, shas)) == 20


async def test_a_content_that_is_rescued_while_a_move_waits_for_it_is_left_for_the_next_one(
    disk: ProjectOnDisk,
) -> None:
    [sha] = await disk.put(b"condemned")
    await unlease(disk.pool, [sha])
    await disk.all_pages(disk.collects.condemn)
    assert await disk.tiers_of([sha]) == [Tier.CONDEMNED]

    async def archived() -> list[str]:
        async with disk.pool.connection() as connection:
            rows = await objects.move(
                connection, disk.project.id, TierMove.ARCHIVED, [sha], cold_keys=["k"], verified=True
            )
        return [row.tier for row in rows]

    async with disk.pool.connection() as holder, holder.transaction():
        await objects.rescue(holder, disk.project.id, [sha])
        moving = asyncio.create_task(archived())
        await blocked(holder)
    assert await moving == [] and await disk.tiers_of([sha]) == [Tier.HOT]
    assert await archived() == [Tier.HOT_COLD]


async def test_no_mover_takes_the_last_copy_of_what_is_needed_while_all_of_them_work(disk: ProjectOnDisk) -> None:
    """Readers, a writer that puts and commits the same contents anew, archive, evict, rehydrate and collect, all at once."""
    contents = {hashlib.sha256(one).hexdigest(): one for one in (os.urandom(300 + 9000 * n) for n in range(12))}
    needed: set[str] = set()
    over = asyncio.Event()

    async def again(one: Any, **order: Any) -> None:
        while not over.is_set():
            await one(TierOrder(disk.project.mount, disk.project.id, **order))

    async def condemn() -> None:
        while not over.is_set():
            await unlease(disk.pool, list(contents))
            await disk.collects.condemn(TierOrder(disk.project.mount, disk.project.id))
            await disk.collects.collect(TierOrder(disk.project.mount, disk.project.id, idle=-1.0))

    async def commit(sha: str, content: bytes) -> None:
        """As a node: what the commit asks for is put again."""
        while True:
            await disk.contents.put_small(disk.project, {sha: content})
            change = PathChange(ChangeKind.PUT, sha.encode(), None, sha, len(content), 0o644, checked=False)
            try:
                async with disk.pool.connection() as connection:
                    await send(connection, disk.project, change)
                break
            except CommitRefused as refused:
                assert refused.code == "objects_needed"
        needed.add(sha)

    async def read() -> None:
        while not over.is_set():
            for sha in list(needed):
                async with disk.pool.connection() as connection:
                    row = (await objects.known(connection, disk.project.id, [sha]))[sha]
                content = b"".join([piece async for piece in disk.contents.read(disk.project, row)])
                assert content == contents[sha]
            await asyncio.sleep(0)

    movers = [
        again(disk.tiers.archive),
        again(disk.tiers.evict),
        again(disk.rehydrates.rehydrate),
        condemn(),
        read(),
        read(),
    ]
    working = [asyncio.ensure_future(one) for one in movers]
    for _ in range(3):
        await asyncio.gather(*(commit(sha, content) for sha, content in contents.items()))
    over.set()
    await asyncio.gather(*working)
    assert needed == contents.keys()
    assert await disk.contents.small(disk.project, contents) == contents
