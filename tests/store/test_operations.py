"""Items of an operation open and close in the transactions of their commands, and are counted there."""

from dataclasses import replace

import pytest

from schema.commands.command import CommandKind
from schema.ids import MountId, new_command_id
from schema.nodes import NodeKind
from schema.operations.commands import command_of
from schema.operations.operation import ItemKind, ItemState, OperationItem, OperationState
from schema.operations.turn import Reached
from schema.paths import NodePath
from schema.store import operation_plans as plan_store
from schema.store import operation_turns as turn_store
from schema.store.pool import Pool
from tests.store.helpers import Protocol, asked, make_mount, mkdir, upload
from tests.store.operation_rows import carry_out, counted, move, now, running, set_row


@pytest.fixture
async def tree(pool: Pool, protocol: Protocol) -> MountId:
    async with pool.connection() as connection:
        mount = await make_mount(connection)
    await protocol.run(mount, mkdir(mount, "d"))
    await protocol.run(mount, upload(mount, "d/f"), upload(mount, "d/g"))
    return mount


async def test_an_item_is_in_flight_with_its_command_and_done_with_its_record(
    pool: Pool, protocol: Protocol, tree: MountId
) -> None:
    operation = await running(pool, tree, move(0, "f"), move(1, "g", version=7), move(2, "none"))
    steps = (await now(pool, operation))[1]
    commands = [command_of(operation, step, new_command_id()) for step in steps]
    begun = await protocol.begin(tree, commands)
    row, items = await now(pool, operation)
    assert [item.state for item in items] == [ItemState.RUNNING, ItemState.SKIPPED, ItemState.SKIPPED]
    assert [item.code for item in items] == [None, "VERSION_CONFLICT", "NODE_NOT_FOUND"]
    assert counted(row) == {"in_flight": 1, "skipped": 2, "changed": 2}
    await protocol.commit(tree, [protocol.applied(going.id, going.attempt) for going in begun.go])
    row, items = await now(pool, operation)
    assert items[0].state is ItemState.DONE and items[0].left_version == 2 and items[0].left_node is not None
    assert counted(row) == {"done": 1, "skipped": 2, "changed": 2}
    again = await protocol.begin(tree, commands)
    assert again.go == [] and counted((await now(pool, operation))[0]) == counted(row), "once, however often it is sent"


async def test_what_is_put_back_is_not_done_any_more(pool: Pool, protocol: Protocol, tree: MountId) -> None:
    operation = await running(pool, tree, move(0, "f"))
    await carry_out(protocol, operation, (await now(pool, operation))[1][0])
    async with pool.connection() as connection:
        await turn_store.reach(connection, operation.id, Reached(OperationState.ROLLING_BACK, True))
    row, [done] = await now(pool, operation)
    back = replace(move(0, "f"), path=NodePath(b"d/moved f"), target=NodePath(b"d/f"), version=done.left_version)
    await carry_out(protocol, row, back)
    row, [item] = await now(pool, operation)
    assert item.state is ItemState.REVERSED and counted(row) == {"reversed": 1}


async def test_a_busy_item_stays_pending(pool: Pool, protocol: Protocol, tree: MountId) -> None:
    operation = await running(pool, tree, move(0, "f"))
    await protocol.begin(tree, [asked(CommandKind.DESCRIBE, tree, "d/f")])
    begun = await protocol.begin(tree, [command_of(operation, move(0, "f"), new_command_id())])
    row, [item] = await now(pool, operation)
    assert begun.go == [] and item.state is ItemState.PENDING and counted(row) == {}


async def test_the_next_items_are_those_whose_directory_is_made(pool: Pool, tree: MountId) -> None:
    directory = OperationItem(item=0, kind=ItemKind.MKDIR, path=NodePath(b"e"), node_kind=NodeKind.DIRECTORY)
    inside = replace(move(1, "f"), needs=0)
    operation = await running(pool, tree, directory, inside, move(2, "g"))
    async with pool.connection() as connection:
        assert [one.item for one in await turn_store.ready(connection, operation, 9)] == [0, 2]
        await turn_store.hand_out(connection, operation.id, [0], 0.0)
        assert [one.item for one in await turn_store.ready(connection, operation, 9)] == [2], (
            "handed out: not again at once"
        )
        await turn_store.give_up(connection, operation.id, {0: (ItemState.FAILED, "STORAGE_FULL", "full")})
        assert [one.item for one in await turn_store.ready(connection, operation, 9)] == [1, 2]


async def test_two_operations_take_their_subtrees_one_after_the_other(pool: Pool, tree: MountId) -> None:
    first, second, apart = [await running(pool, tree, move(0, "f")) for _ in range(3)]
    for one in (first, second, apart):
        await set_row(pool, one, "claimed = false")
    async with pool.connection() as connection, connection.transaction():
        assert await turn_store.claim(connection, first) is None
        assert await turn_store.claim(connection, second) == first.id
        for path in (b"d/below", b"", b"e"):
            assert (
                await turn_store.claim(connection, replace(second, path=NodePath(path), target_path=None)) == first.id
            )
        assert await turn_store.claim(connection, replace(apart, path=NodePath(b"dx"), target_path=None)) is None
        await turn_store.reach(connection, apart.id, Reached(OperationState.SUCCEEDED, False))
        await turn_store.reach(connection, first.id, Reached(OperationState.PAUSED, False))
        assert await turn_store.claim(connection, second) is None, "an operation that is paused holds nothing"


async def test_a_plan_goes_on_where_it_was_whatever_the_page(pool: Pool, protocol: Protocol, tree: MountId) -> None:
    await protocol.run(tree, mkdir(tree, "d/e"), mkdir(tree, "d!"), mkdir(tree, "d/empty"))
    await protocol.run(tree, upload(tree, "d/e/x"), upload(tree, "d!/no"), mkdir(tree, "d/e/e"))
    for limit in (1, 2, 3, 50):
        found: list[str] = []
        after: tuple[bytes, bytes] | None = (b"d/", b"")
        while after is not None:
            async with pool.connection() as connection:
                page, after = await plan_store.below(connection, tree, NodePath(b"d"), after, limit)
            found += [node.path.text for node in page]
        assert found == ["d/f", "d/g", "d/e", "d/e/x", "d/e/e", "d/empty"], limit


async def test_a_plan_finds_each_of_more_directories_than_it_reads_at_once(
    pool: Pool, protocol: Protocol, tree: MountId
) -> None:
    names = [f"d/n{number:03}" for number in range(230)]
    for start in range(0, len(names), 50):
        await protocol.run(tree, *[mkdir(tree, name) for name in names[start : start + 50]])
    found: list[str] = []
    after: tuple[bytes, bytes] | None = (b"d/", b"")
    while after is not None:
        async with pool.connection() as connection:
            page, after = await plan_store.below(connection, tree, NodePath(b"d"), after, 500)
        found += [node.path.text for node in page]
    assert found == ["d/f", "d/g", *names]
