"""Locks of objects below holds: all that is there, what comes later, and off again; whatever refuses or dies in between."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from temporalio.testing import ActivityEnvironment

from activities import budgets
from activities.access import object_locks as keeping
from activities.access.object_locks import LockTurn, ObjectLockKeeper
from activities.executors.contract.executor import Executor
from schema.access.object_locks import HeldObject, LockedObject, LockProof
from schema.errors import MountOffline
from schema.ids import MountId
from schema.paths import NodePath
from schema.store import begin, holds, object_locks
from schema.store.pool import Pool
from tests.store.drift import OneMount
from tests.store.helpers import Protocol, delete, mkdir, upload

KEEPS = LockProof(True, legal_hold=True, retention=True)


@dataclass
class LockingStorage:
    """A storage of versions: which are under a legal hold, and until when."""

    legal: set[str] = field(default_factory=set)
    until: dict[str, datetime] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    refuses: set[str] = field(default_factory=set)
    proved: int = 0
    away: bool = False
    proof: LockProof = KEEPS

    def object_locks(self) -> "LockingStorage":
        return self

    def check(self) -> None:
        if self.away:
            raise MountOffline("The store did not answer in time.")

    def prove(self) -> LockProof:
        self.proved += 1
        return self.proof

    def find(self, held: HeldObject) -> LockedObject | None:
        path = held.path.raw.decode() if held.place is None else f"trash/{held.place.decode()}"
        return None if path in self.gone else LockedObject(path, "v1")

    def lock(self, found: LockedObject, until: datetime | None) -> None:
        if found.key in self.refuses:
            raise PermissionError("AccessDenied")
        if until is None:
            self.legal.add(found.key)
        else:
            self.until[found.key] = until

    def unlock(self, locked: LockedObject) -> None:
        if locked.key in self.refuses:
            raise PermissionError("AccessDenied")
        self.legal.discard(locked.key)


@dataclass
class Locking:
    pool: Pool
    mount: MountId
    storage: LockingStorage
    seconds: float = 3600

    async def turn(self) -> LockTurn:
        executors = OneMount(cast(Executor, self.storage))
        keeper = ObjectLockKeeper(self.pool, executors, budgets.STEPS.build(), self.seconds)
        return await ActivityEnvironment().run(keeper.keep, self.mount)

    async def hold(self, path: str, kind: str = "legal", until: datetime | None = None) -> int:
        async with self.pool.connection() as connection, connection.transaction():
            await begin.lock_mounts(connection, {self.mount})
            id = await holds.create(
                connection, "main", self.mount, NodePath(path.encode()), kind, "case 1.", until, "ann"
            )
            await object_locks.begin(connection, id)
        return id

    async def release(self, id: int) -> None:
        async with self.pool.connection() as connection, connection.transaction():
            await holds.release(connection, id, "ann")
            await object_locks.wake(connection, id)

    async def row(self, id: int) -> tuple[Any, ...]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT lock_state, locked_objects, lock_problem FROM filestore.holds WHERE id = %s", (id,)
            )
            row = await cursor.fetchone()
        assert row is not None
        return tuple(row.values())

    async def pass_time(self, id: int) -> None:
        """All that is due some day is due now."""
        async with self.pool.connection() as connection:
            await connection.execute("UPDATE filestore.holds SET lock_due = now() WHERE id = %s", (id,))


@pytest.fixture
async def locking(pool: Pool, mount: MountId, protocol: Protocol, monkeypatch: pytest.MonkeyPatch) -> Locking:
    monkeypatch.setattr(keeping, "PAGE", 2)
    await protocol.run(mount, mkdir(mount, "d"), mkdir(mount, "other"), upload(mount, "free"))
    await protocol.run(
        mount, mkdir(mount, "d/e"), mkdir(mount, "d/empty"), *(upload(mount, f"d/{n}") for n in range(3))
    )
    await protocol.run(mount, *(upload(mount, f"d/e/{n}") for n in range(5)), upload(mount, "other/f"))
    return Locking(pool, mount, LockingStorage())


HELD = {*(f"d/{n}" for n in range(3)), *(f"d/e/{n}" for n in range(5))}


async def test_all_below_a_hold_is_locked_what_comes_later_too_and_all_of_it_is_unlocked(
    locking: Locking, protocol: Protocol
) -> None:
    id = await locking.hold("d")
    assert await locking.turn() == LockTurn(True, 8)
    assert locking.storage.legal == HELD and await locking.row(id) == ("locked", 8, None)
    await protocol.run(locking.mount, upload(locking.mount, "d/later"))
    await locking.pass_time(id)
    await locking.turn()
    assert locking.storage.legal == {*HELD, "d/later"} and await locking.row(id) == ("locked", 9, None)
    await locking.release(id)
    assert await locking.turn() == LockTurn(True, 9)
    assert locking.storage.legal == set() and await locking.row(id) == ("unlocked", 0, None)


async def test_what_the_trash_keeps_of_a_held_place_is_locked_and_unlocked_too(
    locking: Locking, protocol: Protocol
) -> None:
    mount = locking.mount
    await protocol.run(mount, upload(mount, "d/1", overwrite=True), delete(mount, "d/2"), delete(mount, "other/f"))
    await protocol.run(mount, delete(mount, "d/e", recursive=True))
    id = await locking.hold("d")
    assert await locking.turn() == LockTurn(True, 9)
    living = {key for key in locking.storage.legal if not key.startswith("trash/")}
    kept = locking.storage.legal - living
    assert living == {"d/0", "d/1"} and len(kept) == 7, "a replaced one, a deleted one, five of a directory"
    assert len({key.split("/")[2] for key in kept}) == 3 and await locking.row(id) == ("locked", 9, None)
    await locking.pass_time(id)
    await locking.turn()
    assert await locking.row(id) == ("locked", 9, None), "once each"
    await locking.release(id)
    await locking.turn()
    assert locking.storage.legal == set() and await locking.row(id) == ("unlocked", 0, None)


async def test_a_hold_on_a_file_or_on_the_whole_mount_locks_exactly_that(locking: Locking) -> None:
    await locking.hold("d/1")
    await locking.turn()
    assert locking.storage.legal == {"d/1"}
    await locking.hold("")
    await locking.turn()
    assert locking.storage.legal == {*HELD, "free", "other/f"}


async def test_what_another_hold_needs_stays_locked_until_that_ends_too(locking: Locking) -> None:
    outer, inner = await locking.hold("d"), await locking.hold("d/e", "protect")
    await locking.turn()
    await locking.release(outer)
    await locking.turn()
    assert locking.storage.legal == {f"d/e/{n}" for n in range(5)}
    await locking.release(inner)
    await locking.turn()
    assert locking.storage.legal == set()


async def test_a_hold_that_retains_locks_until_its_time_and_longer_when_it_is_extended(locking: Locking) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    id = await locking.hold("d/e", "retain", until)
    await locking.turn()
    assert locking.storage.until == {f"d/e/{n}": until for n in range(5)} and locking.storage.legal == set()
    async with locking.pool.connection() as connection:
        await holds.extend(connection, id, until + timedelta(days=1))
        await object_locks.begin(connection, id)
    await locking.turn()
    assert set(locking.storage.until.values()) == {until + timedelta(days=1)}
    assert await locking.row(id) == ("locked", 5, None)


async def test_a_hold_whose_time_is_over_is_unlocked_by_itself(locking: Locking) -> None:
    id = await locking.hold("d/e", "legal", datetime.now(UTC) + timedelta(seconds=0.4))
    await locking.turn()
    while (await locking.row(id))[0] != "unlocked":
        await locking.turn()
    assert locking.storage.legal == set()


async def test_what_the_bucket_refuses_or_has_no_more_is_said_and_holds_up_nothing(locking: Locking) -> None:
    locking.storage.refuses, locking.storage.gone = {"d/1"}, {"d/e/2"}
    id = await locking.hold("d")
    turn = await locking.turn()
    state, objects, problem = await locking.row(id)
    assert (turn, state, objects) == (LockTurn(True, 6), "locked", 6)
    assert "1 files are not in the bucket" in problem or "refused 1 objects, 'd/1' first: AccessDenied" in problem
    locking.storage.refuses, locking.storage.gone = set(), set()
    await locking.pass_time(id)
    await locking.turn()
    assert await locking.row(id) == ("locked", 8, None)
    locking.storage.refuses = {"d/0", "d/1"}
    await locking.release(id)
    turn = await locking.turn()
    state, objects, problem = await locking.row(id)
    assert turn.over and (state, objects) == ("unlocking", 2) and "AccessDenied" in problem
    assert locking.storage.legal == {"d/0", "d/1"}, "a whole page that is refused holds up none behind it"
    assert await locking.turn() == LockTurn(True, 0), "it is tried again later, not at once"
    locking.storage.refuses = set()
    await locking.pass_time(id)
    await locking.turn()
    assert await locking.row(id) == ("unlocked", 0, None) and locking.storage.legal == set()


async def test_what_a_crash_left_locked_is_unlocked_though_the_hold_ended_meanwhile(
    locking: Locking, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = await locking.hold("d")

    async def dies(*_: Any, **__: Any) -> None:
        raise ConnectionError("Postgres is away")

    with monkeypatch.context() as patched:
        patched.setattr(object_locks, "locked", dies)
        assert (await locking.turn()).over, "the rows say what is due"
    assert locking.storage.legal == {"d/0", "d/1"}
    await locking.release(id)
    await locking.turn()
    assert locking.storage.legal == set() and (await locking.row(id))[0] == "unlocked"


async def test_a_storage_that_is_away_is_waited_for_and_a_proof_is_made_once_in_a_while(
    locking: Locking, caplog: pytest.LogCaptureFixture
) -> None:
    id = await locking.hold("d")
    locking.storage.away = True
    assert await locking.turn() == LockTurn(True, 0) and (await locking.row(id))[0] == "locking"
    locking.storage.away = False
    for _ in range(3):
        await locking.turn()
    assert locking.storage.proved == 1
    locking.seconds, locking.storage.proof = 0, LockProof(True, problem="The store took a lock and removed it.")
    await locking.turn()
    assert locking.storage.proved == 2 and "does not keep what is locked any more" in caplog.text
    async with locking.pool.connection() as connection:
        proof, old = await object_locks.proof(connection, locking.mount, 3600)
        mine = [one for one in await object_locks.every(connection) if one.lost]
    assert proof == locking.storage.proof and not old
    assert len(mine) == 1, "it is among the metrics"
    for half, lost in ((LockProof(True, legal_hold=True), 1), (LockProof(True), 1), (KEEPS, 0)):
        locking.storage.proof = half
        await locking.turn()
        async with locking.pool.connection() as connection:
            assert sum(one.lost for one in await object_locks.every(connection)) == lost, half
