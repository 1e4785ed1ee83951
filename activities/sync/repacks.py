"""Packs of the cold store of which little is needed are written anew: several become one, and their space comes back.

The new pack is there, and verified, before any row says so; a process that dies in between leaves a pack that no row names, and
that is swept. The old one stays for the grace time, so who has read a row a moment ago finds what it says.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from temporalio import activity

from activities.sync.cold_keys import new_pack_key
from activities.sync.pages import TierOrder, TierPage, TierPages
from schema.errors import FilestoreError
from schema.faults import areach
from schema.store import project_packs
from schema.sync.cold_packs import laid_out, member_key, rewrites

if TYPE_CHECKING:
    from activities.sync.contents import Contents
    from schema.store.objects import ObjectRow
    from schema.store.projects import Project

PACKS = 100
"""Looked at with one statement"""


class Repacks:
    def __init__(self, pages: TierPages, share: float) -> None:
        """`share`: a pack of which less is needed is written anew."""
        self._pages, self._share = pages, share
        self._contents: Contents = pages.contents
        self._pool = pages.pool

    @activity.defn(name="sync_repack")
    async def repack(self, order: TierOrder) -> TierPage:
        """The next packs behind `after`. `done`: those that were written anew; `failed`: those that can not be read now."""
        project = await self._pages.unfrozen(order)
        async with self._pool.connection() as connection:
            packs = await project_packs.measure(connection, project.id, order.after, PACKS)
        done = failed = size = 0
        for group in rewrites(packs, self._share):
            if await self._rewrite(project, [pack.key for pack in group]):
                done, size = done + len(group), size + sum(pack.size - pack.live for pack in group)
            else:
                failed += len(group)
        stops = await self._pages.advance(order, "repack", done, size)
        return TierPage(done, failed, len(packs) == PACKS, packs[-1].key if packs else order.after, stops)

    async def _rewrite(self, project: Project, packs: Sequence[str]) -> bool:
        """False: nothing was changed."""
        async with self._pool.connection() as connection:
            rows = await project_packs.members(connection, project.id, packs)
        try:
            contents = await self._contents.read_packed(project, rows)
        except (OSError, FilestoreError):
            return False  # it lies in an archive class, or the cold store is not there
        if rows and not contents:
            return False  # it was lost: a repair says so
        return await self._switched(project, packs, rows, contents)

    async def _switched(
        self, project: Project, packs: Sequence[str], rows: Sequence[ObjectRow], contents: dict[str, bytes]
    ) -> bool:
        key, (body, starts) = new_pack_key(project), laid_out(contents)
        if contents and not await self._is_put(project, key, body):
            return False
        places = {sha: member_key(key, start) for sha, start in starts.items()}
        async with self._pool.connection() as connection:
            moved = await project_packs.switch(connection, project.id, packs, rows, places, {key: len(body)})
        await self._pages.describe(project, moved)
        if contents and not moved:
            await self._contents.delete_cold(project, key)  # others have moved all of it meanwhile
        return bool(moved) or not rows

    async def _is_put(self, project: Project, key: str, body: bytes) -> bool:
        sha = hashlib.sha256(body).hexdigest()
        await self._contents.put_cold(project, key, io.BytesIO(body), sha, len(body))
        await areach("sync.repacked")
        return await self._contents.holds_cold(project, key, sha, len(body))
