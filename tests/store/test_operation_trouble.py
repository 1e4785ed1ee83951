"""Mounts that are away, servers that fail, busy mounts: an operation waits and goes on, and says with which codes items ended."""

import random
from collections import Counter
from dataclasses import replace
from typing import Any, cast

import pytest
from temporalio.client import Client

from schema.commands.command import CommandKind
from schema.ids import MountId
from schema.operations.control import Control
from schema.operations.operation import LEFT_MOST, ItemState, Operation, OperationKind, OperationState, Options
from schema.paths import NodePath
from schema.store import operation_turns as turn_store
from schema.store import operations as store
from schema.store.pool import Pool
from tests.store.helpers import OneExecutor, Protocol, asked, make_mount, mkdir, upload
from tests.store.operation_rows import (
    Away,
    Runner,
    asked_for,
    carry_out,
    counted,
    lies,
    mkdir_of,
    move,
    now,
    planned,
    running,
    set_row,
    steered,
)
from workers.engine.background import drive_due

FILES = 70


@pytest.fixture
async def tree(pool: Pool, protocol: Protocol) -> MountId:
    async with pool.connection() as connection:
        mount = await make_mount(connection)
    await protocol.run(mount, mkdir(mount, "d"), mkdir(mount, "e"))
    return mount


@pytest.fixture
def runner(pool: Pool, protocol: Protocol) -> Runner:
    return Runner(pool, protocol)


async def files(protocol: Protocol, mount: MountId, count: int) -> list[str]:
    names = [f"d/{number:02}" for number in range(count)]
    for start in range(0, count, 50):
        await protocol.run(mount, *[upload(mount, name) for name in names[start : start + 50]])
    return names


async def test_an_operation_waits_for_a_mount_that_is_away_and_tries_it_with_one_item(
    pool: Pool, protocol: Protocol, tree: MountId, runner: Runner
) -> None:
    await files(protocol, tree, FILES)
    copy = await asked_for(pool, tree, kind=OperationKind.COPY, target_path=NodePath(b"e"))
    await runner.plan(copy)
    protocol.serve(Away())
    assert len((await runner.turn(copy)).commands) == 64
    row, items = await now(pool, copy)
    assert (
        row.state is OperationState.WAITING and counted(row) == {} and {i.state for i in items} == {ItemState.PENDING}
    )
    assert (await runner.next(copy)).wait_seconds > 0, "not at once"
    async with pool.connection() as connection:
        shown = await store.document(connection, copy.id, "main")
        assert shown is not None and shown["away_mount"] == tree and shown["errors"] == []
        other = await asked_for(pool, tree, kind=OperationKind.DELETE)
        assert await turn_store.claim(connection, other) is None, "meanwhile another one can have the subtrees"
        await set_row(pool, other, "claimed = false")
    await runner.time_passes(copy)
    assert [command.item for command in (await runner.turn(copy)).commands] == [0]
    protocol.serve(OneExecutor())
    await runner.time_passes(copy)
    first, second = await runner.turn(copy), await runner.turn(copy)
    assert [command.item for command in (*first.commands, *second.commands)] == list(range(65)), (
        "one, and then in order"
    )
    assert await runner.to_the_end(copy) == "succeeded" and (await now(pool, copy))[0].done == FILES


async def test_a_mount_that_is_switched_off_is_not_tried(
    pool: Pool, protocol: Protocol, tree: MountId, runner: Runner
) -> None:
    await files(protocol, tree, 1)
    copy = await asked_for(pool, tree, kind=OperationKind.COPY, target_path=NodePath(b"e"))
    await runner.plan(copy)
    off = "UPDATE filestore.backend_mounts SET state = %s, state_reason = 'test' WHERE id = %s"
    async with pool.connection() as connection:
        await connection.execute(off, ["offline", tree])
    await runner.turn(copy)
    for _ in range(3):
        await runner.time_passes(copy)
        assert (await runner.next(copy)).commands == []
    async with pool.connection() as connection:
        await connection.execute(off, ["active", tree])
    assert await runner.to_the_end(copy) == "succeeded"


async def test_what_can_not_be_put_back_now_is_still_done(
    pool: Pool, protocol: Protocol, tree: MountId, runner: Runner
) -> None:
    await files(protocol, tree, 3)
    before = await lies(pool, tree)
    copy = await asked_for(pool, tree, kind=OperationKind.COPY, target_path=NodePath(b"e"))
    await runner.plan(copy)
    await runner.turn(copy)
    row = await steered(pool, copy, Control.ROLLBACK)
    protocol.serve(Away())
    await runner.turn(copy)
    await runner.turn(copy)
    row, items = await now(pool, copy)
    assert row.state is OperationState.ROLLING_BACK and counted(row) == {"done": 3}
    assert all(item.state is ItemState.DONE and item.left_node is not None for item in items)
    protocol.serve(OneExecutor())
    assert await runner.to_the_end(copy) == "rolled_back" and await lies(pool, tree) == before


