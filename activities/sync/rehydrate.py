"""What is cold becomes hot, too; what lies in an archive class is brought back from there first."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from temporalio import activity

from activities.sync.hot import SMALL_MAX
from activities.sync.pages import TierOrder, TierPage, TierPages
from schema.errors import FilestoreError
from schema.events import EventType
from schema.store import objects
from schema.sync.ranks import PAGE
from schema.sync.tiers import Tier, TierMove

if TYPE_CHECKING:
    from schema.store.objects import ObjectRow
    from schema.store.projects import Project


class Rehydrates:
    def __init__(self, pages: TierPages) -> None:
        self._pages, self._contents, self._pool = pages, pages.contents, pages.pool

    @activity.defn(name="sync_rehydrate")
    async def rehydrate(self, order: TierOrder) -> TierPage:
        """What is cold becomes hot, too; what was asked for first before all else."""
        project = await self._pages.project(order)
        begun = await self._begun(order, project)
        done = await self._rehydrate_packed(project, begun)
        left = [row for row in begun if row.sha not in done]
        await self._pages.note(order, "rehydrate", [row for row in begun if row.sha in done])
        await self._pages.advance(order, "rehydrate", len(done), sum(row.size for row in begun if row.sha in done))
        page = await self._pages.all(order, project, left, "rehydrate", self._rehydrate_one)
        return replace(page, done=page.done + len(done), left=page.left or bool(done))

    async def _begun(self, order: TierOrder, project: Project) -> list[ObjectRow]:
        """What this page is about. Behind the paths of the order comes what a page that was broken off has begun."""
        size, paths = await self._pages.size(order), [base64.b64decode(path) for path in order.first]
        async with self._pool.connection() as connection:
            rows = await objects.below(connection, project.id, Tier.COLD, paths, size) if paths else []
            if not rows and order.only:
                return await objects.below(connection, project.id, Tier.REHYDRATING, paths, size)
            if not rows and (begun := await objects.in_tier(connection, project.id, Tier.REHYDRATING, size)):
                return begun
            rows = rows or await objects.in_tier(connection, project.id, Tier.COLD, size)
            return await objects.move(connection, project.id, TierMove.REHYDRATE, [row.sha for row in rows])

    async def _rehydrate_packed(self, project: Project, rows: Sequence[ObjectRow]) -> set[str]:
        """Those of packs, of which each is read once. What fails is tried alone."""
        try:
            contents = await self._contents.read_packed(project, rows)
        except (OSError, FilestoreError):
            return set()
        if not contents:
            return set()
        await self._contents.hot(project).put_many(project.uuid, contents)
        moved = await self._pages.move_many(project, TierMove.REHYDRATED, list(contents), EventType.OBJECT_REHYDRATED)
        return {row.sha for row in moved}

    async def _rehydrate_one(self, project: Project, row: ObjectRow) -> bool:
        try:
            if row.size > SMALL_MAX:
                pieces = self._contents.read_cold(project, row)
                await self._contents.hot(project).put_pieces(project.uuid, row.sha, row.size, pieces)
            else:
                await self._contents.hot(project).put(project.uuid, row.sha, await self._cold_content(project, row))
        except (OSError, FilestoreError, ValueError):
            await self._pages.move(project, TierMove.REHYDRATE_FAILED, row)
            await self._ask_for(project, row)
            return False
        return await self._pages.move(project, TierMove.REHYDRATED, row, EventType.OBJECT_REHYDRATED)

    async def _ask_for(self, project: Project, row: ObjectRow) -> None:
        """What lies in an archive class is brought back from there: `thaw` looks after it."""
        assert row.cold_key is not None
        with suppress(OSError, FilestoreError):
            if not await self._contents.thawed(project, row.cold_key):
                await self._pages.move(project, TierMove.RESTORE, row)

    @activity.defn(name="sync_thaw")
    async def thaw(self, order: TierOrder) -> TierPage:
        """What was asked for, and can be read by now, becomes hot. `failed`: those that take longer."""
        project = await self._pages.project(order)
        done: list[ObjectRow] = []
        waiting, after = 0, objects.FIRST
        while True:
            async with self._pool.connection() as connection:
                rows = await objects.in_tier(connection, project.id, Tier.RESTORING, PAGE, after=after)
            for row in rows:
                if await self._thaw_one(project, row):
                    done.append(row)
                else:
                    waiting += 1
            if len(rows) < PAGE:
                return await self._pages.ended(order, "thaw", done, waiting)
            after = (rows[-1].last_access, bytes.fromhex(rows[-1].sha))

    async def _thaw_one(self, project: Project, row: ObjectRow) -> bool:
        try:
            if row.cold_key is None or not await self._contents.thawed(project, row.cold_key):
                return False
        except FileNotFoundError:
            await self._pages.move(project, TierMove.REHYDRATE_FAILED, row)
            return True
        moved = await self._pages.move(project, TierMove.REHYDRATE, row)
        return moved and await self._rehydrate_one(project, row)

    async def _cold_content(self, project: Project, row: ObjectRow) -> bytes:
        return b"".join([piece async for piece in self._contents.read_cold(project, row)])
