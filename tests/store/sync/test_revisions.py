"""The log of a project: commits are one after the other, once, and never refer to a content that is not there."""

import asyncio
from dataclasses import dataclass

import pytest
from temporalio.exceptions import ApplicationError

from activities.sync.commit import CommitRef, SyncCommits
from activities.sync.conflicts import DecidesConflicts
from activities.sync.pages import TierOrder, TierPages
from schema.ids import MountId
from schema.store import freezes, objects, project_due, project_log, projects, revisions
from schema.store.freezes import NewFreeze
from schema.store.pool import Pool
from schema.store.revisions import CommitRefused
from schema.sync.manifests import PageMissing, walk
from schema.sync.merge import ConflictRule
from schema.sync.tiers import Tier, TierMove
from tests.store.helpers import Connection
from tests.store.helpers import make_mount as mount_of_test
from tests.store.sync.projects import delete, events, have, make_project, put, send, sha_of


@dataclass(frozen=True, slots=True)
class StoresOfTest:
    """The contents of projects, where no test asks for one."""

    pool: Pool


async def fresh(connection: Connection) -> MountId:
    return await mount_of_test(connection)


async def tree_of(connection: Connection, project: int, manifest: str) -> dict[bytes, str]:
    """By its pages."""
    pages: dict[str, bytes] = {}

    def load(sha: str) -> bytes:
        if sha not in pages:
            raise PageMissing(sha)
        return pages[sha]

    while True:
        try:
            return {path: entry.sha for path, entry in walk(load, manifest)}
        except PageMissing as missing:
            pages |= await revisions.load_pages(connection, project, [missing.sha])


async def test_a_commit_makes_a_revision_its_manifest_its_log_and_its_events(connection: Connection) -> None:
    project = await make_project(connection, await fresh(connection))
    await have(connection, project, "one", "two")
    first = await send(connection, project, put("d/f", "one"), put("g", "two"))
    assert (first["revision"], first["durability"], first["other"]) == (1, "hot", [])
    assert await tree_of(connection, project.id, str(first["manifestSha"])) == {
        b"d": "",
        b"d/f": sha_of("one"),
        b"g": sha_of("two"),
    }
    second = await send(connection, project, put("d/f", "two", "one"), delete("g", "two"))
    assert await tree_of(connection, project.id, str(second["manifestSha"])) == {b"d": "", b"d/f": sha_of("two")}
    log = await project_log.changes(connection, project.id, 0, 10, 0)
    assert [(row["revision"], row["kind"], row["path"]) for row in log] == [
        (1, "mkdir", b"d"), (1, "put", b"d/f"), (1, "put", b"g"), (2, "put", b"d/f"), (2, "delete", b"g"),
    ]  # fmt: skip
    head = await projects.of_id(connection, project.id)
    assert head is not None and (head.revision, head.files, head.size) == (2, 1, 3)
    assert await events(connection, project) == [
        "PathCreated", "PathCreated", "PathCreated", "ProjectCurrentChanged",
        "PathUpdated", "PathDeleted", "ProjectCurrentChanged",
    ]  # fmt: skip


async def test_a_batch_is_committed_once_and_its_name_answers_the_same(connection: Connection) -> None:
    project = await make_project(connection, await fresh(connection))
    await have(connection, project, "one", "two")
    first = await send(connection, project, put("f", "one"), name="b1")
    assert await send(connection, project, put("f", "one"), name="b1") == first
    with pytest.raises(CommitRefused, match="other_batch"):
        await send(connection, project, put("f", "two"), name="b1")
    head = await projects.of_id(connection, project.id)
    assert head is not None and head.revision == 1


async def test_a_base_that_is_not_the_head_is_refused_with_the_head(connection: Connection) -> None:
    project = await make_project(connection, await fresh(connection))
    await have(connection, project, "one", "two")
    made = await send(connection, project, put("f", "one"), base=0)
    with pytest.raises(CommitRefused) as refused:
        await send(connection, project, put("g", "two"), base=0)
    assert refused.value.details == {"revision": 1, "manifestSha": made["manifestSha"]}


async def test_what_no_store_has_is_asked_for(connection: Connection) -> None:
    project = await make_project(connection, await fresh(connection))
    await have(connection, project, "one")
    with pytest.raises(CommitRefused) as refused:
        await send(connection, project, put("f", "one"), put("g", "two"))
    assert (refused.value.code, refused.value.details) == ("objects_needed", {"needed": [sha_of("two")]})


async def test_a_strict_project_takes_only_what_is_cold(connection: Connection) -> None:
    project = await make_project(connection, await fresh(connection), promotion="strict")
    await have(connection, project, "one")
    with pytest.raises(CommitRefused, match="not_cold"):
        await send(connection, project, put("f", "one"))
    await objects.put(connection, project.id, sha_of("one"), 3, TierMove.PUT_COLD, "cold/one")
    assert (await send(connection, project, put("f", "one")))["durability"] == "cold"


