"""The rules of operations, each with the steps in which it is needed: a test is named after its rule."""

import asyncio
from dataclasses import replace

import pytest

from api.operations import make
from api.operations.bodies import ControlBody
from api.operations.steering import AskedControl, steer_one
from schema.access.decision import access_of
from schema.commands.command import CommandKind
from schema.commands.verdicts import Busy
from schema.errors import IdempotencyConflict, WrongState
from schema.ids import CommandId, MountId
from schema.operations.commands import command_of
from schema.operations.control import Control
from schema.operations.operation import (
    LEFT_MOST,
    ItemState,
    Operation,
    OperationItem,
    OperationKind,
    OperationState,
    Options,
    Want,
)
from schema.operations.reversal import reversal
from schema.paths import NodePath
from schema.principals import Principal
from schema.store import operation_turns as turn_store
from schema.store import operations as store
from schema.store import record as record_store
from schema.store.pool import Pool
from tests.store.helpers import Connection, Protocol, asked, make_mount, mkdir, upload
from tests.store.operation_rows import (
    Runner,
    asked_for,
    blocked,
    copy,
    counted,
    delete_of,
    handed_out,
    lies,
    mkdir_of,
    moved,
    now,
    planned,
    running,
    set_row,
    steered,
    undo_of,
)

MIXED = (copy(0, "d/a", "d/x"), moved(1, "d/b", "d/y"), delete_of(2, "d/c"))
MAKES = (mkdir_of(0, "d/n"), replace(copy(1, "d/a", "d/n/x"), needs=0))
P, R, D, F, S, X = (
    ItemState.PENDING, ItemState.RUNNING, ItemState.DONE, ItemState.FAILED, ItemState.SKIPPED, ItemState.REVERSED
)  # fmt: skip


@pytest.fixture
async def tree(pool: Pool, protocol: Protocol) -> MountId:
    async with pool.connection() as connection:
        mount = await make_mount(connection)
    await protocol.run(mount, mkdir(mount, "d"), mkdir(mount, "e"))
    await protocol.run(mount, *[upload(mount, f"d/{name}") for name in "abc"])
    return mount


@pytest.fixture
def runner(pool: Pool, protocol: Protocol) -> Runner:
    return Runner(pool, protocol)


async def states(pool: Pool, operation: Operation) -> list[ItemState]:
    return [item.state for item in (await now(pool, operation))[1]]


async def over(protocol: Protocol, mount: MountId, path: str) -> None:
    """A command of somebody else."""
    await protocol.run(mount, upload(mount, path, overwrite=True))


async def done(runner: Runner, mount: MountId, *items: OperationItem) -> Operation:
    """All of it has gone; its runner has not looked since."""
    operation = await running(runner.pool, mount, *items)
    for _ in range(len(items) + 1):
        if (await now(runner.pool, operation))[0].done < len(items):
            await runner.turn(operation)
    assert (await now(runner.pool, operation))[0].done == len(items)
    return operation


# Requests


async def test_row(pool: Pool, tree: MountId, runner: Runner) -> None:
    """A pause while a list is in flight, and nothing wakes the runner: the next look finds it."""
    operation = await running(pool, tree, *MIXED)
    begun = await runner.begin(await runner.next(operation))
    assert (await steered(pool, operation, Control.PAUSE)).want is Want.PAUSE
    await runner.end(begun)
    assert (await runner.next(operation)).state == OperationState.PAUSED


async def test_key(pool: Pool, tree: MountId, runner: Runner) -> None:
    """Pause, resume, and the pause once more, because its answer was lost."""
    operation = await running(pool, tree, *MIXED)
    ann = Principal(name="ann", tenant="main", token_id=1, access=access_of(("admin",)))

    async def requested(control: Control, key: str) -> bool:
        """As a route does it. Whether it is carried out."""
        async with pool.connection() as connection, connection.transaction():
            told = AskedControl(control, ControlBody(), key)
            return (await steer_one(connection, ann, operation.id, told))[1] is not None

    assert await requested(Control.PAUSE, "one") and await requested(Control.RESUME, "two")
    assert not await requested(Control.PAUSE, "one")
    assert (await now(pool, operation))[0].want is None and (await runner.next(operation)).commands
    with pytest.raises(IdempotencyConflict):
        await requested(Control.CANCEL, "one")