async def test_an_item_that_no_server_takes_fails_after_so_many_tries_and_the_others_go_on(
    pool: Pool, protocol: Protocol, tree: MountId, runner: Runner
) -> None:
    await files(protocol, tree, 2)
    operation = await running(pool, tree, move(0, "00"), move(1, "01"))
    for left in range(1, LEFT_MOST + 1):
        await runner.time_passes(operation)
        step = await runner.next(operation)
        begun = await runner.begin(replace(step, commands=step.commands[:1]))
        await runner.fail(begun, "UNAVAILABLE")
        if left == 1:
            assert [item.state for item in (await now(pool, operation))[1]] == [ItemState.PENDING] * 2
            await carry_out(protocol, operation, move(1, "01"))
    items = (await now(pool, operation))[1]
    assert [(item.state, item.code) for item in items] == [(ItemState.FAILED, "UNAVAILABLE"), (ItemState.DONE, None)]
    assert await runner.to_the_end(operation) == "partial"


async def refused(runner: Runner, operation: Operation) -> list[int]:
    """What goes next, and no server takes it."""
    step = await runner.next(operation)
    if step.commands:
        await runner.fail(await runner.begin(step), "UNAVAILABLE")
    return [command.item for command in step.commands if command.item is not None]


async def test_a_retry_tries_a_server_that_had_refused_with_one_item_until_it_answers(
    pool: Pool, protocol: Protocol, tree: MountId, runner: Runner
) -> None:
    made = await running(
        pool, tree, *[mkdir_of(number, f"e/{number}") for number in range(5)], options=Options(max_errors=5)
    )
    await worn_out(pool, made)
    assert await refused(runner, made) == [0, 1, 2, 3, 4]
    assert (await runner.next(made)).state == "failed"
    for _ in range(2):
        await steered(pool, made, Control.RETRY)
        for _ in range(3):
            assert await refused(runner, made) == [0] and (await runner.next(made)).wait_seconds > 0
            async with pool.connection() as connection:
                shown = await store.document(connection, made.id, "main")
            assert shown is not None and (shown["state"], shown["away_mount"]) == ("waiting", tree)
            await runner.time_passes(made)
        await set_row(pool, made, "state = 'failed', ended_at = now(), claimed = false, failed = 5, away_mount = NULL")
        async with pool.connection() as connection:
            lost = "UPDATE filestore.operation_items SET state = 'failed', code = 'UNAVAILABLE' WHERE operation_id = %s"
            await connection.execute(lost, [made.id])
    await steered(pool, made, Control.RETRY)
    went = [[one.item for one in (await runner.turn(made)).commands] for _ in range(2)]
    assert went == [[0], [1, 2, 3, 4]] and await runner.to_the_end(made) == "succeeded"


async def worn_out(pool: Pool, operation: Operation) -> None:
    """Its items were tried so often that the next failure is their last."""
    async with pool.connection() as connection:
        tried = "UPDATE filestore.operation_items SET deferred = %s WHERE operation_id = %s"
        await connection.execute(tried, [LEFT_MOST - 1, operation.id])


async def waits(pool: Pool, operation: Operation) -> float:
    """For how many seconds its limits forbid more, as it was handed out last."""
    query = (
        "SELECT extract(epoch FROM paced_until - touched_at)::float AS seconds FROM filestore.operations WHERE id = %s"
    )
    async with pool.connection() as connection:
        row = await (await connection.execute(query, [operation.id])).fetchone()
    assert row is not None
    return float(row["seconds"])


@pytest.mark.slow
@pytest.mark.timeout(1200)
async def test_fifteen_thousand_items_that_a_dead_server_refused_go_in_order_and_within_their_limits_when_it_is_back(
    pool: Pool, protocol: Protocol, tree: MountId, runner: Runner
) -> None:
    many = 15_000
    limits = Options(concurrency=64, files_per_second=60)
    made = await running(pool, tree, *[mkdir_of(number, f"e/{number}") for number in range(many)], options=limits)
    await worn_out(pool, made)
    lost = list[int]()
    while len(lost) < many:
        lost += await refused(runner, made)
        await runner.time_passes(made)
    assert lost == list(range(many)) and (await runner.next(made)).state == "failed"
    row, _ = await now(pool, made)
    assert counted(row) == {"failed": many}
    await steered(pool, made, Control.RETRY)
    went = list[list[int]]()
    while not (step := await runner.next(made)).over:
        if step.commands:
            went.append([command.item for command in step.commands if command.item is not None])
            assert await waits(pool, made) == pytest.approx(len(step.commands) / 60, abs=1e-5), "so long for so many"
            await runner.end(await runner.begin(step))
        await runner.time_passes(made)
    assert [item for some in went for item in some] == list(range(many)), "each once, in the order of the plan"
    assert len(went[0]) == 1 and {len(some) for some in went[1:-1]} == {60}
    row, _ = await now(pool, made)
    assert counted(row) == {"done": many} and row.state == "succeeded"


