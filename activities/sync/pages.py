"""Pages of work on the contents of a project. A page begins from the rows, so one that was broken off is done again by the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from temporalio.exceptions import ApplicationError

from activities.sync.hot import HotUnavailable
from schema.access.acts import ActKind
from schema.access.holds import Taking
from schema.events import EventType
from schema.ids import MountId
from schema.paths import ROOT
from schema.store import freezes, holds, objects, project_acts, projects, revisions
from schema.sync.happenings import object_event
from schema.sync.ranks import AT_ONCE, AT_ONCE_BEHIND, PAGE, SMALL_PAGE, WorkRank, rank_in
from schema.sync.tiers import TierMove

if TYPE_CHECKING:
    from activities.sync.contents import Contents
    from schema.store.objects import ObjectRow
    from schema.store.pool import Pool
    from schema.store.projects import Project

FREEZE_LOOK = timedelta(seconds=10)
"""A page of a frozen mount is tried again after this time"""


@dataclass(frozen=True, slots=True)
class TierOrder:
    """`job`: whose progress is written, where it is one of a client. `idle`: only what was not used for so many seconds."""

    mount: MountId
    project: int
    job: str = ""
    idle: float = 0.0
    pinned: bool = False
    """Also what is pinned"""
    after: str = ""
    """The last object of the page before"""
    first: tuple[str, ...] = ()
    """Paths, in base64, whose contents come before all others"""
    only: bool = False
    """Those alone"""
    room: int | None = None
    """So many bytes may stay hot"""
    rank: int = WorkRank.BACKGROUND
    """What is done before it, and what after: `schema/sync/ranks.py`"""


def order_of(mount: MountId, project: int, job: str, options: Mapping[str, Any]) -> TierOrder:
    """As a job's row has it."""
    first = tuple(options.get("first", ()))
    idle, only = options.get("idle", 0.0), bool(options.get("only"))
    return TierOrder(mount, project, job, idle, first=first, only=only, rank=rank_in(options))


@dataclass(frozen=True, slots=True)
class TierPage:
    """`left`: there is more. `failed`: objects of this page that could not be moved. `stops`: its job was cancelled."""

    done: int
    failed: int
    left: bool
    last: str = ""
    stops: bool = False


@dataclass(frozen=True, slots=True)
class ProjectStep:
    """A state of a project follows another one. `problem`: of a job that ends with it."""

    mount: MountId
    project: int
    job: str
    state: str = ""
    froms: tuple[str, ...] = ()
    problem: str = ""
    cancelled: bool = False


async def check_unfrozen(pool: Pool, project: Project) -> None:
    """For a page that changes cold copies. Raises ApplicationError: it waits for the end of the freeze, and says so."""
    async with pool.connection() as connection:
        freeze = await freezes.of_mounts(connection, project.tenant, [project.mount])
    if freeze is not None:
        refusal = freeze.refusal()
        raise ApplicationError(refusal.message, type=refusal.code, next_retry_delay=FREEZE_LOOK)


async def held(pool: Pool, project: Project) -> bool:
    """A hold on the whole of its mount is about cold copies, too: nothing of the project goes for good until that ends."""
    async with pool.connection() as connection:
        return bool(await holds.in_the_way(connection, [Taking(project.mount, ROOT, False)]))


class TierPages:
    """What all work on tiers does: rows moved and told of, progress kept, many at a time."""

    def __init__(self, contents: Contents, announce: Callable[[], None]) -> None:
        """`announce`: called when there are new events in the feed."""
        self.contents, self.pool, self._announce = contents, contents.pool, announce

    async def project(self, order: TierOrder) -> Project:
        async with self.pool.connection() as connection:
            project = await projects.of_id(connection, order.project)
        assert project is not None
        return project

    async def unfrozen(self, order: TierOrder) -> Project:
        """The project of a page that changes cold copies."""
        project = await self.project(order)
        await check_unfrozen(self.pool, project)
        return project

    async def is_behind(self, order: TierOrder) -> bool:
        """Whether something of a higher rank runs on the mount."""
        if order.rank <= WorkRank.NOW:
            return False
        async with self.pool.connection() as connection:
            return await projects.is_behind(connection, order.mount, order.rank)

    async def size(self, order: TierOrder) -> int:
        """So many contents are one page."""
        return SMALL_PAGE if await self.is_behind(order) else PAGE

    async def all(
        self, order: TierOrder, project: Project, rows: Sequence[ObjectRow], phase: str,
        one: Callable[[Project, ObjectRow], Awaitable[bool]],
    ) -> TierPage:  # fmt: skip
        room = asyncio.Semaphore(AT_ONCE_BEHIND if await self.is_behind(order) else AT_ONCE)

        async def carried(row: ObjectRow) -> bool:
            async with room:
                return await one(project, row)

        results = await asyncio.gather(*(carried(row) for row in rows), return_exceptions=True)
        broken = next((result for result in results if isinstance(result, BaseException)), None)
        done = [row for row, result in zip(rows, results, strict=True) if result is True]
        if broken is not None and not done:
            raise broken
        return await self.ended(order, phase, done, len(rows) - len(done))

    async def ended(self, order: TierOrder, phase: str, done: Sequence[ObjectRow], failed: int) -> TierPage:
        await self.note(order, phase, done)
        stops = await self.advance(order, phase, len(done), sum(row.size for row in done))
        self._announce()
        return TierPage(len(done), failed, bool(done), stops=stops)

    async def note(self, order: TierOrder, phase: str, rows: Sequence[ObjectRow]) -> None:
        """In the journal: contents were moved. Their events, which are written with each row, are in the feed."""
        if not rows:
            return
        project = await self.project(order)
        told: dict[str, Any] = {"job": order.job or None, "phase": phase, "objects": [row.sha for row in rows],
                "sizeBytes": sum(row.size for row in rows)}  # fmt: skip
        async with self.pool.connection() as connection:
            await project_acts.record(connection, project, ActKind.MOVE_PROJECT_CONTENTS, project_acts.SERVICE, **told)

    async def move(
        self, project: Project, move: TierMove, row: ObjectRow, told: EventType | None = None, key: str | None = None
    ) -> bool:
        return bool(await self.move_many(project, move, [row.sha], told, None if key is None else [key]))

    async def move_many(
        self, project: Project, move: TierMove, shas: Sequence[str], told: EventType | None = None,
        keys: Sequence[str] | None = None,
    ) -> list[ObjectRow]:  # fmt: skip
        async with self.pool.connection() as connection, connection.transaction():
            moved = await objects.move(connection, project.id, move, shas, cold_keys=keys, verified=keys is not None)
            if moved and told is not None:
                events = [object_event(project, told, row.sha, row.size) for row in moved]
                await revisions.tell(connection, project, events)
        await self.describe(project, moved)
        return moved

    async def describe(self, project: Project, rows: Sequence[ObjectRow]) -> None:
        """The index says what the rows say, as far as the hot store answers."""
        with suppress(HotUnavailable):
            described = {
                row.sha: {"size": row.size, "tier": row.tier.value, "cold": {"key": row.cold_key}} for row in rows
            }
            await self.contents.hot(project).describe(project.tenant, described)

    async def advance(self, order: TierOrder, phase: str, items: int, size: int) -> bool:
        """Whether the job was cancelled."""
        if not order.job:
            return False
        async with self.pool.connection() as connection:
            return await projects.advance_job(connection, order.job, phase, items, size)
