"""A recompute makes every total below a directory right, beside commands that change the tree, and tells no other one wrong."""

import asyncio
import random

import pytest
from temporalio.testing import ActivityEnvironment

from activities.upkeep.recompute import ProofPart, Recomputes
from schema.commands.command import CommandKind
from schema.ids import MountId
from schema.recomputes import RecomputeState
from schema.store import recomputes as store
from schema.store import rollups
from schema.store.pool import Pool
from tests.store.helpers import Protocol, asked, delete, mkdir, upload

TOTALS = """SELECT n.directory_text AS path, r.size_bytes, r.file_count, r.directory_count, r.child_count
              FROM filestore.nodes n, filestore.rollup_of(n.id) r
             WHERE n.mount_id = %s AND n.kind = 'directory' AND n.state <> 'deleted'"""
TRUTH = """SELECT d.directory_text AS path, coalesce(sum(n.size_bytes) FILTER (WHERE n.kind = 'file'), 0)::bigint AS bytes,
                  count(n.id) FILTER (WHERE n.kind <> 'directory') AS files,
                  count(n.id) FILTER (WHERE n.kind = 'directory') AS directories,
                  count(n.id) FILTER (WHERE n.parent_id = d.id) AS children
             FROM filestore.nodes d LEFT JOIN filestore.active_nodes n
               ON n.mount_id = d.mount_id AND n.depth > d.depth
              AND substring(n.canonical_path FOR octet_length(d.directory_path)) = d.directory_path
            WHERE d.mount_id = %s AND d.kind = 'directory' AND d.state <> 'deleted' GROUP BY d.id"""
LIE = """INSERT INTO filestore.rollup_deltas (directory_id, size_bytes, file_count, directory_count, child_count)
         SELECT id, 7, 3, -2, 1 FROM filestore.nodes
          WHERE mount_id = %s AND directory_text = %s AND directory_path IS NOT NULL AND state <> 'deleted'"""
STATE = """SELECT r.consistency_state AS state FROM filestore.nodes n, filestore.rollup_of(n.id) r
            WHERE n.mount_id = %s AND n.directory_text = %s AND n.state <> 'deleted'"""


async def rows(pool: Pool, query: str, *values: object) -> list[tuple[object, ...]]:
    async with pool.connection() as connection:
        cursor = await connection.execute(query.encode(), values)
        return [tuple(row.values()) for row in await cursor.fetchall()] if cursor.description else []


async def totals(pool: Pool, mount: MountId) -> dict[object, tuple[object, ...]]:
    return {row[0]: row[1:] for row in await rows(pool, TOTALS, mount)}


async def truth(pool: Pool, mount: MountId) -> dict[object, tuple[object, ...]]:
    return {row[0]: row[1:] for row in await rows(pool, TRUTH, mount)}


async def state(pool: Pool, mount: MountId, path: str) -> object:
    return (await rows(pool, STATE, mount, path))[0][0]


async def directory(pool: Pool, mount: MountId, path: str) -> int:
    query = "SELECT id FROM filestore.nodes WHERE mount_id = %s AND directory_text = %s AND state <> 'deleted'"
    found = (await rows(pool, query, mount, path))[0][0]
    assert isinstance(found, int)
    return found


async def ask(pool: Pool, mount: MountId, path: str = "") -> int:
    async with pool.connection() as connection, connection.transaction():
        id = await store.ask(connection, await directory(pool, mount, path), "user")
    assert id is not None
    return id


async def step(pool: Pool, id: int, limit: int = 3) -> bool:
    """One page, as the activity does it. Whether it has ended."""
    async with pool.connection() as connection:
        run = await store.find(connection, id)
        assert run is not None
        page = await store.advance(connection, run, limit)
        if not page.at_end:
            return False
        async with connection.transaction():
            return (await store.finish(connection, run)).ended


async def to_the_end(pool: Pool, id: int, limit: int = 3) -> None:
    for _ in range(1000):
        if await step(pool, id, limit):
            return
        await asyncio.sleep(0)
    pytest.fail("it did not end")


async def ended(pool: Pool, id: int) -> tuple[object, ...]:
    query = "SELECT state::text, differences, code FROM filestore.rollup_recomputes WHERE id = %s"
    return (await rows(pool, query, id))[0]


@pytest.fixture
async def tree(pool: Pool, protocol: Protocol, mount: MountId) -> MountId:
    """a/b/c, a/d, e, each with a file."""
    for path in ("a", "a/b", "a/b/c", "a/d", "e"):
        await protocol.run(mount, mkdir(mount, path))
        await protocol.run(mount, upload(mount, f"{path}/f", len(path)))
    return mount