async def test_next(pool: Pool, tree: MountId, runner: Runner, other: Connection) -> None:
    """A pause is on its way when the runner looks: it looks after it, and hands nothing out."""
    operation = await running(pool, tree, *MIXED)
    async with other.transaction():
        assert await store.lock(other, operation.id)
        looks = asyncio.create_task(runner.next(operation))
        await blocked(other)
        await other.execute("UPDATE filestore.operations SET want = 'pause' WHERE id = %s", [operation.id])
    assert (await looks).state == OperationState.PAUSED and (await looks).commands == []


async def test_finish(pool: Pool, tree: MountId, runner: Runner, other: Connection) -> None:
    """A pause is taken back when the runner is about to reach it: it goes on."""
    operation = await running(pool, tree, *MIXED)
    await steered(pool, operation, Control.PAUSE)
    async with other.transaction():
        assert await store.lock(other, operation.id)
        looks = asyncio.create_task(runner.next(operation))
        await blocked(other)
        await other.execute("UPDATE filestore.operations SET want = NULL WHERE id = %s", [operation.id])
    assert (await looks).commands and (await now(pool, operation))[0].state is OperationState.RUNNING


async def test_finish_after_the_last_item(pool: Pool, protocol: Protocol, tree: MountId, runner: Runner) -> None:
    """All is done and a pause was accepted: it is paused, and ends when it is resumed."""
    operation = await done(runner, tree, *MIXED)
    await steered(pool, operation, Control.PAUSE)
    assert (await runner.next(operation)).state == OperationState.PAUSED
    await steered(pool, operation, Control.RESUME)
    assert await runner.to_the_end(operation) == "succeeded"


@pytest.mark.parametrize(
    ("control", "state"), [(Control.PAUSE, "paused"), (Control.CANCEL, "cancelled"), (Control.ROLLBACK, "rolling_back")]
)
async def test_drained(pool: Pool, tree: MountId, runner: Runner, control: Control, state: str) -> None:
    """What is in flight ends first: only then is the state reported."""
    operation = await running(pool, tree, *MIXED)
    begun = await runner.begin(await runner.next(operation))
    await steered(pool, operation, control)
    waits = await runner.next(operation)
    assert waits.commands == [] and waits.state != state and waits.wait_seconds > 0
    await runner.end(begun)
    assert (await runner.next(operation)).state == state


# Items and commands


async def test_adopt(pool: Pool, protocol: Protocol, tree: MountId, runner: Runner) -> None:
    """A runner dies after its list has taken effect: the next one does not hand these items out again."""
    operation = await running(pool, tree, *MIXED)
    begun = await runner.begin(await runner.next(operation))
    again = await runner.next(operation)
    assert again.commands == [] and await states(pool, operation) == [R, R, R]
    twice = await protocol.begin(tree, handed_out(operation, MIXED))
    assert not twice.go and not twice.unstaged, "one that handed them out joins their commands"
    await runner.end(begun)
    assert await runner.to_the_end(operation) == "succeeded" and (await now(pool, operation))[0].done == 3


async def test_open(pool: Pool, tree: MountId, runner: Runner) -> None:
    """A runner dies after `begin`; the sweep ends its commands: the items say so."""
    operation = await running(pool, tree, *MIXED)
    begun = await runner.begin(await runner.next(operation))
    assert await states(pool, operation) == [R, R, R] and counted((await now(pool, operation))[0]) == {"in_flight": 3}
    ended = await runner.end(begun)
    assert await states(pool, operation) == [D, D, D]
    assert ended.operations == [f"{operation.id}/1"], "whose runner is woken"


async def test_close(pool: Pool, tree: MountId, runner: Runner) -> None:
    """A runner dies after `commit`: the items are done, and the next one goes on behind them."""
    operation = await running(pool, tree, *MIXED, options=Options(concurrency=2))
    await runner.end(await runner.begin(await runner.next(operation)))
    assert [command.item for command in (await runner.next(operation)).commands] == [2]


