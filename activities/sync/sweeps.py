"""What nobody needs any more is found and goes: pages of former manifests, copies that no row knows, all of what was deleted.

A copy in the hot store that no row knows gets one: then it is collected as every content is, and a writer that puts the same one
meanwhile keeps it. A cold copy has a key that is never used twice, so one that no row names after the grace time can go at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

from temporalio import activity

from activities.sync.cold_keys import sha_in
from activities.sync.hot import HotUnavailable
from activities.sync.pages import TierOrder, TierPage, check_unfrozen, held
from schema.faults import areach
from schema.store import objects, project_packs, project_sweeps, projects, revisions
from schema.sync.cold_packs import is_pack
from schema.sync.manifests import empty_root, pages_below

if TYPE_CHECKING:
    from collections.abc import Mapping

    from activities.executors.contract.cold import ColdFile
    from activities.sync.contents import Contents
    from schema.store.objects import ObjectRow
    from schema.store.projects import Project

PAGE = 500
_ROWS = 5000


class Sweeps:
    def __init__(self, contents: Contents) -> None:
        self._contents, self._pool = contents, contents.pool

    @activity.defn(name="sync_sweep_pages")
    async def pages(self, order: TierOrder) -> TierPage:
        """Every page that no commit since then wrote, and the tree of then does not have: later trees have theirs from either."""
        async with self._pool.connection() as connection:
            project = await projects.of_id(connection, order.project)
            since = await project_sweeps.kept_from(connection, order.project)
        if since is None or project is None or await held(self._pool, project):
            return TierPage(0, 0, False)
        revision, root = since
        needed = await self._needed(order.project, root)
        if needed is None:
            return TierPage(0, 0, False)
        done, after = 0, b""
        while True:
            async with self._pool.connection() as connection:
                old = await project_sweeps.old_pages(connection, order.project, revision, after, PAGE)
                gone = [sha for sha in old if bytes.fromhex(sha) not in needed]
                done += await project_sweeps.drop_pages(connection, order.project, revision, gone) if gone else 0
            if len(old) < PAGE:
                return TierPage(done, 0, False)
            after = bytes.fromhex(old[-1])

    @activity.defn(name="sync_collected")
    async def collected(self, order: TierOrder) -> None:
        """The next collection is due after its time."""
        async with self._pool.connection() as connection:
            await project_sweeps.collected(connection, order.project)

    async def _needed(self, project: int, root: str) -> set[bytes] | None:
        """The pages of a tree. None: it has gone already."""
        found, waiting = {bytes.fromhex(empty_root()[0]), bytes.fromhex(root)}, [root]
        while waiting:
            asked, waiting = waiting[:PAGE], waiting[PAGE:]
            async with self._pool.connection() as connection:
                bodies = await revisions.load_pages(connection, project, asked)
            if len(bodies) < len(set(asked)):
                return None
            for body in bodies.values():
                new = [sha for sha in pages_below(body) if bytes.fromhex(sha) not in found]
                found.update(map(bytes.fromhex, new))
                waiting += dict.fromkeys(new)
        return found

    @activity.defn(name="sync_sweep_copies")
    async def copies(self, order: TierOrder) -> TierPage:
        """Copies that no row knows, in both stores, once they are older than the grace time (`idle`)."""
        async with self._pool.connection() as connection:
            project = await projects.of_id(connection, order.project)
        assert project is not None
        await check_unfrozen(self._pool, project)
        if await held(self._pool, project):
            return TierPage(0, 0, False)
        done = await self._sweep_cold(project, order.idle)
        with suppress(HotUnavailable):
            done += await self._contents.hot(project).sweep(project.uuid, order.idle)
            done += await self._adopt(project)
        return TierPage(done, 0, False)

    async def _sweep_cold(self, project: Project, grace: float) -> int:
        done = 0
        async with aclosing(self._contents.cold_files(project)) as pages:
            async for page in pages:
                old = [file for file in page if file.age > grace]
                async with self._pool.connection() as connection:
                    rows = await objects.known(
                        connection, project.id, {sha for file in old if (sha := sha_in(file.key))}
                    )
                    needed = await project_packs.needed(connection, project.id, [file.key for file in old], grace)
                    await project_packs.add(
                        connection, project.id, {one.key: one.size for one in old if one.key in needed}
                    )
                gone = strays(old, rows, needed)
                for key in gone:
                    await self._contents.delete_cold(project, key)
                async with self._pool.connection() as connection:
                    await project_packs.gone(connection, project.id, filter(is_pack, gone))
                done += len(gone)
        return done

    async def _adopt(self, project: Project) -> int:
        done = 0
        async with aclosing(self._contents.hot(project).listed(project.uuid)) as pages:  # type: ignore[type-var]
            async for page in pages:
                shas = sorted(page)
                for start in range(0, len(shas), PAGE):
                    done += await self._adopt_page(project, shas[start : start + PAGE])
        return done

    async def _adopt_page(self, project: Project, shas: Sequence[str]) -> int:
        async with self._pool.connection() as connection:
            known = await objects.known(connection, project.id, shas)
        unknown = [sha for sha in shas if sha not in known]
        sizes = await self._contents.hot(project).sizes(project.uuid, unknown) if unknown else {}
        async with self._pool.connection() as connection:
            return len(await objects.put_hot(connection, project.id, sizes))

    @activity.defn(name="sync_purge")
    async def purge(self, order: TierOrder) -> TierPage:
        """All of a deleted project whose time is over: what is hot, what is cold, and a part of its rows."""
        async with self._pool.connection() as connection:
            project = await projects.of_id(connection, order.project)
            if project is None or not await project_sweeps.due_for_purge(connection, order.project):
                return TierPage(0, 0, False)
        await check_unfrozen(self._pool, project)
        if await held(self._pool, project):
            return TierPage(0, 0, False)
        await self._contents.hot(project).drop(project.uuid)
        await self._contents.hot(project).forget(project.tenant, project.name, project.uuid)
        done = 0
        async with aclosing(self._contents.cold_files(project)) as pages:
            async for page in pages:
                if await held(self._pool, project):
                    return TierPage(done, 0, False)
                for file in page:
                    await self._contents.delete_cold(project, file.key)
                done += len(page)
        await areach("sync.purged")
        await self._unsay_all(project)
        async with self._pool.connection() as connection:
            done += await project_sweeps.purge(connection, project.id, _ROWS)
        return TierPage(done, 0, done > 0)

    async def _unsay_all(self, project: Project) -> None:
        after = b""
        while True:
            async with self._pool.connection() as connection:
                rows = await objects.after(connection, project.id, after, PAGE)
            if not rows:
                return
            await self._contents.unsay(project, [row.sha for row in rows])
            after = bytes.fromhex(rows[-1].sha)


def strays(files: Sequence[ColdFile], rows: Mapping[str, ObjectRow], packs: set[str]) -> list[str]:
    """Cold copies that are named by no row. `packs`: those that may not go yet."""
    named = packs | {row.cold_key for row in rows.values()}
    return [file.key for file in files if file.key not in named]
