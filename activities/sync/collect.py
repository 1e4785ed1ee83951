"""What nothing refers to is condemned, looked at again after a while, and deleted in both stores."""

from __future__ import annotations

from temporalio import activity

from activities.sync.pages import TierOrder, TierPage, TierPages, held
from schema.faults import areach
from schema.store import objects, project_packs
from schema.sync.cold_packs import place_of
from schema.sync.ranks import PAGE
from schema.sync.tiers import Tier


class Collects:
    def __init__(self, pages: TierPages) -> None:
        self._pages, self._contents, self._pool = pages, pages.contents, pages.pool

    @activity.defn(name="sync_condemn")
    async def condemn(self, order: TierOrder) -> TierPage:
        """What nothing refers to."""
        project = await self._pages.project(order)
        async with self._pool.connection() as connection:
            found = await objects.unreferenced(connection, project.id, bytes.fromhex(order.after), PAGE)
            gone = await objects.condemn(connection, project.id, found) if found else []
        stops = await self._pages.advance(order, "condemn", len(gone), 0)
        return TierPage(len(gone), 0, len(found) == PAGE, found[-1] if found else order.after, stops)

    @activity.defn(name="sync_collect")
    async def collect(self, order: TierOrder) -> TierPage:
        """What was condemned for longer than the grace time (`idle`), and is still not needed, is deleted in both stores."""
        project = await self._pages.unfrozen(order)
        if await held(self._pool, project):
            return TierPage(0, 0, False)
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
            empty = packs - await project_packs.needed(connection, project.id, packs, order.idle)
        for pack in empty:
            await self._contents.delete_cold(project, pack)
        async with self._pool.connection() as connection:
            await project_packs.gone(connection, project.id, empty)
        await self._contents.unsay(project, list(rows))
        stops = await self._pages.advance(order, "collect", len(rows), sum(row.size for row in rows.values()))
        return TierPage(len(rows), 0, len(rows) > 0, stops=stops)