async def test_what_is_right_is_left_alone(pool: Pool, tree: MountId) -> None:
    before = await totals(pool, tree)
    assert before == await truth(pool, tree)
    id = await ask(pool, tree)
    await to_the_end(pool, id)
    assert await totals(pool, tree) == before
    assert await ended(pool, id) == ("succeeded", 0, None)


async def test_what_is_wrong_is_right_then_in_every_directory_above_too(pool: Pool, tree: MountId) -> None:
    for path in ("a/b/c/", "a/", "e/", ""):
        await rows(pool, LIE, tree, path)
    async with pool.connection() as connection, connection.transaction():
        await rollups.fold(connection, 5)
    assert await totals(pool, tree) != await truth(pool, tree)
    id = await ask(pool, tree)
    await to_the_end(pool, id)
    assert await totals(pool, tree) == await truth(pool, tree)
    assert await ended(pool, id) == ("succeeded", 4, None)


async def test_a_directory_waits_while_it_is_recomputed(pool: Pool, tree: MountId) -> None:
    assert await state(pool, tree, "a/") == "up_to_date"
    id = await ask(pool, tree, "a/")
    assert await state(pool, tree, "a/") == "pending"
    assert not await step(pool, id, 1)
    assert await state(pool, tree, "a/") == "pending" and await state(pool, tree, "e/") == "up_to_date"
    await to_the_end(pool, id)
    assert await state(pool, tree, "a/") == "up_to_date"


async def test_a_subtree_alone_is_recomputed(pool: Pool, tree: MountId) -> None:
    for path in ("a/b/c/", "e/"):
        await rows(pool, LIE, tree, path)
    id = await ask(pool, tree, "a/")
    await to_the_end(pool, id)
    now, must = await totals(pool, tree), await truth(pool, tree)
    assert {path for path in must if now[path] != must[path]} == {"e/"}, "what lies beside it is wrong as before"
    assert await ended(pool, id) == ("succeeded", 1, None)


async def test_what_lies_above_is_recomputed_too_where_it_does_not_add_up_any_more(pool: Pool, tree: MountId) -> None:
    """As when an upload was counted nowhere: one of the subtree alone would leave the rest as it was."""
    for path in ("a/b/", "a/", ""):
        await rows(pool, LIE, tree, path)
    id = await ask(pool, tree, "a/b/")
    await to_the_end(pool, id)
    assert await state(pool, tree, "a/b/") == "up_to_date"
    assert await state(pool, tree, "a/") == await state(pool, tree, "") == "invalid"
    async with pool.connection() as connection:
        [following] = await store.due(connection, tree, 0.0)
    await to_the_end(pool, following)
    assert await totals(pool, tree) == await truth(pool, tree)
    assert await state(pool, tree, "a/") == await state(pool, tree, "") == "up_to_date"


async def test_the_same_request_joins_the_one_that_is_under_way(pool: Pool, tree: MountId) -> None:
    id = await ask(pool, tree, "a/")
    assert await ask(pool, tree, "a/") == id and await ask(pool, tree) != id
    await to_the_end(pool, id)
    assert await ask(pool, tree, "a/") != id


async def test_its_end_is_an_event(pool: Pool, tree: MountId) -> None:
    await rows(pool, LIE, tree, "a/b/")
    id = await ask(pool, tree, "a/")
    query = "SELECT data FROM filestore.outbox WHERE mount_id = %s AND type = 'filestore.rollup.recomputed'"
    assert not await step(pool, id, 1) and await rows(pool, query, tree) == []
    await to_the_end(pool, id)
    [(data,)] = await rows(pool, query, tree)
    assert isinstance(data, dict)
    assert {name: data[name] for name in ("recomputeId", "path", "state", "reason", "differences", "directories")} == {
        "recomputeId": id, "path": "a", "state": "succeeded", "reason": "request", "differences": 1, "directories": 4,
    }  # fmt: skip
    assert data["rollup"]["fileCount"] == 4 and data["rollup"]["state"] == "up_to_date"


async def test_a_directory_that_is_moved_past_it_is_not_missed(pool: Pool, protocol: Protocol, tree: MountId) -> None:
    await rows(pool, LIE, tree, "a/b/c/")
    id = await ask(pool, tree)
    assert not await step(pool, id, 1)
    await protocol.run(tree, asked(CommandKind.MOVE, tree, "a", target="z"))
    await to_the_end(pool, id)
    assert await totals(pool, tree) == await truth(pool, tree)


async def test_a_directory_that_moves_while_it_runs_is_recomputed_where_it_lies_then(
    pool: Pool, protocol: Protocol, tree: MountId
) -> None:
    await rows(pool, LIE, tree, "a/d/")
    id = await ask(pool, tree, "a/")
    assert not await step(pool, id, 1)
    await protocol.run(tree, asked(CommandKind.MOVE, tree, "a", target="z"))
    await to_the_end(pool, id)
    assert await totals(pool, tree) == await truth(pool, tree)
    assert await state(pool, tree, "z/") == "up_to_date"