async def test_fence(pool: Pool, tree: MountId, runner: Runner) -> None:
    """A runner is slow, another one adopts its list and ends it: the slow one has nothing to say any more."""
    operation = await running(pool, tree, *MIXED)
    begun = await runner.begin(await runner.next(operation))
    ids = [CommandId(going.id) for going in (*begun.go, *begun.unstaged)]
    async with pool.connection() as connection:
        adopted = await record_store.read_running(connection, ids, raise_attempt=True)
    later = replace(
        begun, unstaged=[], go=[replace(g, attempt=adopted[g.id].attempt) for g in (*begun.go, *begun.unstaged)]
    )
    await runner.fail(later, "STORAGE_FULL")
    await runner.end(begun)
    assert await states(pool, operation) == [F, F, F] and set(await lies(pool, tree)) == {"d", "e", "d/a", "d/b", "d/c"}


async def test_count(pool: Pool, tree: MountId, runner: Runner) -> None:
    """The reply to a COMMIT is lost, forward and backward: what is committed again changes no counter."""
    operation = await running(pool, tree, *MIXED)
    begun = await runner.begin(await runner.next(operation))
    await runner.end(begun)
    await runner.end(begun)
    assert counted((await now(pool, operation))[0]) == {"done": 3}
    await steered(pool, operation, Control.ROLLBACK)
    await runner.next(operation)
    while (step := await runner.next(operation)).commands:
        back = await runner.begin(step)
        await runner.end(back)
        await runner.end(back)
    assert counted((await now(pool, operation))[0]) == {"reversed": 3} and step.state == OperationState.ROLLED_BACK


async def test_sweep(pool: Pool, tree: MountId, runner: Runner) -> None:
    """An operation that is paused has no runner; when it is cancelled, it gets one."""
    operation = await running(pool, tree, *MIXED)

    async def due() -> bool:
        async with pool.connection() as connection:
            return operation.id in {id for id, _, _ in await store.due(connection, tree, 15.0)}

    assert await due(), "none was heard of"
    await steered(pool, operation, Control.PAUSE)
    await runner.next(operation)
    assert not await due()
    await steered(pool, operation, Control.CANCEL)
    assert await due() and await runner.to_the_end(operation) == "cancelled"


# Claims


async def test_claim(pool: Pool, tree: MountId, runner: Runner) -> None:
    """A second operation on the same paths waits until the first has ended, and says for which."""
    first, second = [await steered(pool, await planned(pool, tree, *MIXED), Control.APPLY) for _ in range(2)]
    begun = await runner.begin(await runner.next(first))
    waits = await runner.next(second)
    assert waits.commands == [] and (await now(pool, second))[0].state is OperationState.WAITING
    async with pool.connection() as connection:
        shown = await store.document(connection, second.id, "main")
    assert shown is not None and shown["waits_for"] == first.id
    await runner.end(begun)
    await runner.to_the_end(first)
    assert (await runner.next(second)).commands


async def test_at_once(pool: Pool, tree: MountId, runner: Runner) -> None:
    """Two that have each other's source as their target: one gets both, the other none."""
    there, back = NodePath(b"d"), NodePath(b"e")
    first = await steered(pool, await planned(pool, tree, *MIXED, path=there, target_path=back), Control.APPLY)
    second = await steered(pool, await planned(pool, tree, *MIXED, path=back, target_path=there), Control.APPLY)
    assert (await runner.next(first)).commands and not (await runner.next(second)).commands
    async with pool.connection() as connection:
        query = "SELECT claimed FROM filestore.operations WHERE id = ANY(%s::uuid[]) ORDER BY id"
        rows = await (await connection.execute(query, [[first.id, second.id]])).fetchall()
    assert [row["claimed"] for row in rows] == [True, False]


async def test_at_once_while_the_other_one_takes_them(
    pool: Pool, tree: MountId, runner: Runner, other: Connection
) -> None:
    """Two ask in one moment: the second one waits for the first to have all of them, and takes none."""
    there, back = NodePath(b"d"), NodePath(b"e")
    first = await steered(pool, await planned(pool, tree, *MIXED, path=there, target_path=back), Control.APPLY)
    second = await steered(pool, await planned(pool, tree, *MIXED, path=back, target_path=there), Control.APPLY)
    async with other.transaction():
        assert await turn_store.claim(other, first) is None
        looks = asyncio.create_task(runner.next(second))
        await blocked(other)
    assert (await looks).commands == [] and (await now(pool, second))[0].state is OperationState.WAITING
    assert (await runner.next(first)).commands


