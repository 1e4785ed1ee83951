"""Contents between the stores: archived, evicted, looked for."""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from temporalio import activity

from activities.sync.cold_keys import new_cold_key, new_pack_key
from activities.sync.hot import SMALL_MAX, HotMissing
from activities.sync.pages import TierOrder, TierPage, TierPages
from schema.events import EventType
from schema.faults import areach
from schema.store import objects, project_packs
from schema.sync.cold_packs import MEMBER_MAX, MEMBERS_MIN, laid_out, member_key
from schema.sync.ranks import PAGE
from schema.sync.tiers import HAS_HOT, Tier, TierMove

if TYPE_CHECKING:
    from activities.sync.contents import Contents
    from schema.store.objects import ObjectRow
    from schema.store.projects import Project


class Tiers:
    def __init__(self, pages: TierPages) -> None:
        self._pages, self._contents, self._pool = pages, pages.contents, pages.pool

    @activity.defn(name="sync_archive")
    async def archive(self, order: TierOrder) -> TierPage:
        """What is hot alone gets a cold copy, which is verified before the row says so; small ones get one together."""
        project = await self._pages.unfrozen(order)
        size = await self._pages.size(order)
        async with self._pool.connection() as connection:
            rows = await objects.in_tier(connection, project.id, Tier.HOT, size, idle=order.idle)
        small = [row for row in rows if row.size <= MEMBER_MAX]
        if len(small) >= MEMBERS_MIN and (packed := await self._archive_pack(project, small)):
            return await self._pages.ended(order, "archive", packed, len(small) - len(packed))
        return await self._pages.all(order, project, rows, "archive", self._archive_one)

    async def _archive_pack(self, project: Project, rows: Sequence[ObjectRow]) -> Sequence[ObjectRow]:
        """Those that have a place in a pack by now."""
        contents = await self._contents.hot(project).get_many(project.uuid, [row.sha for row in rows])
        if len(contents) < MEMBERS_MIN:
            return []
        body, starts = laid_out(contents)
        key, sha = new_pack_key(project), hashlib.sha256(body).hexdigest()
        await self._contents.put_cold(project, key, io.BytesIO(body), sha, len(body))
        await areach("sync.packed")
        if not await self._contents.holds_cold(project, key, sha, len(body)):
            return []
        keys = {sha: member_key(key, start) for sha, start in starts.items()}
        moved = await self._pages.move_many(
            project, TierMove.ARCHIVED, list(keys), EventType.OBJECT_ARCHIVED, list(keys.values())
        )
        if not moved:
            await self._contents.delete_cold(project, key)
            return moved
        async with self._pool.connection() as connection:  # a sweep adds one that was left out here
            await project_packs.add(connection, project.id, {key: len(body)})
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
            await self._pages.move(project, TierMove.HOT_LOST, row)
            return False
        await areach("sync.archived")
        if not await self._contents.holds_cold(project, key, row.sha, row.size):
            return False
        moved = await self._pages.move(project, TierMove.ARCHIVED, row, EventType.OBJECT_ARCHIVED, key)
        if not moved:
            await self._contents.delete_cold(project, key)
        return moved

    @activity.defn(name="sync_evict")
    async def evict(self, order: TierOrder) -> TierPage:
        """What is cold too leaves the hot store. The cold copy is looked at after the row says `evicting`, and right before the hot
        one goes; what a process that died left evicting is ended first."""
        project = await self._pages.project(order)
        size = await self._pages.size(order)
        async with self._pool.connection() as connection:
            begun = await objects.in_tier(connection, project.id, Tier.EVICTING, size)
        if not begun:
            async with self._pool.connection() as connection:
                rows = await objects.in_tier(
                    connection, project.id, Tier.HOT_COLD, size, idle=order.idle, unpinned=not order.pinned
                )
                if order.room is not None:
                    rows = too_many(rows, hot_bytes(await objects.totals(connection, project.id)) - order.room)
                shas = [row.sha for row in rows]
                begun = await objects.move(connection, project.id, TierMove.EVICT, shas, unpinned=not order.pinned)
        held = await self._contents.read_packed(project, begun)

        async def one(project: Project, row: ObjectRow) -> bool:
            return await self._evict_one(project, row, row.sha in held)

        return await self._pages.all(order, project, begun, "evict", one)

    async def _evict_one(self, project: Project, row: ObjectRow, held: bool) -> bool:
        """`held`: the pack that it lies in was read a moment ago."""
        assert row.cold_key is not None
        if not held and not await self._contents.holds_cold(project, row.cold_key, row.sha, row.size):
            there = await self._contents.hot(project).has(project.uuid, {row.sha: row.size})
            if there:
                await self._pages.move(project, TierMove.EVICT_REFUSED, row)
            return False
        await self._contents.hot(project).delete(project.uuid, row.sha, row.size)
        await areach("sync.evicted")
        return await self._pages.move(project, TierMove.EVICTED, row, EventType.OBJECT_EVICTED)

    @activity.defn(name="sync_look")
    async def look(self, order: TierOrder) -> TierPage:
        """What rows say is there is looked for in both stores. What is lost is asked of nodes, or archived anew."""
        project = await self._pages.project(order)
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
                failed += await self._pages.move(project, TierMove.HOT_LOST, row)
        for row in rows:
            if row.tier in (Tier.HOT_COLD, Tier.COLD) and not await self._is_cold(project, row):
                failed += await self._pages.move(project, TierMove.COLD_LOST, row)
        stops = await self._pages.advance(order, "look", len(rows), sum(row.size for row in rows))
        return TierPage(len(rows), failed, len(rows) == PAGE, rows[-1].sha if rows else order.after, stops)

    async def _is_cold(self, project: Project, row: ObjectRow) -> bool:
        key = row.cold_key
        return key is not None and await self._contents.holds_cold(project, key, row.sha, row.size)


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