async def test_what_a_command_carries_along_waits_until_it_has_ended(
    pool: Pool, protocol: Protocol, tree: MountId
) -> None:
    """Its totals go from one parent to the other as it has read them: corrected in between, both would be wrong."""
    await rows(pool, LIE, tree, "a/b/")
    move = asked(CommandKind.MOVE, tree, "a/b", target="e/b")
    begun = await protocol.begin(tree, [move])
    id = await ask(pool, tree)
    for _ in range(3):
        assert not await step(pool, id, 100)
    assert (await ended(pool, id))[:2] == ("running", 0)
    await protocol.commit(tree, [protocol.applied(begun.go[0].id)])
    await to_the_end(pool, id)
    assert await totals(pool, tree) == await truth(pool, tree)
    assert await ended(pool, id) == ("succeeded", 3, None), "the move has carried the mistake into both parents"


async def test_it_gives_up_when_it_has_waited_for_too_long_and_says_that_nobody_knows(
    pool: Pool, protocol: Protocol, tree: MountId
) -> None:
    id = await ask(pool, tree, "a/")
    async with pool.connection() as connection, connection.transaction():
        run = await store.find(connection, id)
        assert run is not None
        await store.give_up(connection, run, RecomputeState.FAILED, "PATH_BUSY")
    assert await ended(pool, id) == ("failed", 0, "PATH_BUSY")
    assert await state(pool, tree, "a/") == "stale"
    await to_the_end(pool, await ask(pool, tree))
    assert await state(pool, tree, "a/") == "up_to_date", "one of the whole mount has found it right"


async def test_it_goes_on_where_a_crash_left_it(pool: Pool, tree: MountId) -> None:
    id = await ask(pool, tree)
    assert not await step(pool, id, 2)
    async with pool.connection() as connection:
        run = await store.find(connection, id)
        assert run is not None and run.cursor == b"a/d/" and run.state is RecomputeState.RUNNING
        assert await store.due(connection, tree, 0.0) == [id] and await store.due(connection, tree, 60.0) == []
        # Another process, that has lost what the first one knew, and looks at the same page again.
        await store.advance(connection, run, 2)
        await store.advance(connection, run, 2)
    await to_the_end(pool, id, 2)
    assert (await ended(pool, id))[:2] == ("succeeded", 0)


def activities(pool: Pool, page: int = 500) -> tuple[Recomputes, list[None]]:
    told: list[None] = []
    return Recomputes(pool, lambda: told.append(None), page=page), told


async def test_the_activity_waits_for_what_is_busy_and_gives_up_in_the_end(
    pool: Pool, protocol: Protocol, tree: MountId
) -> None:
    await rows(pool, LIE, tree, "e/")
    begun = await protocol.begin(tree, [asked(CommandKind.MOVE, tree, "e", target="a/e")])
    id, (recomputes, told) = await ask(pool, tree), activities(pool)
    steps = [await ActivityEnvironment().run(recomputes.recompute, id) for _ in range(3)]
    assert [step.state for step in steps] == ["running"] * 3 and steps[-1].waits and not told
    await rows(pool, "UPDATE filestore.rollup_recomputes SET waits = 300 WHERE id = %s", id)
    assert (await ActivityEnvironment().run(recomputes.recompute, id)).state == "failed"
    assert await ended(pool, id) == ("failed", 0, "PATH_BUSY") and told == [None]
    assert await state(pool, tree, "") == "stale"
    await protocol.commit(tree, [protocol.applied(begun.go[0].id)])
    again = await ActivityEnvironment().run(recomputes.recompute, await ask(pool, tree))
    assert again.state == "succeeded" and await totals(pool, tree) == await truth(pool, tree)


async def test_a_recompute_of_a_directory_that_is_deleted_meanwhile_is_cancelled(
    pool: Pool, protocol: Protocol, tree: MountId
) -> None:
    id, (recomputes, told) = await ask(pool, tree, "a/b/"), activities(pool)
    await protocol.run(tree, delete(tree, "a", recursive=True))
    assert (await ActivityEnvironment().run(recomputes.recompute, id)).state == "cancelled"
    assert await ended(pool, id) == ("cancelled", 0, "NODE_NOT_FOUND") and told == [None]
    assert (await ActivityEnvironment().run(recomputes.recompute, id)).state == "cancelled", "once more is harmless"
    assert told == [None]


async def test_a_proof_goes_on_where_the_last_one_stopped_and_begins_again_after_the_end(
    pool: Pool, tree: MountId
) -> None:
    recomputes, _ = activities(pool, page=2)
    steps = [await ActivityEnvironment().run(recomputes.prove, ProofPart(tree, most)) for most in (3, 5, None)]
    assert [(step.looked, step.wrong, step.more) for step in steps] == [(3, 0, False), (3, 0, False), (6, 0, False)]
    query = "SELECT rounds, directories, differences, cursor FROM filestore.rollup_proofs WHERE mount_id = %s"
    assert await rows(pool, query, tree) == [(2, 12, 0, None)]


