"""In which order items go: what builds on another waits for it, whatever was left for later."""

import pytest

from schema.commands.command import CommandKind
from schema.ids import MountId
from schema.operations.control import Control
from schema.operations.operation import ItemState, OperationKind, Options
from schema.operations.selection import Selection
from schema.paths import NodePath
from schema.store.pool import Pool
from tests.store.helpers import Protocol, asked, make_mount, mkdir, upload
from tests.store.operation_rows import Runner, asked_for, lies, now, steered, undo_of


@pytest.fixture
async def tree(pool: Pool, protocol: Protocol) -> MountId:
    async with pool.connection() as connection:
        mount = await make_mount(connection)
    for names in (("d",), ("d/a", "d/b"), ("d/a/c",)):
        await protocol.run(mount, *[mkdir(mount, name) for name in names])
    await protocol.run(mount, *[upload(mount, f"d/{name}") for name in ("f", "a/f", "a/c/f", "b/f")])
    return mount


@pytest.fixture
def runner(pool: Pool, protocol: Protocol) -> Runner:
    return Runner(pool, protocol)


async def copied(runner: Runner, mount: MountId) -> str:
    """The tree, to `e`."""
    copy = await asked_for(runner.pool, mount, kind=OperationKind.COPY, target_path=NodePath(b"e"))
    assert await runner.plan(copy) == "running" and await runner.to_the_end(copy) == "succeeded"
    return copy.id


@pytest.mark.parametrize("how", ["undo", "rollback"])
async def test_a_directory_waits_for_a_busy_child_while_the_others_go_back(
    pool: Pool, protocol: Protocol, tree: MountId, runner: Runner, how: str
) -> None:
    before = await lies(pool, tree)
    copy = await asked_for(
        pool, tree, kind=OperationKind.COPY, target_path=NodePath(b"e"), options=Options(concurrency=64)
    )
    await runner.plan(copy)
    if how == "undo":
        await runner.to_the_end(copy)
        operation = await undo_of(pool, copy)
        await runner.plan(operation)
    else:
        while (await now(pool, copy))[0].done < 8:
            await runner.turn(copy)
        operation = await steered(pool, copy, Control.ROLLBACK)
    [reader] = (await protocol.begin(tree, [asked(CommandKind.COPY, tree, "e/a/c/f", target="x")])).unstaged
    for _ in range(6):
        await runner.turn(operation)
    row, items = await now(pool, operation)
    left = {"e", "e/a", "e/a/c", "e/a/c/f"}
    assert {path for path in await lies(pool, tree) if path.startswith("e")} == left, "all that is not above it"
    assert row.failed == 0 and {item.state for item in items} <= {ItemState.PENDING, ItemState.DONE, ItemState.REVERSED}
    await protocol.commit(tree, [protocol.applied(reader.id, reader.attempt)])
    assert await runner.to_the_end(operation) == ("succeeded" if how == "undo" else "rolled_back")
    lying = await lies(pool, tree)
    lying.pop("x")
    assert lying == before


async def test_directories_of_a_selection_go_after_what_they_hold_and_come_back_before_it(
    pool: Pool, tree: MountId, runner: Runner
) -> None:
    before = await lies(pool, tree)
    everything = Selection(kinds=("directory", "file"), include=("a", "a/**"))
    operation = await asked_for(pool, tree, kind=OperationKind.DELETE, selection=everything)
    await runner.plan(operation)
    assert await runner.to_the_end(operation) == "succeeded"
    assert set(before) - set(await lies(pool, tree)) == {"d/a", "d/a/f", "d/a/c", "d/a/c/f"}
    undo = await undo_of(pool, operation)
    await runner.plan(undo)
    assert await runner.to_the_end(undo) == "succeeded" and await lies(pool, tree) == before


async def test_directories_that_were_deleted_one_by_one_come_back_in_a_rollback(
    pool: Pool, tree: MountId, runner: Runner
) -> None:
    before = await lies(pool, tree)
    everything = Selection(kinds=("directory", "file"), include=("a", "a/**"))
    operation = await asked_for(
        pool, tree, kind=OperationKind.DELETE, selection=everything, options=Options(concurrency=1)
    )
    await runner.plan(operation)
    while (await now(pool, operation))[0].done < 3:
        await runner.turn(operation)
    await steered(pool, operation, Control.ROLLBACK)
    assert await runner.to_the_end(operation) == "rolled_back" and await lies(pool, tree) == before