async def test_a_plan_waits_for_no_command_and_counts_what_those_at_work_change_as_not_seen(
    pool: Pool, protocol: Protocol, tree: MountId, runner: Runner
) -> None:
    await files(protocol, tree, 3)
    begun = await protocol.begin(tree, [asked(CommandKind.DESCRIBE, tree, "d/01")])
    gone, selected = [
        await asked_for(pool, tree, kind=OperationKind.DELETE, plan_only=True, path=NodePath(path))
        for path in (b"d", b"d/00")
    ]
    assert await runner.plan(gone) == await runner.plan(selected) == OperationState.PLANNED
    await protocol.commit(tree, [protocol.applied(going.id, going.attempt) for going in begun.go])
    for operation, state in ((selected, "succeeded"), (gone, "failed")):
        await steered(pool, operation, Control.APPLY)
        assert await runner.to_the_end(operation) == state
    assert [item.code for item in (await now(pool, gone))[1]] == ["VERSION_CONFLICT"]


async def test_what_was_brought_into_a_tree_over_a_file_of_its_size_changes_the_tree(
    pool: Pool, protocol: Protocol, tree: MountId, runner: Runner
) -> None:
    await files(protocol, tree, 2)
    await protocol.run(tree, upload(tree, "e/new"))
    gone = await asked_for(pool, tree, kind=OperationKind.DELETE, plan_only=True)
    await runner.plan(gone)
    await protocol.run(tree, asked(CommandKind.MOVE, tree, "e/new", target="d/01", overwrite=True))
    await steered(pool, gone, Control.APPLY)
    assert await runner.to_the_end(gone) == "failed" and "d/01" in await lies(pool, tree)


async def test_errors_are_counted_by_the_items_that_change(pool: Pool, protocol: Protocol, tree: MountId) -> None:
    dice = random.Random(7)
    await protocol.run(tree, *[upload(tree, f"d/{number}") for number in range(9)])
    failed = replace(move(9, "x"), state=ItemState.SKIPPED, code="NODE_EXISTS")
    items = [replace(move(n, str(n), version=1 + n % 2), node_id=None, kind=move(0, "").kind) for n in range(9)]
    operation = await running(pool, tree, *items, failed)
    await carry_out(protocol, operation, *items[:5])
    for _ in range(8):
        codes = {
            n: (dice.choice([ItemState.FAILED, ItemState.SKIPPED]), dice.choice(["PATH_BUSY", "STORAGE_FULL"]), "")
            for n in dice.sample(range(9), 3)
        }
        async with pool.connection() as connection:
            await turn_store.give_up(connection, operation.id, codes)
            await connection.execute(
                "UPDATE filestore.operation_items SET node_id = 1 WHERE operation_id = %s", [operation.id]
            )
        await set_row(pool, operation, "state = 'partial', ended_at = now()")
        await steered(pool, operation, Control.RETRY, dice.sample(range(9), 2))
        now_items = (await now(pool, operation))[1]
        found = Counter(i.code for i in now_items if i.state in (ItemState.FAILED, ItemState.SKIPPED))
        async with pool.connection() as connection:
            shown = await store.document(connection, operation.id, "main")
        assert shown is not None and {e["code"]: e["count"] for e in shown["errors"]} == found
        assert all(now_items[e["item"]].code == e["code"] for e in shown["errors"]), "each with one of them"
    async with pool.connection() as connection:
        await connection.execute("DELETE FROM filestore.operation_items WHERE operation_id = %s", [operation.id])
        shown = await store.document(connection, operation.id, "main")
    assert shown is not None and shown["errors"] == [], "an import that begins anew has none"
    await set_row(pool, operation, "items = 0, done = 0, failed = 0, skipped = 0, changed = 0")


async def test_the_same_key_is_about_the_same_request(pool: Pool, tree: MountId) -> None:
    operation = await planned(pool, tree, move(0, "f"))
    async with pool.connection() as connection:
        assert await store.heard_of(connection, operation.id, "k", "retry", "aa") is None
        assert await store.heard_of(connection, operation.id, "k", "retry", "aa") is True
        assert await store.heard_of(connection, operation.id, "k", "retry", "bb") is False, "of other items"
        assert await store.heard_of(connection, operation.id, "k", "pause", "aa") is False


async def test_every_operation_without_a_runner_gets_one(pool: Pool, tree: MountId) -> None:
    """However many they are: each is started, and not the same first ones again."""
    copies = """INSERT INTO filestore.operations (id, tenant, principal, token_id, key, request_hash, kind, mount_id, path, state)
                SELECT gen_random_uuid(), 'main', 'ann', 1, %(mount)s || ' ' || n, '', 'copy', %(mount)s, 'd', 'running'
                  FROM generate_series(1, 230) n"""
    async with pool.connection() as connection:
        await connection.execute(copies, {"mount": tree})
    started: list[str] = []

    class Starts:
        async def start_workflow(self, _run: object, operation: str, **_: Any) -> None:
            started.append(operation)

    await drive_due(cast("Client", Starts()), pool, tree, 15.0)
    assert len(started) == len(set(started)) == 230
    async with pool.connection() as connection:
        await connection.execute("DELETE FROM filestore.operations WHERE mount_id = %s", [tree])