async def test_a_page_is_shorter_where_directories_hold_many_children(
    pool: Pool, tree: MountId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_CHILDREN", 2)
    await rows(pool, LIE, tree, "a/")
    async with pool.connection() as connection:
        pages = [await store.prove(connection, tree, 100) for _ in range(4)]
    assert [page.looked for page in pages] == [2, 2, 1, 1] and [page.at_end for page in pages] == [False] * 3 + [True]
    await to_the_end(pool, await ask(pool, tree))
    assert await totals(pool, tree) == await truth(pool, tree)


async def test_a_proof_marks_what_is_wrong_and_has_the_mount_recomputed(pool: Pool, tree: MountId) -> None:
    await rows(pool, LIE, tree, "a/b/")
    async with pool.connection() as connection:
        pages = [await store.prove(connection, tree, 2) for _ in range(4)]
    assert [page.looked for page in pages] == [2, 2, 2, 0] and [page.at_end for page in pages] == [False] * 3 + [True]
    assert [excess.shown for page in pages for excess in page.wrong] == ["a/b/", "a/"]
    for path in ("", "a/", "a/b/"):
        assert await state(pool, tree, path) == "invalid"
    assert await state(pool, tree, "a/b/c/") == await state(pool, tree, "e/") == "up_to_date"
    [id] = {page.recompute for page in pages if page.recompute is not None}
    await to_the_end(pool, id)
    assert await totals(pool, tree) == await truth(pool, tree)
    assert {await state(pool, tree, path) for path in ("", "a/", "a/b/")} == {"up_to_date"}
    async with pool.connection() as connection:
        assert await store.position(connection, tree) is None
        assert (await store.prove(connection, tree, 100)).wrong == []


async def test_a_recompute_looks_again_at_what_a_proof_has_found_meanwhile(pool: Pool, tree: MountId) -> None:
    id = await ask(pool, tree)
    assert not await step(pool, id, 6)
    await rows(pool, LIE, tree, "a/b/")
    async with pool.connection() as connection:
        assert (await store.prove(connection, tree, 100)).recompute == id
    await to_the_end(pool, id)
    assert await totals(pool, tree) == await truth(pool, tree)
    assert await state(pool, tree, "a/b/") == "up_to_date"


@pytest.mark.parametrize("seed", range(4))
async def test_commands_and_recomputes_and_folds_at_the_same_time_end_with_right_totals(
    pool: Pool, protocol: Protocol, tree: MountId, seed: int
) -> None:
    """Directories are made, filled, moved about and deleted, totals are made wrong, and recomputes run beside it all."""
    chance = random.Random(seed)
    living = {"a", "a/b", "a/b/c", "a/d", "e"}

    async def change(number: int) -> None:
        path = chance.choice(sorted(living))
        inside = {one for one in living if one == path or one.startswith(f"{path}/")}
        kind = chance.choice(["mkdir", "upload", "upload", "move", "delete"])
        if kind == "mkdir":
            await protocol.run(tree, mkdir(tree, f"{path}/n{number}"))
            living.add(f"{path}/n{number}")
        elif kind == "upload":
            await protocol.run(tree, upload(tree, f"{path}/u{number}", number))
        elif kind == "move":
            target = f"m{number}" if chance.random() < 0.5 else f"{chance.choice(sorted(living))}/m{number}"
            if target.startswith(f"{path}/"):
                return
            await protocol.run(tree, asked(CommandKind.MOVE, tree, path, target=target))
            living.difference_update(inside)
            living.update(target + one[len(path) :] for one in inside)
        elif len(living) > len(inside) + 2:
            await protocol.run(tree, delete(tree, path, recursive=True))
            living.difference_update(inside)

    async def keep_changing() -> None:
        for number in range(60):
            if number % 4 == 0:
                await rows(pool, LIE, tree, chance.choice(sorted(living)) + "/")
            await change(number)

    async def keep_recomputing(limit: int) -> None:
        while not changing.done():
            await to_the_end(pool, await ask(pool, tree), limit)

    async def keep_folding() -> None:
        while not changing.done():
            async with pool.connection() as connection, connection.transaction():
                await rollups.fold(connection, 7)
            await asyncio.sleep(0)

    changing = asyncio.create_task(keep_changing())
    await asyncio.gather(changing, keep_recomputing(2), keep_folding())
    await to_the_end(pool, await ask(pool, tree))
    must = await truth(pool, tree)
    assert len(must) > 3 and await totals(pool, tree) == must