@pytest.mark.parametrize("rule", list(ConflictRule))
async def test_a_conflict_is_listed_with_the_node_that_lost(connection: Connection, rule: ConflictRule) -> None:
    project = await make_project(connection, await fresh(connection), rule)
    await have(connection, project, "one", "two")
    await send(connection, project, put("f", "one"), node="n1")
    outcome = await send(connection, project, put("f", "two"), node="n2")
    (conflict,) = await project_log.conflicts(connection, project.id, "open", 0, 10)
    last = rule is ConflictRule.LAST
    assert (conflict["loser"], conflict["loser_node"]) == ((sha_of("one"), "n1") if last else (sha_of("two"), "n2"))
    assert outcome["conflicts"] == 1
    assert bool(outcome["other"]) is not last


async def test_an_event_of_the_conflict_comes_before_the_paths(connection: Connection) -> None:
    project = await make_project(connection, await fresh(connection))
    await have(connection, project, "one", "two")
    await send(connection, project, put("f", "one"))
    await send(connection, project, put("f", "two"), node="n2")
    assert (await events(connection, project))[-3:] == ["ProjectConflict", "PathUpdated", "ProjectCurrentChanged"]


async def test_commits_of_many_nodes_at_once_are_one_after_the_other(pool: Pool) -> None:
    async with pool.connection() as opened:
        project = await make_project(opened, await fresh(opened))
        await have(opened, project, *(f"text {n}" for n in range(24)))

    async def one(n: int) -> int:
        async with pool.connection() as opened:
            outcome = await send(opened, project, put(f"d/{n}", f"text {n}"), node=f"n{n}")
            return int(str(outcome["revision"]))

    revisions_made = await asyncio.gather(*(one(n) for n in range(24)))
    assert sorted(revisions_made) == list(range(1, 25))
    async with pool.connection() as opened:
        head = await projects.of_id(opened, project.id)
        assert head is not None and (head.revision, head.files) == (24, 24)
        assert len(await tree_of(opened, project.id, head.manifest)) == 25


async def test_a_commit_brings_back_what_was_condemned_and_waits_for_no_deletion(connection: Connection) -> None:
    project = await make_project(connection, await fresh(connection))
    await have(connection, project, "one", "two")
    await connection.execute(
        b"UPDATE filestore.project_objects SET lease_until = NULL WHERE project_id = %s", (project.id,)
    )
    both = [sha_of("one"), sha_of("two")]
    assert sorted(await objects.condemn(connection, project.id, both)) == sorted(both)
    await send(connection, project, put("f", "one"))
    assert (await objects.known(connection, project.id, both))[sha_of("one")].tier is Tier.HOT
    assert await objects.begin_delete(connection, project.id, both, -1.0) == [sha_of("two")]
    with pytest.raises(CommitRefused, match="objects_needed"):
        await send(connection, project, put("g", "two"))


async def test_what_the_tree_its_history_or_the_inbox_needs_is_not_condemned(connection: Connection) -> None:
    project = await make_project(connection, await fresh(connection))
    await have(connection, project, "now", "before", "loser", "nothing")
    await send(connection, project, put("f", "before"), put("c", "loser"))
    await send(connection, project, put("f", "now", "before"), put("c", "now", "nothing"))
    await connection.execute(
        b"UPDATE filestore.project_objects SET lease_until = NULL WHERE project_id = %s", (project.id,)
    )
    assert await objects.unreferenced(connection, project.id, b"", 10) == [sha_of("nothing")]
    await projects.change(connection, project.id, keep_days=0.0)
    assert set(await objects.unreferenced(connection, project.id, b"", 10)) == {sha_of("nothing"), sha_of("before")}
    (conflict,) = await project_log.conflicts(connection, project.id, "open", 0, 10)
    await project_log.decide(connection, project.id, [conflict["id"]], "winner", "admin")
    assert sha_of("loser") in await objects.unreferenced(connection, project.id, b"", 10)


async def test_commits_are_durable_once_all_that_they_brought_is_cold(connection: Connection) -> None:
    project = await make_project(connection, await fresh(connection))
    await have(connection, project, "one", "two")
    await send(connection, project, put("f", "one"))
    await send(connection, project, put("g", "two"))
    await objects.move(
        connection, project.id, TierMove.ARCHIVED, [sha_of("one")], cold_keys=["cold/one"], verified=True
    )
    assert await project_log.settle_durability(connection, project.id) == [1]


