"""A person's wait before a background fill: whose contents become hot first."""

import base64
import uuid
from typing import Any

from activities.sync.pages import TierOrder
from schema.ids import MountId
from schema.store import objects, projects
from schema.sync.changes import ChangeKind, PathChange
from schema.sync.ranks import PAGE, SMALL_PAGE, WorkRank
from schema.sync.tiers import Tier, TierMove
from tests.store.sync.projects import send
from tests.store.sync.test_cold import ProjectOnDisk
from tests.store.sync.test_cold import disk as disk

MANY = PAGE + 50


async def all_cold(disk: ProjectOnDisk, *contents: bytes) -> list[str]:
    shas = await disk.put(*contents)
    await disk.all_pages(disk.tiers.archive)
    await disk.all_pages(disk.tiers.evict)
    return shas


async def begin(disk: ProjectOnDisk, **options: Any) -> str:
    id = str(uuid.uuid4())
    async with disk.pool.connection() as connection:
        await projects.begin_job(connection, id, disk.project.id, "promote", options, "admin")
    return id


async def hot(disk: ProjectOnDisk, shas: list[str]) -> int:
    return (await disk.tiers_of(shas)).count(Tier.HOT_COLD)


async def test_what_somebody_waits_for_is_hot_while_the_rest_is_filled_in_small_pages(disk: ProjectOnDisk) -> None:
    shas = await all_cold(disk, *(b"%d" % number for number in range(MANY)))
    (wanted,) = await all_cold(disk, b"wanted")
    change = PathChange(ChangeKind.PUT, b"d/f", None, wanted, 6, 0o644, checked=False)
    async with disk.pool.connection() as connection:
        await send(connection, disk.project, change)
    fill = TierOrder(disk.project.mount, disk.project.id)
    await disk.rehydrates.rehydrate(fill)
    assert (await hot(disk, shas), await hot(disk, [wanted])) == (PAGE, 0), "alone the fill takes whole pages"
    job = await begin(disk, rank=int(WorkRank.NOW), first=[base64.b64encode(b"d").decode()], only=True)
    await disk.rehydrates.rehydrate(fill)
    assert await hot(disk, shas) == PAGE + SMALL_PAGE
    paths = (base64.b64encode(b"d").decode(),)
    page = await disk.rehydrates.rehydrate(
        TierOrder(disk.project.mount, disk.project.id, job, first=paths, only=True, rank=WorkRank.NOW)
    )
    assert (page.done, await hot(disk, [wanted])) == (1, 1), "it takes its own, and nothing of the fill's"
    async with disk.pool.connection() as connection:
        await projects.end_job(connection, job)
    await disk.rehydrates.rehydrate(fill)
    assert await hot(disk, shas) == MANY


async def test_a_page_that_was_broken_off_does_not_keep_a_person_waiting(disk: ProjectOnDisk) -> None:
    """Others are on their way: those that somebody waits for go first, and nothing else is his."""
    mine, others = await all_cold(disk, b"mine", b"others")
    change = PathChange(ChangeKind.PUT, b"f", None, mine, 4, 0o644, checked=False)
    async with disk.pool.connection() as connection:
        await send(connection, disk.project, change)
        await objects.move(connection, disk.project.id, TierMove.REHYDRATE, [others])
    page = await disk.rehydrates.rehydrate(
        TierOrder(disk.project.mount, disk.project.id, first=(base64.b64encode(b"f").decode(),), only=True)
    )
    assert (page.done, await disk.tiers_of([mine, others])) == (1, [Tier.HOT_COLD, Tier.REHYDRATING])


async def test_a_job_goes_before_those_of_lower_ranks_on_its_mount_alone(disk: ProjectOnDisk) -> None:
    async def behind(rank: WorkRank, mount: MountId | None = None) -> bool:
        async with disk.pool.connection() as connection:
            return await projects.is_behind(connection, mount or disk.project.mount, rank)

    assert not await behind(WorkRank.BACKGROUND)
    job = await begin(disk)
    assert await behind(WorkRank.BACKGROUND) and not await behind(WorkRank.NORMAL)
    assert not await behind(WorkRank.BACKGROUND, MountId(disk.project.mount + 1))
    async with disk.pool.connection() as connection:
        await projects.end_job(connection, job)
    assert not await behind(WorkRank.BACKGROUND)
