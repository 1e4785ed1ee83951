"""What an operation has handed out opens only in its turn; a plan runs only of what it saw; errors count by the turn."""

import asyncio
from dataclasses import replace

import psycopg
import pytest

from schema.errors import WrongState
from schema.ids import MountId, NodeId
from schema.operations.control import Control
from schema.operations.operation import ItemState, Operation, OperationState, Options
from schema.operations.turn import Reached
from schema.store import operation_turns as turn_store
from schema.store import operations as store
from schema.store.pool import Pool
from tests.store.helpers import Connection, Protocol, make_mount, mkdir, upload
from tests.store.operation_rows import (
    Runner,
    blocked,
    carry_out,
    counted,
    handed_out,
    move,
    now,
    planned,
    running,
    set_row,
    steered,
    undo_of,
)

LATER = {
    "paused": "state = 'paused', claimed = false",
    "is to pause": "want = 'pause'",
    "is cancelled soon": "state = 'cancelling'",
    "has ended": "state = 'partial', claimed = false, ended_at = now()",
    "turned back": "state = 'rolling_back', back = true",
    "was taken up again": "turn = 2",
    "has to claim anew": "claimed = false",
    "waits": "state = 'waiting', claimed = false",
}


@pytest.fixture
async def tree(pool: Pool, protocol: Protocol) -> MountId:
    async with pool.connection() as connection:
        mount = await make_mount(connection)
    await protocol.run(mount, mkdir(mount, "d"))
    await protocol.run(mount, *[upload(mount, f"d/{name}") for name in "fgh"])
    return mount


@pytest.fixture
def runner(pool: Pool, protocol: Protocol) -> Runner:
    return Runner(pool, protocol)


@pytest.mark.parametrize("change", LATER.values(), ids=LATER)
async def test_what_was_handed_out_before_does_not_begin_when_its_operation(
    pool: Pool, protocol: Protocol, tree: MountId, change: str
) -> None:
    operation = await running(pool, tree, move(0, "f"), move(1, "none"))
    commands = handed_out(operation, (await now(pool, operation))[1])
    async with pool.connection() as connection:
        await turn_store.hand_out(connection, operation.id, [0, 1], 0.0)
    await set_row(pool, operation, change)
    begun = await protocol.begin(tree, commands)
    row, items = await now(pool, operation)
    assert not begun.go and not begun.refused and counted(row) == {}, "no failure either"
    assert [item.state for item in items] == [ItemState.PENDING, ItemState.PENDING]
    async with pool.connection() as connection:
        asked = "SELECT count(*) AS n FROM filestore.commands WHERE operation_id = %s"
        assert (await (await connection.execute(asked, [operation.id])).fetchone()) == {"n": 0}
        late = "SELECT deferred, retry_at FROM filestore.operation_items WHERE operation_id = %s"
        rows = await (await connection.execute(late, [operation.id])).fetchall()
        assert rows == [{"deferred": 0, "retry_at": None}] * 2, "and it does not count against them"


async def test_an_item_that_was_taken_from_its_operation_does_not_begin(
    pool: Pool, protocol: Protocol, tree: MountId
) -> None:
    operation = await running(pool, tree, move(0, "f"), move(1, "g"))
    commands = handed_out(operation, (await now(pool, operation))[1])
    async with pool.connection() as connection:
        await turn_store.give_up(connection, operation.id, {0: (ItemState.SKIPPED, "SKIPPED", "not this one")})
    begun = await protocol.begin(tree, commands)
    assert [going.id for going in begun.go] == [commands[1].id]
    assert [item.state for item in (await now(pool, operation))[1]] == [ItemState.SKIPPED, ItemState.RUNNING]


async def test_what_is_in_flight_goes_on_whatever_is_wanted_since(
    pool: Pool, protocol: Protocol, tree: MountId
) -> None:
    operation = await running(pool, tree, move(0, "f"))
    commands = handed_out(operation, (await now(pool, operation))[1])
    first = await protocol.begin(tree, commands, workflow="one")
    await set_row(pool, operation, "want = 'pause'")
    again = await protocol.begin(tree, commands, workflow="one")
    assert again.go == first.go, "an execution whose answer was lost finds its command"
    await protocol.commit(tree, [protocol.applied(going.id, going.attempt) for going in again.go])
    assert counted((await now(pool, operation))[0]) == {"done": 1}


async def test_begin_and_next_lock_an_operation_before_its_items(
    pool: Pool, protocol: Protocol, tree: MountId, other: Connection
) -> None:
    operation = await running(pool, tree, move(0, "f"))
    commands = handed_out(operation, (await now(pool, operation))[1])
    async with other.transaction():
        assert await store.lock(other, operation.id)
        begins = asyncio.create_task(protocol.begin(tree, commands))
        await blocked(other)
        await turn_store.hand_out(other, operation.id, [0], 0.0)
    assert len((await begins).go) == 1


async def test_commit_and_next_lock_an_operation_before_its_items(
    pool: Pool, protocol: Protocol, tree: MountId, other: Connection
) -> None:
    operation = await running(pool, tree, move(0, "f"))
    begun = await protocol.begin(tree, handed_out(operation, (await now(pool, operation))[1]))
    async with other.transaction():
        assert await store.lock(other, operation.id)
        ends = asyncio.create_task(
            protocol.commit(tree, [protocol.applied(going.id, going.attempt) for going in begun.go])
        )
        await blocked(other)
        await turn_store.hand_out(other, operation.id, [0], 0.0)
    assert (await ends).succeeded == 1