async def test_unclaim(pool: Pool, tree: MountId, runner: Runner) -> None:
    """A paused operation holds nothing: another one goes on, and that is waited for after a resume."""
    first, second = [await steered(pool, await planned(pool, tree, *MIXED), Control.APPLY) for _ in range(2)]
    await runner.end(await runner.begin(replace(step := await runner.next(first), commands=step.commands[:1])))
    await steered(pool, first, Control.PAUSE)
    assert (await runner.next(first)).state == OperationState.PAUSED
    assert (await runner.next(second)).commands
    await steered(pool, first, Control.RESUME)
    assert not (await runner.next(first)).commands and (await now(pool, first))[0].state is OperationState.WAITING


async def test_shared(pool: Pool, protocol: Protocol, tree: MountId, runner: Runner) -> None:
    """Somebody's command waits for an item that is in flight on its path, and for no other."""
    operation = await running(pool, tree, *MIXED)
    step = await runner.next(operation)
    begun = await runner.begin(replace(step, commands=step.commands[1:2]))
    busy, free = (upload(tree, f"d/{name}", overwrite=True) for name in "bc")
    verdicts = await protocol.run(tree, busy, free)
    assert isinstance(verdicts[busy.id], Busy) and not isinstance(verdicts[free.id], Busy)
    await runner.end(begun)


async def test_defer(pool: Pool, protocol: Protocol, tree: MountId, runner: Runner) -> None:
    """A path is held for long: the others go on, the item fails after so many tries, and a retry does it."""
    operation = await running(pool, tree, *MIXED)
    hung = await protocol.begin(tree, [asked(CommandKind.DESCRIBE, tree, "d/b")])
    await runner.turn(operation)
    assert await states(pool, operation) == [D, P, D]
    for _ in range(LEFT_MOST + 1):
        await runner.time_passes(operation)
        await runner.turn(operation)
    items = (await now(pool, operation))[1]
    assert (items[1].state, items[1].code) == (F, "PATH_BUSY") and await runner.to_the_end(operation) == "partial"
    await protocol.commit(tree, [protocol.applied(going.id, going.attempt) for going in hung.go])
    async with pool.connection() as connection:
        await connection.execute(
            "UPDATE filestore.operation_items SET node_id = 1, version = NULL WHERE operation_id = %s AND item = 1",
            [operation.id],
        )
    await steered(pool, operation, Control.RETRY)
    again = await runner.next(operation)
    assert [command.item for command in again.commands] == [1]


# Versions


@pytest.mark.parametrize(("path", "item"), [("d/a", 0), ("d/b", 1), ("d/c", 2)])
async def test_seen(pool: Pool, protocol: Protocol, tree: MountId, runner: Runner, path: str, item: int) -> None:
    """Something changed after the plan: that item is skipped with its code, the others go."""
    operation = await steered(pool, await planned(pool, tree, *MIXED), Control.APPLY)
    await over(protocol, tree, path)
    assert await runner.to_the_end(operation) == "partial"
    items = (await now(pool, operation))[1]
    assert [one.code for one in items] == ["VERSION_CONFLICT" if n == item else None for n in range(3)]


async def test_seen_at_the_target(pool: Pool, protocol: Protocol, tree: MountId, runner: Runner) -> None:
    """What was to be replaced has changed after the plan: it is left as it is."""
    replaces = replace(copy(0, "d/a", "d/b"), target_version=1)
    operation = await steered(pool, await planned(pool, tree, replaces), Control.APPLY)
    await protocol.run(tree, upload(tree, "d/b", 77, overwrite=True))
    assert await runner.to_the_end(operation) == "failed"
    assert (await now(pool, operation))[1][0].code == "VERSION_CONFLICT" and (await lies(pool, tree))["d/b"] == (
        "file",
        77,
    )


