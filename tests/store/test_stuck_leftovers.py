"""A leftover that can not be cleared holds up no other, is tried again after a pause, and is shown."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from psycopg.rows import DictRow
from temporalio.testing import ActivityEnvironment

from activities import budgets
from activities.commands.finish import Finish
from activities.executors.contract.executor import Executor
from activities.executors.contract.task import Task
from activities.executors.memory.executor import MemoryExecutor
from activities.upkeep.sweep import Sweep
from schema.commands.payloads import CommandIds
from schema.errors import MountOffline
from schema.ids import CommandId, MountId
from schema.store import leftovers as leftover_store
from schema.store import mounts
from schema.store.pool import Pool
from tests.store.helpers import Protocol, upload


class Stubborn(MemoryExecutor):
    """Storage that does not let go of what some commands have left."""

    def __init__(self) -> None:
        super().__init__()
        self.stubborn: dict[CommandId, Exception] = {}
        self.away = False

    def finish(self, task: Task, succeeded: bool) -> None:
        if self.away:
            self.check()
        if task.command in self.stubborn:
            raise self.stubborn[task.command]
        super().finish(task, succeeded)

    def check(self) -> None:
        if self.away:
            raise MountOffline("The disk is away.")


class Only:
    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def of(self, mount: MountId) -> Executor:
        return self._executor


@pytest.fixture
def executor() -> Stubborn:
    return Stubborn()


@pytest.fixture
def finish(pool: Pool, executor: Stubborn) -> Finish:
    return Finish(pool, Only(executor), budgets.STEPS.build())


async def left_over(protocol: Protocol, mount: MountId, count: int) -> list[CommandId]:
    requests = [upload(mount, f"f{number}") for number in range(count)]
    begun = await protocol.begin(mount, requests)
    await protocol.commit(mount, [replace(protocol.applied(going.id), leaves=True) for going in begun.go])
    return [request.id for request in requests]


async def rows(pool: Pool, mount: MountId) -> list[DictRow]:
    query = """SELECT command_id::text AS command, attempts, problem, round(extract(epoch FROM due_at - now())) AS pause
                 FROM filestore.cleanups WHERE mount_id = %s ORDER BY id"""
    async with pool.connection() as connection:
        return await (await connection.execute(query, (mount,))).fetchall()


async def make_due(pool: Pool, mount: MountId) -> None:
    async with pool.connection() as connection:
        await connection.execute("UPDATE filestore.cleanups SET due_at = now() WHERE mount_id = %s", (mount,))


async def shown(pool: Pool, mount: MountId) -> dict[str, object]:
    async with pool.connection() as connection:
        document = await mounts.show(connection, mount, "main")
    assert document is not None
    return dict(json.loads(document))


@pytest.mark.parametrize(
    "error", [OSError(5, "broken"), MountOffline("Not this one."), KeyError("no such thing")], ids=repr
)
async def test_one_that_can_not_be_cleared_holds_up_no_other(
    pool: Pool, protocol: Protocol, mount: MountId, executor: Stubborn, finish: Finish, error: Exception
) -> None:
    commands = await left_over(protocol, mount, 5)
    executor.stubborn[commands[0]] = error
    assert await ActivityEnvironment().run(finish.finish, CommandIds(mount, commands)) == 4
    (stuck,) = await rows(pool, mount)
    assert (stuck["command"], stuck["attempts"]) == (commands[0], 1)
    assert stuck["problem"].startswith("f0: ")


async def test_it_is_tried_again_after_pauses_that_grow_up_to_an_hour(
    pool: Pool, protocol: Protocol, mount: MountId, executor: Stubborn, finish: Finish
) -> None:
    (command,) = await left_over(protocol, mount, 1)
    executor.stubborn[command] = OSError(5, "broken")
    pauses = []
    for _ in range(12):
        await make_due(pool, mount)
        assert await ActivityEnvironment().run(finish.clear, mount, None) == 0
        (stuck,) = await rows(pool, mount)
        pauses.append(int(stuck["pause"]))
        assert await ActivityEnvironment().run(finish.clear, mount, None) == 0
        assert (await rows(pool, mount))[0]["attempts"] == stuck["attempts"], "not before it is due"
    assert pauses == [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]
    executor.stubborn.clear()
    await make_due(pool, mount)
    assert await ActivityEnvironment().run(finish.clear, mount, None) == 1
    assert await rows(pool, mount) == []


async def test_a_mount_is_degraded_for_as_long_as_something_is_stuck(
    pool: Pool, protocol: Protocol, mount: MountId, executor: Stubborn, finish: Finish
) -> None:
    commands = await left_over(protocol, mount, 3)
    executor.stubborn = {command: OSError(5, "broken") for command in commands[:2]}
    before = await shown(pool, mount)
    assert (before["state"], before["leftovers"]) == ("active", None)
    await ActivityEnvironment().run(finish.finish, CommandIds(mount, commands))
    now = await shown(pool, mount)
    assert now["state"] == "degraded"
    assert isinstance(now["leftovers"], dict)
    assert now["leftovers"]["stuck"] == 2
    assert now["leftovers"]["problem"] in {f"f{n}: OSError: [Errno 5] broken" for n in (0, 1)}
    async with pool.connection() as connection:
        assert (await leftover_store.stuck(connection))[mount].count == 2
        degraded = await mounts.listed(connection, "main", states=["degraded"], only=mount)
        active = await mounts.listed(connection, "main", states=["active"], only=mount)
    assert (degraded.total, active.total) == (1, 0)
    executor.stubborn.clear()
    await ActivityEnvironment().run(finish.finish, CommandIds(mount, commands))
    after = await shown(pool, mount)
    assert (after["state"], after["leftovers"]) == ("active", None)


async def test_a_mount_that_is_away_is_not_held_against_its_leftovers(
    pool: Pool, protocol: Protocol, mount: MountId, executor: Stubborn, finish: Finish
) -> None:
    commands = await left_over(protocol, mount, 3)
    executor.away = True
    with pytest.raises(MountOffline):
        await ActivityEnvironment().run(finish.finish, CommandIds(mount, commands))
    assert [(row["attempts"], row["problem"]) for row in await rows(pool, mount)] == [(0, None)] * 3


async def test_the_sweep_reaches_the_stages_behind_what_is_stuck(
    pool: Pool, protocol: Protocol, mount: MountId, executor: Stubborn, finish: Finish,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (command,) = await left_over(protocol, mount, 1)
    executor.stubborn[command] = OSError(5, "broken")
    orphans = [executor.open_stage(upload(mount, "x").id).close().id for _ in range(3)]
    discard: Callable[..., bool] = executor.discard_stage

    def discards(stage: CommandId, staged: None) -> bool:
        if stage == orphans[0]:
            raise OSError(5, "broken")
        return discard(stage, staged)

    monkeypatch.setattr(executor, "discard_stage", discards)
    sweep = Sweep(pool, Only(executor), budgets.STEPS.build(), finish, 0.0)
    swept = await ActivityEnvironment().run(sweep.sweep, mount)
    assert (swept.cleared, swept.stages) == (0, 2)
    assert [stage for stage, _ in executor.stages()] == orphans[:1]
