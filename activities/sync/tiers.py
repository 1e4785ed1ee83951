"""Contents between the stores, a page at a time: archived, evicted, rehydrated, looked for, collected. A page begins from the rows,
so one that was broken off is done again by the next.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, Any

from temporalio import activity

from activities.sync.contents import new_cold_key, new_pack_key
from activities.sync.hot import SMALL_MAX, HotMissing, HotUnavailable
from schema.errors import FilestoreError
from schema.events import EventType
from schema.faults import areach
from schema.ids import MountId
from schema.store import objects, project_log, projects, revisions
from schema.sync.cold_packs import MEMBER_MAX, MEMBERS_MIN, laid_out, member_key, place_of
from schema.sync.happenings import object_event, state_changed
from schema.sync.tiers import HAS_HOT, Tier, TierMove

if TYPE_CHECKING:
    from activities.sync.contents import Contents
    from schema.store.objects import ObjectRow
    from schema.store.projects import Project

PAGE = 200
FLUSH_SECONDS = 30.0
"""For so long nodes that are alive may commit what they have"""
LOOK_SECONDS = 0.5
_AT_ONCE = 8


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


def order_of(mount: MountId, project: int, job: str, options: Mapping[str, Any]) -> TierOrder:
    """As a job's row has it."""
    first = tuple(options.get("first", ()))
    return TierOrder(mount, project, job, options.get("idle", 0.0), first=first, only=bool(options.get("only")))


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


