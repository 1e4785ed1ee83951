"""A directory that is copied as one item gives way to a pause and to a cancellation, and goes on with what it has staged."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities import budgets, items
from activities.commands import stage
from activities.upkeep.sweep import Sweep
from schema.commands.payloads import AppliedList, Begun, CommandIds, Staged
from schema.ids import CommandId
from schema.operations.operation import ItemState, Operation
from schema.store import outcomes
from schema.store.pool import Pool
from tests.store.drift import Drifting, make_drifting
from tests.store.healing import RealSteps, steps_of
from tests.store.helpers import Protocol, delete
from tests.store.operation_rows import copy, handed_out, now, running, set_row

FILES = [f"d/{number:03}" for number in range(130)]
TAKEN = 70
"""Files that are staged when the operation is asked to give way"""


@pytest.fixture
async def drifting(pool: Pool, tmp_path: Path, protocol: Protocol) -> Drifting:
    return await make_drifting(pool, tmp_path / "root", protocol, FILES)


class Slow:
    """A stage that is at its 71st file until it has heard what its operation wants."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.taken, self.asked = 0, threading.Semaphore(0)
        monkeypatch.setattr(stage, "_BEAT_SECONDS", 0.02)
        monkeypatch.setattr(outcomes, "touch", self._touching(outcomes.touch))
        monkeypatch.setattr(items, "source_of", self._counting(items.source_of))

    def _touching(self, touch: Callable[..., Any]) -> Callable[..., Any]:
        async def touched(*given: Any) -> bool:
            if self.taken < TAKEN:
                return False
            self.asked.release()
            return bool(await touch(*given))

        return touched

    def _counting(self, source_of: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any) -> Any:
            self.taken += 1
            if self.taken == TAKEN:
                # The answer to the first question is known when the third is asked.
                assert all(self.asked.acquire(timeout=60) for _ in range(3))
            return source_of(*given)

        return counted


async def opened(steps: RealSteps, operation: Operation) -> CommandId:
    """The item is in flight: a directory goes on by itself."""
    _, (item,) = await now(steps.pool, operation)
    (command,) = handed_out(operation, [item])
    begun = await steps.begun(operation.mount_id, [command])
    (id,) = begun.long
    return id


async def staged(steps: RealSteps, operation: Operation, command: CommandId) -> Staged:
    ids = CommandIds(operation.mount_id, [command])
    adopted = await ActivityEnvironment().run(steps.begin.adopt, ids)
    return await ActivityEnvironment().run(steps.stage.stage, adopted)


async def interrupted(
    drifting: Drifting, monkeypatch: pytest.MonkeyPatch, wants: str
) -> tuple[RealSteps, Operation, CommandId, Slow]:
    """A copy of the directory that was asked to stop in the middle."""
    steps = steps_of(drifting)
    operation = await running(drifting.pool, drifting.mount, copy(1, "d", "copy"))
    command = await opened(steps, operation)
    slow = Slow(monkeypatch)
    await set_row(steps.pool, operation, wants)
    gone = await staged(steps, operation, command)
    assert [one.code for one in gone.failed] == ["INTERRUPTED"] and gone.go == []
    ended = await steps.committed(AppliedList(operation.mount_id, gone.failed))
    assert ended.leftovers == [], "what is staged stays"
    return steps, operation, command, slow


def stages(drifting: Drifting) -> dict[str, tuple[int, int]]:
    """What is staged, by name: the inode and the change time."""
    (top,) = [path for path in (drifting.root / ".filestore" / "stage").iterdir() if path.is_dir()]
    return {path.name: (path.stat().st_ino, path.stat().st_ctime_ns) for path in top.iterdir()}


async def test_a_pause_is_reached_in_the_middle_and_the_copy_goes_on_from_there(
    drifting: Drifting, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, operation, command, slow = await interrupted(drifting, monkeypatch, "want = 'pause'")
    there, (item,) = await now(drifting.pool, operation)
    assert (there.in_flight, item.state, there.failed) == (0, ItemState.PENDING, 0), (
        "nothing is in flight, and nothing failed"
    )
    before = stages(drifting)
    assert len(before) == TAKEN and await drifting.problems() == []
    await sweep(steps, drifting)
    assert stages(drifting) == before, "a pause can last for days"
    (drifting.root / ".filestore" / "stage" / command / "005").write_text("a stranger")
    await set_row(drifting.pool, operation, "want = NULL")
    assert await opened(steps, operation) == command
    slow.taken = TAKEN
    ready = await staged(steps, operation, command)
    assert ready.failed == []
    applied = await ActivityEnvironment().run(steps.apply.apply, Begun(drifting.mount, go=ready.go))
    await steps.committed(applied)
    copied = {path.name: path.stat() for path in (drifting.root / "copy").iterdir()}
    anew = {name for name, which in before.items() if (copied[name].st_ino, copied[name].st_ctime_ns) != which}
    assert len(copied) == len(FILES) and anew == {"005"}, "an inode can come back: its times do not"
    assert all((drifting.root / path).read_text() == (drifting.root / "copy" / path[2:]).read_text() for path in FILES)
    there, (item,) = await now(drifting.pool, operation)
    assert (there.done, item.state) == (1, ItemState.DONE) and await drifting.problems() == []
    assert await entries(drifting) == 0


async def test_of_a_copy_that_is_cancelled_nothing_stays(drifting: Drifting, monkeypatch: pytest.MonkeyPatch) -> None:
    steps, operation, _, _ = await interrupted(drifting, monkeypatch, "state = 'cancelling'")
    assert await entries(drifting) == len(FILES)
    await set_row(drifting.pool, operation, "state = 'cancelled', claimed = false, ended_at = now()")
    await sweep(steps, drifting)
    assert os.listdir(drifting.root / ".filestore" / "stage") == [] and await entries(drifting) == 0
    assert not (drifting.root / "copy").exists() and await drifting.problems() == []


async def test_a_tree_that_changed_meanwhile_is_staged_anew(
    drifting: Drifting, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, operation, command, slow = await interrupted(drifting, monkeypatch, "want = 'pause'")
    before = stages(drifting)
    await steps.run(drifting.mount, [delete(drifting.mount, "d/003")])
    await set_row(drifting.pool, operation, "want = NULL")
    await opened(steps, operation)
    slow.taken = TAKEN
    assert (await staged(steps, operation, command)).failed == []
    after = stages(drifting)
    assert sorted(after) == [path[2:] for path in FILES if path != "d/003"]
    assert not set(before.values()) & set(after.values())


async def entries(drifting: Drifting) -> int:
    query = """SELECT count(*) AS entries FROM filestore.staged_entries e JOIN filestore.commands c ON c.id = e.command_id
                WHERE c.mount_id = %s"""
    [row] = await drifting.rows(query, drifting.mount)
    return int(row["entries"])


async def sweep(steps: RealSteps, drifting: Drifting) -> None:
    """Of stages of any age."""
    sweeps = Sweep(drifting.pool, steps.executors, budgets.STEPS.build(), steps.finish, 0.0)
    await ActivityEnvironment().run(sweeps.sweep, drifting.mount)
