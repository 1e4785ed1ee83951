"""What nobody needs any more of projects: former pages, deleted projects; and what is due without being asked for."""

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from temporalio.testing import ActivityEnvironment

from activities.sync.contents import Contents
from activities.sync.hot import NoHotStore
from activities.sync.pages import TierOrder
from activities.sync.sweeps import Sweeps
from schema.paths import ROOT
from schema.store import holds, objects, project_due, project_log, project_numbers, project_sweeps, projects, revisions
from schema.store.pool import Pool
from schema.store.projects import Project
from schema.sync.manifests import PageMissing, walk
from schema.sync.tiers import TierMove
from tests.store.helpers import Connection
from tests.store.helpers import make_mount as mount_of_test
from tests.store.sync.projects import delete, have, make_project, put, send, sha_of


@pytest.fixture
async def connection(pool: Pool) -> AsyncIterator[Connection]:
    """What is written is there for other connections, too."""
    async with pool.connection() as opened:
        yield opened


async def tree_at(connection: Connection, project: Project, manifest: str) -> set[bytes]:
    """Raises PageMissing once a page of it is gone."""
    pages: dict[str, bytes] = {}

    def load(sha: str) -> bytes:
        if sha not in pages:
            raise PageMissing(sha)
        return pages[sha]

    while True:
        try:
            return {path for path, _ in walk(load, manifest)}
        except PageMissing as missing:
            found = await revisions.load_pages(connection, project.id, [missing.sha])
            if not found:
                raise
            pages |= found


async def grow_old(connection: Connection, project: Project, revision: int) -> None:
    """Commits up to this one were made a year ago."""
    query = b"UPDATE filestore.project_commits SET created_at = now() - interval '1 year' WHERE project_id = %s AND revision <= %s"
    await connection.execute(query, (project.id, revision))


async def sweep(pool: Pool, project: Project) -> int:
    sweeps = Sweeps(Contents(pool, NoHotStore(), cast(Any, None), cast(Any, None)))
    return (await sweeps.pages(TierOrder(project.mount, project.id))).done


async def test_pages_that_no_kept_tree_has_go_and_all_others_stay(pool: Pool, connection: Connection) -> None:
    project = await make_project(connection, await mount_of_test(connection))
    await have(connection, project, "one", "two")
    roots = [str((await send(connection, project, change))["manifestSha"]) for change in (
        put("a/f", "one"), put("a/f", "two", "one"), put("b/c/g", "one"), put("a/f", "one", "two"), delete("b/c/g", "one"),
    )]  # fmt: skip
    assert await sweep(pool, project) == 0, "all of them are kept"
    await grow_old(connection, project, 3)
    before = [await tree_at(connection, project, root) for root in roots[2:]]
    hold = await holds.create(connection, "main", project.mount, ROOT, "legal", "case 1", None, "ann")
    assert await sweep(pool, project) == 0, "its mount is held"
    await holds.release(connection, hold, "ann")
    assert await sweep(pool, project) > 0
    assert [await tree_at(connection, project, root) for root in roots[2:]] == before
    for gone in roots[:2]:
        if gone not in roots[2:]:
            with pytest.raises(PageMissing):
                await tree_at(connection, project, gone)
    # A page that comes back is the later commit's.
    again = await send(connection, project, put("b/c/g", "two"), put("a/f", "two", "one"))
    await grow_old(connection, project, 4)
    await sweep(pool, project)
    assert await tree_at(connection, project, str(again["manifestSha"])) == {b"a", b"a/f", b"b", b"b/c", b"b/c/g"}
    assert await sweep(pool, project) == 0


async def test_an_empty_project_keeps_its_page(pool: Pool, connection: Connection) -> None:
    project = await make_project(connection, await mount_of_test(connection))
    await have(connection, project, "one")
    await send(connection, project, put("f", "one"))
    await grow_old(connection, project, 1)
    await sweep(pool, project)
    emptied = await send(connection, project, delete("f", "one"))
    assert await tree_at(connection, project, str(emptied["manifestSha"])) == set()