@pytest.mark.parametrize("change", ["more", "other", "below"])
async def test_seen_in_a_directory(pool: Pool, protocol: Protocol, tree: MountId, runner: Runner, change: str) -> None:
    """What it holds is not what the plan saw: one more, the same names with another content of the same size, or deep below."""
    await protocol.run(tree, mkdir(tree, "d/p"))
    await protocol.run(tree, upload(tree, "d/p/f"))
    operation = await asked_for(pool, tree, kind=OperationKind.DELETE, plan_only=True)
    assert await runner.plan(operation) == "planned"
    path = {"more": "d/new", "other": "d/a", "below": "d/p/f"}[change]
    await protocol.run(tree, upload(tree, path, overwrite=True))
    before = await lies(pool, tree)
    await steered(pool, operation, Control.APPLY)
    assert await runner.to_the_end(operation) == "failed" and await lies(pool, tree) == before
    assert (await now(pool, operation))[1][0].code == "VERSION_CONFLICT"


@pytest.mark.parametrize(
    ("path", "item", "code", "stays"),
    [
        ("d/x", 0, "VERSION_CONFLICT", {"d/x"}),
        ("d/y", 1, "VERSION_CONFLICT", {"d/y"}),
        ("d/c", 2, "NODE_EXISTS", set()),
    ],
)
async def test_left(
    pool: Pool, protocol: Protocol, tree: MountId, runner: Runner, path: str, item: int, code: str, stays: set[str]
) -> None:
    """What an item left was changed by somebody else, or something lies where it was: a rollback leaves it as it is, lists it, and
    puts the rest back."""
    operation = await done(runner, tree, *MIXED)
    await protocol.run(tree, upload(tree, path, 77, overwrite=True))
    await steered(pool, operation, Control.ROLLBACK)
    assert await runner.to_the_end(operation) == "partial"
    items = (await now(pool, operation))[1]
    assert [(one.state, one.code) for one in items] == [(F, code) if n == item else (X, None) for n in range(3)]
    there = await lies(pool, tree)
    assert there[path] == ("file", 77), "theirs"
    gone = {"d/b"} if item == 1 else set[str]()
    assert set(there) == {"d", "e", "d/a", "d/b", "d/c"} - gone | stays


async def test_order(pool: Pool, protocol: Protocol, tree: MountId, runner: Runner) -> None:
    """A directory that was made goes after the file that was put into it."""
    operation = await done(runner, tree, *MAKES)
    await steered(pool, operation, Control.ROLLBACK)
    went = []
    while not (step := await runner.turn(operation)).over:
        went += [command.item for command in step.commands]
    assert (went, step.state) == ([1, 0], "rolled_back") and "d/n" not in await lies(pool, tree)


async def test_empty(pool: Pool, protocol: Protocol, tree: MountId, runner: Runner) -> None:
    """Somebody put a file into a directory that was made: it stays with it, and is listed."""
    operation = await done(runner, tree, *MAKES)
    await protocol.run(tree, upload(tree, "d/n/mine"))
    await steered(pool, operation, Control.ROLLBACK)
    assert await runner.to_the_end(operation) == "partial"
    items = (await now(pool, operation))[1]
    assert [(one.state, one.code) for one in items] == [(F, "CHILDREN_EXIST"), (X, None)]
    assert {"d/n", "d/n/mine"} < set(await lies(pool, tree))


@pytest.mark.parametrize("plan", [MIXED, MAKES], ids=["mixed", "makes"])
async def test_keep(
    pool: Pool, protocol: Protocol, tree: MountId, runner: Runner, plan: tuple[OperationItem, ...]
) -> None:
    """Undone, done again, undone again: what a reversal takes away is kept as well."""
    before = await lies(pool, tree)
    operation = await done(runner, tree, *plan)
    assert await runner.to_the_end(operation) == "succeeded"
    after = await lies(pool, tree)
    for expected in (before, after, before):
        operation = await undo_of(pool, operation)
        assert await runner.plan(operation) == "running" and await runner.to_the_end(operation) == "succeeded"
        assert await lies(pool, tree) == expected


# Undo and retry


def undone_by(original: Operation) -> Operation:
    principal = Principal(name="ann", tenant="main", token_id=1)
    return make.undo_of(principal, original, plan_only=True)