async def test_a_pinned_object_is_not_evicted(connection: Connection) -> None:
    project = await make_project(connection, await fresh(connection))
    await have(connection, project, "one", "two")
    both = [sha_of("one"), sha_of("two")]
    await objects.move(connection, project.id, TierMove.ARCHIVED, both, cold_keys=["1", "2"], verified=True)
    until = await (await connection.execute(b"SELECT now() + interval '1 hour' AS at")).fetchone()
    assert until is not None
    await objects.pin(connection, project.id, [sha_of("one")], until["at"])
    moved = await objects.move(connection, project.id, TierMove.EVICT, both, unpinned=True)
    assert [(row.sha, row.tier) for row in moved] == [(sha_of("two"), Tier.EVICTING)]


async def test_what_is_cold_below_a_path_is_found(connection: Connection) -> None:
    project = await make_project(connection, await fresh(connection))
    await have(connection, project, "one", "two", "three", move=TierMove.PUT_COLD)
    await have(connection, project, "hot")
    await send(connection, project, put("a/b/f", "one"), put("a/g", "two"), put("c", "three"), put("a/h", "hot"))

    async def below(*paths: bytes) -> set[str]:
        return {row.sha for row in await objects.below(connection, project.id, Tier.COLD, paths, 10)}

    assert await below(b"a") == {sha_of("one"), sha_of("two")}
    assert await below(b"a/b", b"c") == {sha_of("one"), sha_of("three")}
    assert await below(b"nothing") == set()


@pytest.mark.parametrize("decision", ["winner", "loser", "both"])
async def test_a_conflict_that_nobody_decides_in_time_is_decided_as_the_project_says(pool: Pool, decision: str) -> None:
    async with pool.connection() as connection:
        await check_decided(connection, DecidesConflicts(pool), decision)


async def check_decided(connection: Connection, decides: DecidesConflicts, decision: str) -> None:
    project = await make_project(connection, await fresh(connection))
    await have(connection, project, "one", "two")
    await send(connection, project, put("f", "one"), node="n1")
    await send(connection, project, put("f", "two"), node="n2")
    order = TierOrder(project.mount, project.id)
    assert (await decides.overdue(order)).ids == [], "it waits for as long as nobody says otherwise"
    await projects.change(connection, project.id, decide_after=0.0, decide_as=decision)
    found = await decides.overdue(order)
    assert await decides.overdue(order) == found, "once more is the same"
    if found.batch:
        await revisions.commit(connection, project.id, found.batch)
    assert await decides.decided(found) == 1 and (await decides.overdue(order)).ids == []
    head = await projects.of_id(connection, project.id)
    assert head is not None
    tree = await tree_of(connection, project.id, head.manifest)
    assert tree[b"f"] == sha_of("one" if decision == "loser" else "two")
    assert len(tree) == (2 if decision == "both" else 1)
    (decided,) = await project_log.conflicts(connection, project.id, "decided", 0, 10)
    assert (decided["decision"], decided["decided_by"]) == (decision, "rule")


async def test_a_frozen_mount_takes_no_commit_and_starts_nothing_that_writes_there(pool: Pool) -> None:
    async with pool.connection() as connection:
        await _frozen_and_lifted(pool, connection)


async def _frozen_and_lifted(pool: Pool, connection: Connection) -> None:
    mount = await fresh(connection)
    project = await make_project(connection, mount)
    await have(connection, project, "one", "two")
    first = await send(connection, project, put("f", "one"), name="before")
    freeze = NewFreeze(tenant="main", principal="ann", mount=mount, reason="It is moved.", until=None, key="k")
    async with connection.transaction():
        made = await freezes.create(connection, freeze)
    assert made is not None
    with pytest.raises(CommitRefused) as refused:
        await send(connection, project, put("f", "two", "one"), name="after")
    assert refused.value.code == "frozen"
    told = {"freezeId": made[0], "reason": "It is moved.", "until": None}
    assert (
        told.items() <= refused.value.details.items() and "Send the same key again" in refused.value.details["message"]
    )
    end = await SyncCommits(StoresOfTest(pool), lambda: None).commit(CommitRef(mount, project.id, "after"))  # type: ignore[arg-type]
    assert end.code == "frozen" and end.outcome["freezeId"] == made[0]
    assert await send(connection, project, put("f", "one"), name="before") == first, "what was done has its answer"
    (due,) = await project_due.due(connection, [mount])
    assert due.untold and not due.warm, "contents get no cold copy now"
    with pytest.raises(ApplicationError) as waits:
        await TierPages(StoresOfTest(pool), lambda: None).unfrozen(TierOrder(mount, project.id))  # type: ignore[arg-type]
    assert (waits.value.type, waits.value.non_retryable) == ("FROZEN", False)
    async with connection.transaction():
        await freezes.lift(connection, made[0], "main", "ann")
    second = await send(connection, project, put("f", "two", "one"), name="after")
    assert second["revision"] == 2, "the same batch opens another attempt"
    assert [one.warm for one in await project_due.due(connection, [mount])] == [True]