async def test_a_deleted_project_is_purged_once_its_time_is_over(pool: Pool, connection: Connection) -> None:
    project = await make_project(connection, await mount_of_test(connection))
    await have(connection, project, "one", "two")
    await send(connection, project, put("f", "one"), node="n1")
    await send(connection, project, put("f", "two"), node="n2")
    await projects.set_state(connection, project.id, ["active"], "deleted")
    assert not await project_sweeps.due_for_purge(connection, project.id)
    await connection.execute(
        b"UPDATE filestore.projects SET updated_at = now() - interval '31 days' WHERE id = %s", (project.id,)
    )
    (due,) = await project_due.due(connection, [project.mount])
    assert (due.state, due.over) == ("deleted", True)
    hold = await holds.create(connection, "main", project.mount, ROOT, "legal", "case 1", None, "ann")
    sweeps = Sweeps(Contents(pool, NoHotStore(), cast(Any, None), cast(Any, None)))
    kept = await ActivityEnvironment().run(sweeps.purge, TierOrder(project.mount, project.id))
    assert (kept.done, kept.left) == (0, False), "its mount is held"
    assert len(await objects.known(connection, project.id, [sha_of("one"), sha_of("two")])) == 2
    await holds.release(connection, hold, "ann")
    parts = 0
    while await project_sweeps.purge(connection, project.id, 1):
        parts += 1
    assert parts >= 6 and await project_due.due(connection, [project.mount]) == []
    assert await objects.known(connection, project.id, [sha_of("one"), sha_of("two")]) == {}


async def test_what_is_due_is_asked_with_one_question(connection: Connection) -> None:
    mount = await mount_of_test(connection)
    quiet, warm, idle = [await make_project(connection, mount) for _ in range(3)]
    await have(connection, warm, "one")
    await have(connection, idle, "two")
    await objects.move(connection, idle.id, TierMove.ARCHIVED, [sha_of("two")], cold_keys=["k"], verified=True)
    await projects.change(connection, idle.id, evict_after=0.0)
    await projects.change(connection, warm.id, hot_max=2, decide_after=0.0)
    await send(connection, warm, put("f", "one"), node="n1")
    await have(connection, warm, "other")
    await send(connection, warm, put("f", "other"), node="n2")
    job = "00000000-0000-0000-0000-00000000000a"
    await projects.begin_job(connection, job, idle.id, "repair", {"idle": 5}, "admin")
    due = {one.id: one for one in await project_due.due(connection, [mount])}
    assert quiet.id not in due and due.keys() == {warm.id, idle.id}
    assert (due[warm.id].warm, due[warm.id].idle, due[idle.id].warm, due[idle.id].idle) == (True, False, False, True)
    assert (due[warm.id].undecided, due[idle.id].undecided) == (True, False)
    assert await project_due.crowded(connection, [mount]) == [project_due.CrowdedProject(warm.id, mount, 2)]
    assert await project_log.count_conflicts(connection, warm.id) == 1
    assert due[idle.id].jobs == [{"id": job, "kind": "repair", "options": {"idle": 5}}]


async def test_the_numbers_of_projects_say_what_waits(connection: Connection) -> None:
    project = await make_project(connection, await mount_of_test(connection))
    await have(connection, project, "one", "two")
    await send(connection, project, put("f", "one"), node="n1")
    await send(connection, project, put("f", "two"), node="n2")
    for node, revision, waiting in (("n1", 2, 3), ("n2", 0, 4), ("gone", 0, 9)):
        await projects.attach(connection, project.id, node, "host", "/folder")
        await projects.beat(connection, project.id, node, revision, waiting, None)
    await projects.detach(connection, project.id, "gone")
    await objects.move(connection, project.id, TierMove.HOT_LOST, [sha_of("one")])
    (found,) = [one for one in await project_numbers.numbers(connection) if one.name == project.name]
    assert found == project_numbers.NumbersOfProject(
        "main", project.name, revision=2, untold=2, files=1, bytes=3, conflicts=1, unarchived=1, lost=1, lag=2, waiting=7,
        silent=0, dead_bytes=0,
    )  # fmt: skip