async def test_ended(pool: Pool, protocol: Protocol, tree: MountId, runner: Runner) -> None:
    """No undo is planned of what still moves, is paused, or waits for its start."""
    operation = await planned(pool, tree, *MIXED)
    for change in ("state = 'planned'", "state = 'running', claimed = true, started_at = now()", "want = 'pause'"):
        await set_row(pool, operation, change)
        with pytest.raises(WrongState):
            undone_by((await now(pool, operation))[0])
    await set_row(pool, operation, "want = NULL")
    await runner.end(await runner.begin(await runner.next(operation)))
    await steered(pool, operation, Control.PAUSE)
    assert (await runner.next(operation)).state == "paused"
    with pytest.raises(WrongState):
        undone_by((await now(pool, operation))[0])
    await steered(pool, operation, Control.CANCEL)
    await runner.to_the_end(operation)
    assert undone_by((await now(pool, operation))[0]).undoes_turn == 1


async def failed_one(pool: Pool, protocol: Protocol, tree: MountId, runner: Runner) -> Operation:
    """The last of its items has failed, and it ended."""
    items = [MIXED[0], MIXED[1], replace(MIXED[2], node_id=None, kind=MIXED[2].kind)]
    operation = await running(pool, tree, *items)
    step = await runner.next(operation)
    await runner.end(await runner.begin(replace(step, commands=step.commands[:2])))
    last = await runner.begin(replace(step, commands=step.commands[2:]))
    await runner.fail(last, "STORAGE_FULL")
    async with pool.connection() as connection:
        await connection.execute(
            "UPDATE filestore.operation_items SET node_id = coalesce(node_id, 1) WHERE operation_id = %s",
            [operation.id],
        )
    assert await runner.to_the_end(operation) == "partial"
    return operation


async def test_turn(pool: Pool, protocol: Protocol, tree: MountId, runner: Runner) -> None:
    """An undo is planned, its original is retried and ends: the plan does not know what the retry did."""
    operation = await failed_one(pool, protocol, tree, runner)
    undo = await undo_of(pool, operation, plan_only=True)
    assert await runner.plan(undo) == "planned"
    await steered(pool, operation, Control.RETRY)
    for _ in range(2):
        with pytest.raises(WrongState, match="went on"):
            await steered(pool, undo, Control.APPLY)
        await set_row(pool, operation, "state = 'succeeded', ended_at = now(), claimed = false")


async def test_undone(pool: Pool, protocol: Protocol, tree: MountId, runner: Runner) -> None:
    """What is being undone, or has been, is not retried."""
    operation = await failed_one(pool, protocol, tree, runner)
    undo = await undo_of(pool, operation, plan_only=True)
    await runner.plan(undo)
    await steered(pool, undo, Control.APPLY)
    with pytest.raises(WrongState):
        await steered(pool, operation, Control.RETRY)
    assert await runner.to_the_end(undo) == "succeeded"
    with pytest.raises(WrongState):
        await steered(pool, operation, Control.RETRY)


async def test_back(pool: Pool, protocol: Protocol, tree: MountId, runner: Runner) -> None:
    """A rollback that could not put everything back is retried: backwards."""
    operation = await done(runner, tree, *MIXED[:2])
    await over(protocol, tree, "d/x")
    await steered(pool, operation, Control.ROLLBACK)
    assert await runner.to_the_end(operation) == "partial"
    again = await steered(pool, operation, Control.RETRY)
    assert (again.state, again.back, again.turn) == (OperationState.ROLLING_BACK, True, 2)
    assert await runner.to_the_end(operation) == "partial" and await states(pool, operation) == [F, X]


async def test_what_is_put_back_names_what_was_left(pool: Pool, tree: MountId, runner: Runner) -> None:
    """The command of a reversal asks for the very version that its item left."""
    operation = await done(runner, tree, *MIXED)
    await set_row(pool, operation, "state = 'rolling_back', back = true")
    row, items = await now(pool, operation)
    for item in items:
        back = command_of(row, reversal(item, item.item), CommandId("0" * 32))
        assert (back.node_id, back.if_version) == (item.left_node, item.left_version) and item.left_version