class Tiers:
    def __init__(self, contents: Contents, announce: Callable[[], None]) -> None:
        self._contents, self._pool, self._announce = contents, contents.pool, announce

    # -- archive -------------------------------------------------------------------------------------------------------

    @activity.defn(name="sync_archive")
    async def archive(self, order: TierOrder) -> TierPage:
        """What is hot alone gets a cold copy, which is verified before the row says so; small ones get one together."""
        project = await self._project(order)
        async with self._pool.connection() as connection:
            rows = await objects.in_tier(connection, project.id, Tier.HOT, PAGE, idle=order.idle)
        small = [row for row in rows if row.size <= MEMBER_MAX]
        if len(small) >= MEMBERS_MIN and (packed := await self._archive_pack(project, small)):
            return await self._ended(order, "archive", packed, len(small) - len(packed))
        return await self._all(order, project, rows, "archive", self._archive_one)

    async def _archive_pack(self, project: Project, rows: Sequence[ObjectRow]) -> Sequence[ObjectRow]:
        """Those that have a place in a pack by now."""
        contents = await self._contents.hot(project).get_many(project.uuid, [row.sha for row in rows])
        if len(contents) < MEMBERS_MIN:
            return []
        body, starts = laid_out(contents)
        key, sha = new_pack_key(project), hashlib.sha256(body).hexdigest()
        await self._contents.put_cold(project, key, io.BytesIO(body), sha, len(body))
        await areach("sync.archived")
        if not await self._contents.holds_cold(project, key, sha, len(body)):
            return []
        keys = {sha: member_key(key, start) for sha, start in starts.items()}
        moved = await self._move_many(
            project, TierMove.ARCHIVED, list(keys), EventType.OBJECT_ARCHIVED, list(keys.values())
        )
        if not moved:
            await self._contents.delete_cold(project, key)
        return moved

    async def _archive_one(self, project: Project, row: ObjectRow) -> bool:
        key = new_cold_key(project, row.sha)
        try:
            with tempfile.SpooledTemporaryFile(SMALL_MAX) as file:
                async with aclosing(_hot_pieces(self._contents, project, row)) as pieces:
                    async for piece in pieces:
                        file.write(piece)
                file.seek(0)
                await self._contents.put_cold(project, key, file, row.sha, row.size)  # type: ignore[arg-type]
        except HotMissing:
            await self._move(project, TierMove.HOT_LOST, row)
            return False
        await areach("sync.archived")
        if not await self._contents.holds_cold(project, key, row.sha, row.size):
            return False
        moved = await self._move(project, TierMove.ARCHIVED, row, EventType.OBJECT_ARCHIVED, key)
        if not moved:
            await self._contents.delete_cold(project, key)
        return moved

    # -- evict ---------------------------------------------------------------------------------------------------------

    @activity.defn(name="sync_evict")
    async def evict(self, order: TierOrder) -> TierPage:
        """What is cold too leaves the hot store. The cold copy is looked at after the row says `evicting`, and right before the hot
        one goes; what a process that died left evicting is ended first."""
        project = await self._project(order)
        async with self._pool.connection() as connection:
            begun = await objects.in_tier(connection, project.id, Tier.EVICTING, PAGE)
        if not begun:
            async with self._pool.connection() as connection:
                rows = await objects.in_tier(
                    connection, project.id, Tier.HOT_COLD, PAGE, idle=order.idle, unpinned=not order.pinned
                )
                if order.room is not None:
                    rows = too_many(rows, hot_bytes(await objects.totals(connection, project.id)) - order.room)
                shas = [row.sha for row in rows]
                begun = await objects.move(connection, project.id, TierMove.EVICT, shas, unpinned=not order.pinned)
        held = await self._contents.read_packed(project, begun)

        async def one(project: Project, row: ObjectRow) -> bool:
            return await self._evict_one(project, row, row.sha in held)

        return await self._all(order, project, begun, "evict", one)

    async def _evict_one(self, project: Project, row: ObjectRow, held: bool) -> bool:
        """`held`: the pack that it lies in was read a moment ago."""
        assert row.cold_key is not None
        if not held and not await self._contents.holds_cold(project, row.cold_key, row.sha, row.size):
            there = await self._contents.hot(project).has(project.uuid, {row.sha: row.size})
            if there:
                await self._move(project, TierMove.EVICT_REFUSED, row)
            return False
        await self._contents.hot(project).delete(project.uuid, row.sha, row.size)
        await areach("sync.evicted")
        return await self._move(project, TierMove.EVICTED, row, EventType.OBJECT_EVICTED)

    # -- rehydrate -----------------------------------------------------------------------------------------------------

    @activity.defn(name="sync_rehydrate")
    async def rehydrate(self, order: TierOrder) -> TierPage:
        """What is cold becomes hot, too; what was asked for first before all else."""
        project = await self._project(order)
        paths = [base64.b64decode(path) for path in order.first]
        async with self._pool.connection() as connection:
            begun = await objects.in_tier(connection, project.id, Tier.REHYDRATING, PAGE)
            if not begun:
                rows = await objects.cold_below(connection, project.id, paths, PAGE) if paths else []
                if not rows and not order.only:
                    rows = await objects.in_tier(connection, project.id, Tier.COLD, PAGE)
                begun = await objects.move(connection, project.id, TierMove.REHYDRATE, [row.sha for row in rows])
        done = await self._rehydrate_packed(project, begun)
        left = [row for row in begun if row.sha not in done]
        await self._advance(order, "rehydrate", len(done), sum(row.size for row in begun if row.sha in done))
        page = await self._all(order, project, left, "rehydrate", self._rehydrate_one)
        return replace(page, done=page.done + len(done), left=page.left or bool(done))

    async def _rehydrate_packed(self, project: Project, rows: Sequence[ObjectRow]) -> set[str]:
        """Those of packs, of which each is read once. What fails is tried alone."""
        try:
            contents = await self._contents.read_packed(project, rows)
        except (OSError, FilestoreError):
            return set()
        if not contents:
            return set()
        await self._contents.hot(project).put_many(project.uuid, contents)
        moved = await self._move_many(project, TierMove.REHYDRATED, list(contents), EventType.OBJECT_REHYDRATED)
        return {row.sha for row in moved}

    async def _rehydrate_one(self, project: Project, row: ObjectRow) -> bool:
        try:
            if row.size > SMALL_MAX:
                pieces = self._contents.read_cold(project, row)
                await self._contents.hot(project).put_pieces(project.uuid, row.sha, row.size, pieces)
            else:
                await self._contents.hot(project).put(project.uuid, row.sha, await self._cold_content(project, row))
        except (OSError, FilestoreError, ValueError):
            await self._move(project, TierMove.REHYDRATE_FAILED, row)
            await self._ask_for(project, row)
            return False
        return await self._move(project, TierMove.REHYDRATED, row, EventType.OBJECT_REHYDRATED)

    async def _ask_for(self, project: Project, row: ObjectRow) -> None:
        """What lies in an archive class is brought back from there: `thaw` looks after it."""
        assert row.cold_key is not None
        with suppress(OSError, FilestoreError):
            if not await self._contents.thawed(project, row.cold_key):
                await self._move(project, TierMove.RESTORE, row)

    @activity.defn(name="sync_thaw")
    async def thaw(self, order: TierOrder) -> TierPage:
        """What was asked for, and can be read by now, becomes hot. `failed`: those that take longer."""
        project = await self._project(order)
        done, waiting, after = list[ObjectRow](), 0, objects.FIRST
        while True:
            async with self._pool.connection() as connection:
                rows = await objects.in_tier(connection, project.id, Tier.RESTORING, PAGE, after=after)
            for row in rows:
                if await self._thaw_one(project, row):
                    done.append(row)
                else:
                    waiting += 1
            if len(rows) < PAGE:
                return await self._ended(order, "thaw", done, waiting)
            after = (rows[-1].last_access, bytes.fromhex(rows[-1].sha))

    async def _thaw_one(self, project: Project, row: ObjectRow) -> bool:
        try:
            if row.cold_key is None or not await self._contents.thawed(project, row.cold_key):
                return False
        except FileNotFoundError:
            await self._move(project, TierMove.REHYDRATE_FAILED, row)
            return True
        moved = await self._move(project, TierMove.REHYDRATE, row)
        return moved and await self._rehydrate_one(project, row)

    async def _cold_content(self, project: Project, row: ObjectRow) -> bytes:
        return b"".join([piece async for piece in self._contents.read_cold(project, row)])

    # -- repair --------------------------------------------------------------------------------------------------------

    @activity.defn(name="sync_look")
    async def look(self, order: TierOrder) -> TierPage:
        """What rows say is there is looked for in both stores. What is lost is asked of nodes, or archived anew."""
        project = await self._project(order)
        after = bytes.fromhex(order.after)
        async with self._pool.connection() as connection:
            rows = await objects.after(connection, project.id, after, PAGE)
        hot = [row for row in rows if row.tier in (Tier.HOT, Tier.HOT_COLD)]
        there = (
            await self._contents.hot(project).has(project.uuid, {row.sha: row.size for row in hot}) if hot else set()
        )
        failed = 0
        for row in hot:
            if row.sha not in there:
                failed += await self._move(project, TierMove.HOT_LOST, row)
        for row in rows:
            if row.tier in (Tier.HOT_COLD, Tier.COLD) and not await self._is_cold(project, row):
                failed += await self._move(project, TierMove.COLD_LOST, row)
        stops = await self._advance(order, "look", len(rows), sum(row.size for row in rows))
        return TierPage(len(rows), failed, len(rows) == PAGE, rows[-1].sha if rows else order.after, stops)

    async def _is_cold(self, project: Project, row: ObjectRow) -> bool:
        key = row.cold_key
        return key is not None and await self._contents.holds_cold(project, key, row.sha, row.size)

    # -- collect -------------------------------------------------------------------------------------------------------

    @activity.defn(name="sync_condemn")
    async def condemn(self, order: TierOrder) -> TierPage:
        """What nothing refers to."""
        project = await self._project(order)
        async with self._pool.connection() as connection:
            found = await objects.unreferenced(connection, project.id, bytes.fromhex(order.after), PAGE)
            gone = await objects.condemn(connection, project.id, found) if found else []
        stops = await self._advance(order, "condemn", len(gone), 0)
        return TierPage(len(gone), 0, len(found) == PAGE, found[-1] if found else order.after, stops)

    @activity.defn(name="sync_collect")
    async def collect(self, order: TierOrder) -> TierPage:
        """What was condemned for longer than the grace time (`idle`), and is still not needed, is deleted in both stores."""
        project = await self._project(order)
        async with self._pool.connection() as connection:
            begun = [row.sha for row in await objects.in_tier(connection, project.id, Tier.DELETING, PAGE)]
            if not begun:
                found = await objects.condemned(connection, project.id, order.idle, b"", PAGE)
                begun = await objects.begin_delete(connection, project.id, found, order.idle)
            rows = await objects.known(connection, project.id, begun)
        for row in rows.values():
            await self._contents.hot(project).delete(project.uuid, row.sha, row.size)
            if row.cold_key is not None:
                await self._contents.delete_cold(project, row.cold_key)
        await areach("sync.collected")
        packs = {place.key for row in rows.values() if (place := place_of(row.cold_key or "")).packed}
        async with self._pool.connection() as connection:
            await objects.forget(connection, project.id, list(rows))
            empty = packs - await objects.live_packs(connection, project.id, packs) if packs else set()
        for pack in empty:
            await self._contents.delete_cold(project, pack)
        await self._contents.unsay(project, list(rows))
        stops = await self._advance(order, "collect", len(rows), sum(row.size for row in rows.values()))
        return TierPage(len(rows), 0, len(rows) > 0, stops=stops)

    @activity.defn(name="sync_flush")
    async def flush(self, order: TierOrder) -> bool:
        """Nodes commit what they have. False: some did not get there, or are silent; what they have stays in their folders."""
        begun = end = monotonic()
        while end - begun < FLUSH_SECONDS:
            async with self._pool.connection() as connection:
                nodes = [one for one in await projects.nodes(connection, order.project) if one["state"] == "attached"]
            alive = [node for node in nodes if node["alive"]]
            if all(node["waiting"] == 0 and node["silence"] < end - begun for node in alive):
                return len(alive) == len(nodes)
            await asyncio.sleep(LOOK_SECONDS)
            end = monotonic()
        return False

    # -- projects ------------------------------------------------------------------------------------------------------

    @activity.defn(name="sync_drop_hot")
    async def drop_hot(self, order: TierOrder) -> bool:
        """All of the hot store that a project has, once no row needs it. Whether that is so."""
        project = await self._project(order)
        async with self._pool.connection() as connection:
            totals = await objects.totals(connection, project.id)
        if any(tier in totals for tier in (Tier.HOT, Tier.HOT_COLD, Tier.EVICTING)):
            return False
        await self._contents.hot(project).drop(project.uuid)
        return True

    @activity.defn(name="sync_step")
    async def step(self, step: ProjectStep) -> bool:
        """The state of a project, and the end of a job."""
        async with self._pool.connection() as connection, connection.transaction():
            project = await projects.of_id(connection, step.project)
            assert project is not None
            moved = True
            if step.state:
                moved = await projects.set_state(connection, step.project, step.froms, step.state)
                if moved:
                    await revisions.tell(connection, project, [state_changed(project, step.state, project.principal)])
            if step.job:
                await projects.end_job(connection, step.job, step.problem or None, cancelled=step.cancelled)
            await project_log.settle_durability(connection, step.project)
        self._announce()
        return moved

    # -- inside --------------------------------------------------------------------------------------------------------

    async def _project(self, order: TierOrder) -> Project:
        async with self._pool.connection() as connection:
            project = await projects.of_id(connection, order.project)
        assert project is not None
        return project

    async def _all(
        self, order: TierOrder, project: Project, rows: Sequence[ObjectRow], phase: str,
        one: Callable[[Project, ObjectRow], Awaitable[bool]],
    ) -> TierPage:  # fmt: skip
        room = asyncio.Semaphore(_AT_ONCE)

        async def carried(row: ObjectRow) -> bool:
            async with room:
                return await one(project, row)

        results = await asyncio.gather(*(carried(row) for row in rows), return_exceptions=True)
        broken = next((result for result in results if isinstance(result, BaseException)), None)
        done = [row for row, result in zip(rows, results, strict=True) if result is True]
        if broken is not None and not done:
            raise broken
        return await self._ended(order, phase, done, len(rows) - len(done))

    async def _ended(self, order: TierOrder, phase: str, done: Sequence[ObjectRow], failed: int) -> TierPage:
        stops = await self._advance(order, phase, len(done), sum(row.size for row in done))
        self._announce()
        return TierPage(len(done), failed, bool(done), stops=stops)

    async def _move(
        self, project: Project, move: TierMove, row: ObjectRow, told: EventType | None = None, key: str | None = None
    ) -> bool:
        return bool(await self._move_many(project, move, [row.sha], told, None if key is None else [key]))

    async def _move_many(
        self, project: Project, move: TierMove, shas: Sequence[str], told: EventType | None = None,
        keys: Sequence[str] | None = None,
    ) -> list[ObjectRow]:  # fmt: skip
        async with self._pool.connection() as connection, connection.transaction():
            moved = await objects.move(connection, project.id, move, shas, cold_keys=keys, verified=keys is not None)
            if moved and told is not None:
                events = [object_event(project, told, row.sha, row.size) for row in moved]
                await revisions.tell(connection, project, events)
        with suppress(HotUnavailable):
            described = {
                row.sha: {"size": row.size, "tier": row.tier.value, "cold": {"key": row.cold_key}} for row in moved
            }
            await self._contents.hot(project).describe(project.tenant, described)
        return moved

    async def _advance(self, order: TierOrder, phase: str, items: int, size: int) -> bool:
        """Whether the job was cancelled."""
        if not order.job:
            return False
        async with self._pool.connection() as connection:
            return await projects.advance_job(connection, order.job, phase, items, size)


def hot_bytes(totals: Mapping[str, tuple[int, int]]) -> int:
    return sum(totals[tier][1] for tier in HAS_HOT if tier in totals)


def too_many(rows: Sequence[ObjectRow], over: int) -> list[ObjectRow]:
    """Of contents, the longest unused first, as many as make so many bytes."""
    chosen: list[ObjectRow] = []
    for row in rows:
        if over <= 0:
            break
        chosen.append(row)
        over -= row.size
    return chosen


async def _hot_pieces(contents: Contents, project: Project, row: ObjectRow) -> AsyncGenerator[bytes]:
    async for piece in contents.hot(project).pieces(project.uuid, row.sha, row.size):
        yield piece
