"""Undo by selection in the record: trees in which something else lies now, several mounts, and what it claims meanwhile."""

import pytest

from schema.ids import MountId
from schema.operations.operation import OperationKind
from schema.operations.undo_selection import UndoSelection
from schema.paths import NodePath
from schema.store import operations as store
from schema.store.pool import Pool
from tests.store.authors import KIND, Author
from tests.store.helpers import Protocol, make_mount
from tests.store.operation_rows import Runner, asked_for, lies, now


@pytest.fixture
def runner(pool: Pool, protocol: Protocol) -> Runner:
    return Runner(pool, protocol)


@pytest.fixture
async def mount(pool: Pool) -> MountId:
    async with pool.connection() as connection:
        return await make_mount(connection)


@pytest.fixture
def agent(runner: Runner, mount: MountId) -> Author:
    return Author("agent", runner, mount)


@pytest.fixture
def other(runner: Runner, mount: MountId) -> Author:
    return Author("other", runner, mount)


AGENT = UndoSelection(principal="agent")


async def test_of_a_tree_that_was_deleted_and_returned_all_goes_but_a_strangers_file(
    pool: Pool, mount: MountId, agent: Author, other: Author
) -> None:
    await agent.mkdir("t", "t/u", "t/v")
    await agent.put("t/f", "t/u/g", "t/v/h")
    deleted = await agent(KIND.DELETE, "t", recursive=True)
    assert await agent.undone(UndoSelection(commands=(deleted,))) == ("succeeded", {})
    await other.put("t/u/theirs")
    before = await lies(pool, mount)
    state, left = await other.undone(AGENT)
    assert set(await lies(pool, mount)) == {"t", "t/u", "t/u/theirs"} and state == "partial"
    assert left == {"t": "CHILDREN_EXIST", "t/u": "CHILDREN_EXIST", "t/u/theirs": "NEW_SINCE"}
    undo = (await ids(pool, mount))[-1]
    state, left = await other.undone(UndoSelection(operation_id=undo))
    assert (state, left) == ("succeeded", {}) and await lies(pool, mount) == before


async def test_a_tree_of_others_that_was_deleted_and_returned_stays_with_what_came_since(
    pool: Pool, mount: MountId, agent: Author, other: Author
) -> None:
    await other.mkdir("t")
    await other.put("t/f", "t/g")
    await agent.put("t/f", size=9)
    deleted = await agent(KIND.DELETE, "t", recursive=True)
    await agent.undone(UndoSelection(commands=(deleted,)))
    await agent.mkdir("t/mine")
    await other.put("t/theirs")
    assert await other.undone(AGENT) == ("succeeded", {})
    assert await lies(pool, mount) == {
        "t": ("directory", 0), "t/f": ("file", 5), "t/g": ("file", 5), "t/theirs": ("file", 5),
    }  # fmt: skip


async def test_a_tree_that_somebody_else_had_deleted_goes_again_node_by_node(
    pool: Pool, mount: MountId, agent: Author, other: Author
) -> None:
    await other.mkdir("t", "t/u", "t/v")
    await other.put("t/f", "t/u/g", "t/v/h")
    deleted = await other(KIND.DELETE, "t", recursive=True)
    await agent.undone(UndoSelection(commands=(deleted,)))
    await other.put("t/u/theirs", "t/f")
    state, left = await other.undone(AGENT)
    assert state == "partial" and set(await lies(pool, mount)) == {"t", "t/f", "t/u", "t/u/theirs"}
    assert left == {
        "t/f": "VERSION_CONFLICT", "t": "CHILDREN_EXIST", "t/u": "CHILDREN_EXIST", "t/u/theirs": "NEW_SINCE",
    }  # fmt: skip