async def test_a_change_stops_the_operation_at_its_turn_and_nothing_goes_behind_it(
    pool: Pool, protocol: Protocol, tree: MountId, runner: Runner
) -> None:
    stop = Options(on_changed="stop")
    operation = await running(pool, tree, move(0, "f"), move(1, "g", version=7), move(2, "h"), options=stop)
    commands = handed_out(operation, (await now(pool, operation))[1])
    begun = await protocol.begin(tree, commands)
    await protocol.begin(tree, handed_out(operation, [move(2, "h")]))
    await protocol.commit(tree, [protocol.applied(going.id, going.attempt) for going in begun.go])
    row, items = await now(pool, operation)
    assert [item.state for item in items] == [ItemState.DONE, ItemState.SKIPPED, ItemState.PENDING]
    ended = await runner.next(row)
    assert ended.over and ended.state == OperationState.PARTIAL
    again = await steered(pool, row, Control.RETRY)
    await set_row(pool, again, "claimed = true")
    await carry_out(protocol, again, move(2, "h"))
    row, items = await now(pool, operation)
    assert items[2].state is ItemState.DONE, "a retry goes on behind it"


async def test_errors_of_the_plan_and_of_earlier_turns_do_not_end_a_retry(
    pool: Pool, protocol: Protocol, tree: MountId, runner: Runner
) -> None:
    failed = replace(move(0, "none"), state=ItemState.FAILED, code="NODE_EXISTS", node_id=None)
    busy = replace(move(1, "f"), node_id=NodeId(1))
    operation = await planned(pool, tree, failed, busy, move(2, "g"), options=Options(max_errors=1))
    operation = await steered(pool, operation, Control.APPLY)
    assert (operation.failed, operation.failed_before) == (1, 1)
    assert not (await runner.next(operation)).over
    async with pool.connection() as connection:
        await turn_store.give_up(connection, operation.id, {1: (ItemState.FAILED, "PATH_BUSY", "busy")})
    assert (await runner.next(operation)).state == "failed"
    await set_row(pool, operation, "options = options - 'max_errors'")
    operation = await steered(pool, operation, Control.RETRY)
    assert (operation.failed, operation.failed_before, operation.turn) == (1, 1, 2)


# Undo, and what it undoes


async def ended(pool: Pool, protocol: Protocol, tree: MountId) -> Operation:
    """Item 0 is done, and item 1 has failed."""
    operation = await running(pool, tree, move(0, "f"), move(1, "g"))
    await carry_out(protocol, operation, move(0, "f"))
    async with pool.connection() as connection:
        await turn_store.give_up(connection, operation.id, {1: (ItemState.FAILED, "PATH_BUSY", "busy")})
        await turn_store.reach(connection, operation.id, Reached(OperationState.PARTIAL, False))
    return (await now(pool, operation))[0]


async def test_an_undo_does_not_start_after_its_original_was_taken_up_again(
    pool: Pool, protocol: Protocol, tree: MountId, runner: Runner
) -> None:
    original = await ended(pool, protocol, tree)
    waits, plans = await undo_of(pool, original, plan_only=True), await undo_of(pool, original, plan_only=True)
    assert await runner.plan(waits) == OperationState.PLANNED
    await steered(pool, original, Control.RETRY)
    with pytest.raises(WrongState, match="went on after the plan"):
        await steered(pool, waits, Control.APPLY)
    await set_row(pool, original, "state = 'succeeded', ended_at = now()")
    with pytest.raises(WrongState):
        await steered(pool, waits, Control.APPLY)
    await set_row(pool, plans, "plan_only = false")
    assert await runner.plan(plans) == OperationState.FAILED
    async with pool.connection() as connection:
        shown = await store.document(connection, plans.id, "main")
    assert shown is not None and "undo it anew" in shown["refusal"]
    assert (await steered(pool, waits, Control.CANCEL)).state is OperationState.CANCELLED, "a way on"


async def test_of_two_undos_one_starts(pool: Pool, protocol: Protocol, tree: MountId, runner: Runner) -> None:
    original = await ended(pool, protocol, tree)
    one, two = await undo_of(pool, original, plan_only=True), await undo_of(pool, original, plan_only=True)
    assert await runner.plan(one) == await runner.plan(two) == OperationState.PLANNED
    assert (await steered(pool, one, Control.APPLY)).state is OperationState.RUNNING
    with pytest.raises(WrongState):
        await steered(pool, two, Control.APPLY)
    with pytest.raises(WrongState, match="is or was undone"):
        await steered(pool, original, Control.RETRY)


async def test_an_undo_holds_its_original_still_while_it_starts(
    pool: Pool, protocol: Protocol, tree: MountId, runner: Runner, other: Connection
) -> None:
    original = await ended(pool, protocol, tree)
    undo = await undo_of(pool, original, plan_only=True)
    await runner.plan(undo)
    async with other.transaction():
        assert await store.lock(other, undo.id)
        async with pool.connection() as connection:
            await connection.execute("SET lock_timeout = 50")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                await store.lock(connection, original.id)
            await connection.execute("RESET lock_timeout")