async def test_a_directory_that_moved_stays_with_a_strangers_file_and_what_was_put_into_it_goes(
    pool: Pool, mount: MountId, agent: Author, other: Author
) -> None:
    await other.mkdir("z")
    await agent.mkdir("a", "a/u")
    await agent.put("a/f", "a/u/g")
    await agent(KIND.MOVE, "a", target="z/b")
    await agent.put("z/b/h")
    await other.put("z/b/theirs")
    state, left = await other.undone(AGENT)
    assert state == "partial" and set(await lies(pool, mount)) == {"z", "z/b", "z/b/theirs"}
    assert left == {"z/b": "CHILDREN_EXIST", "z/b/theirs": "NEW_SINCE"}


async def ids(pool: Pool, mount: MountId) -> list[str]:
    query = "SELECT id::text FROM filestore.operations WHERE mount_id = %s ORDER BY created_at, id"
    async with pool.connection() as connection:
        return [row["id"] for row in await (await connection.execute(query, [mount])).fetchall()]


# Several mounts


@pytest.fixture
async def there(pool: Pool) -> MountId:
    async with pool.connection() as connection:
        return await make_mount(connection)


async def test_one_undo_takes_back_what_was_done_on_two_mounts_and_between_them(
    pool: Pool, mount: MountId, there: MountId, agent: Author, other: Author
) -> None:
    await other.mkdir("d")
    await other.put("d/f", "d/g")
    await Author("other", other.runner, there).put("x")
    before = await lies(pool, mount), await lies(pool, there)
    away = Author("agent", agent.runner, there)
    await agent.put("d/f", size=7)
    await away.put("x", size=8)
    await agent(KIND.MOVE, "d/f", target="moved", target_mount_id=there)
    await away.put("moved", size=9)
    await agent(KIND.DELETE, "d/g")
    await away.mkdir("n")
    assert await other.undone(AGENT, mount, there) == ("succeeded", {})
    assert (await lies(pool, mount), await lies(pool, there)) == before


async def test_what_came_from_a_mount_that_the_undo_is_not_about_is_left_and_listed(
    pool: Pool, mount: MountId, there: MountId, agent: Author, other: Author
) -> None:
    await other.put("f")
    await agent(KIND.MOVE, "f", target="moved", target_mount_id=there)
    state, left = await other.undone(AGENT, there)
    assert (state, left) == ("partial" if left else "", {"moved": "NOT_SUPPORTED"}) or state == "failed"
    assert set(await lies(pool, there)) == {"moved"}


async def test_half_of_a_move_between_mounts_does_not_go_back_alone(
    pool: Pool, mount: MountId, there: MountId, agent: Author, other: Author
) -> None:
    await other.put("f")
    await agent(KIND.MOVE, "f", target="moved", target_mount_id=there)
    await other.put("f")
    state, left = await other.undone(AGENT, mount, there)
    assert state == "failed" and left == {"f": "NODE_EXISTS", "moved": "NODE_EXISTS"}
    assert set(await lies(pool, there)) == {"moved"} and set(await lies(pool, mount)) == {"f"}


# What it claims


async def test_an_undo_by_selection_claims_what_its_items_need_and_no_more(
    pool: Pool, mount: MountId, agent: Author, other: Author
) -> None:
    await other.mkdir("a", "b", "c")
    await other.put("a/f", "b/f", "c/f")
    await agent.put("a/f")
    await agent(KIND.MOVE, "b/f", target="b/moved")
    await agent.put("c/mine")
    await other.put("c/mine")
    undo = await other.undo(AGENT)
    row, _ = await now(pool, undo)
    paths = [NodePath(path) for path in (b"a/f", b"b/f", b"b/moved")]
    assert row.claims == [(mount, path) for path in paths], "what is left needs nothing"
    runner = agent.runner
    assert (await runner.next(undo)).commands
    free, waits = [
        await asked_for(pool, mount, kind=OperationKind.DELETE, path=NodePath(path)) for path in (b"c", b"b")
    ]
    for operation in (free, waits):
        await runner.plan(operation)
    assert (await runner.next(free)).commands and not (await runner.next(waits)).commands
    async with pool.connection() as connection:
        shown = await store.document(connection, waits.id, "main")
    assert shown is not None and shown["waits_for"] == undo.id
