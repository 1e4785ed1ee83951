"""What a purge removes for good: by age and size, never what an operation counts on, and wherever it breaks off it goes on."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities import budgets
from activities.operations.chunk import NextChunk, NextStep
from activities.operations.plan import PlanItems
from activities.operations.purge import PurgeItems
from activities.operations.retain import RetainTrash
from schema.commands.command import CommandKind
from schema.ids import MountId, new_command_id
from schema.operations.operation import Operation, OperationItem, OperationKind, OperationState, Options
from schema.operations.purging import PurgePolicy
from schema.paths import NodePath
from schema.store import holds, mounts, past, trash
from schema.store import operation_plans as plan_store
from schema.store import operations as store
from schema.store.begin import lock_mounts
from schema.store.pool import Pool
from tests.store.helpers import Protocol, asked, delete, mkdir, upload

NOW = datetime(2026, 11, 29, tzinfo=UTC)
DAY = 86400


@pytest.mark.parametrize(
    ("policy", "since", "until", "newer", "goes"),
    [
        (PurgePolicy(), 1, 29, 10, False), (PurgePolicy(), 30, 0, 10, True), (PurgePolicy(older_than=DAY), 2, 28, 10, True),
        (PurgePolicy(older_than=3 * DAY), 2, 28, 10, False), (PurgePolicy(older_than=0), 0, 30, 10, True),
        (PurgePolicy(keep_bytes=10), 1, 29, 10, False), (PurgePolicy(keep_bytes=9), 1, 29, 10, True),
        (PurgePolicy(keep_bytes=0), 1, 29, 0, False),
    ],
)  # fmt: skip
def test_what_goes_by_age_and_by_size(policy: PurgePolicy, since: int, until: int, newer: int, goes: bool) -> None:
    """Since so many days in the trash, promised for so many more."""
    ended, promised = NOW - timedelta(days=since), NOW + timedelta(days=until)
    assert policy.goes(since=ended, until=promised, now=NOW, newer=newer) is goes


class Bins:
    """An executor that only unlinks, and may break off."""

    def __init__(self) -> None:
        self.unlinked: list[str] = []
        self.error: Exception | None = None

    def of(self, mount: MountId) -> Any:
        return self

    def purge(self, place: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.unlinked.append(place.decode())


class Purging:
    def __init__(self, pool: Pool, protocol: Protocol, mount: MountId) -> None:
        self.pool, self.protocol, self.mount, self.bins = pool, protocol, mount, Bins()
        threads = budgets.COPIES.build()
        self.chunks, self.trash = NextChunk(pool, self.bins, threads), PurgeItems(pool, self.bins, threads)

    async def run(self, *requests: Any) -> None:
        for request in requests:
            await self.protocol.run(self.mount, request)

    async def plan(self, kind: OperationKind = OperationKind.PURGE, path: str = "", **values: Any) -> Operation:
        values = {"options": Options(older_than=0)} | values
        operation = Operation(
            id=str(new_command_id()), tenant="main", principal="ann", token_id=1, kind=kind, mount_id=self.mount,
            path=NodePath(path.encode()), **values,
        )  # fmt: skip
        async with self.pool.connection() as connection:
            assert await store.create(connection, operation, operation.id, "00")
        await ActivityEnvironment().run(PlanItems(self.pool).plan, operation.id)
        return operation

    async def next(self, operation: Operation) -> NextStep:
        step: NextStep = await ActivityEnvironment().run(self.chunks.next, operation.id)
        return step

    async def carry_out(self, operation: Operation) -> str:
        while not (step := await self.next(operation)).over:
            if step.portion is not None:
                await ActivityEnvironment().run(self.trash.purge, step.portion)
        return step.state

    async def items(self, operation: Operation) -> list[OperationItem]:
        async with self.pool.connection() as connection:
            return await store.items(connection, operation.id, states=None, codes=None, after=-1, limit=100)

    async def ends(self, operation: Operation) -> list[tuple[str, str, str | None]]:
        return [(one.path.text, one.state, one.code) for one in await self.items(operation)]

    async def kept(self) -> list[str]:
        async with self.pool.connection() as connection:
            root = await past.root_of(connection, self.mount)
            assert root is not None
            page = await trash.kept(connection, self.mount, root, NodePath(b""), limit=100)
        return [one.path.text for one in page.entries]

    async def places(self) -> int:
        async with self.pool.connection() as connection:
            row = await (
                await connection.execute(
                    "SELECT count(*) AS places FROM filestore.snapshots s JOIN filestore.nodes n ON n.id = s.node_id"
                    " WHERE n.mount_id = %s AND s.content_place IS NOT NULL", (self.mount,),
                )
            ).fetchone()  # fmt: skip
        assert row is not None
        return int(row["places"])


@pytest.fixture
async def purging(pool: Pool, protocol: Protocol, mount: MountId) -> Purging:
    purging = Purging(pool, protocol, mount)
    await purging.run(mkdir(mount, "a"), mkdir(mount, "a/b"), upload(mount, "a/f", 3), upload(mount, "a/b/g", 5))
    return purging


async def test_what_lies_in_the_trash_goes_for_good_a_directory_as_one_item(purging: Purging) -> None:
    mount = purging.mount
    await purging.run(
        upload(mount, "a/f", 4, overwrite=True, sha256="cd" * 32),
        delete(mount, "a/f"),
        delete(mount, "a", recursive=True),
    )
    assert await purging.places() == 5, "two contents of a file, and a directory with two below it"
    async with purging.pool.connection() as connection:
        await connection.execute(
            "DELETE FROM filestore.cleanups"
        )  # what was replaced has come to its place in the trash
    operation = await purging.plan()
    assert [(one.path.text, one.nodes, one.size) for one in await purging.items(operation)] == [
        ("a", 3, 5), ("a/f", 1, 4), ("a/f", 1, 3),
    ]  # fmt: skip
    assert await purging.carry_out(operation) == "succeeded"
    assert len(purging.bins.unlinked) == 3 and await purging.kept() == [] and await purging.places() == 0
    assert await purging.items(await purging.plan()) == [], "nothing is left for another one"


async def test_by_size_the_newest_stays_and_a_path_is_all_that_is_meant(purging: Purging) -> None:
    await purging.run(delete(purging.mount, "a/b/g"), delete(purging.mount, "a/f"))
    by_size = await purging.plan(options=Options(keep_bytes=4))
    assert [one.path.text for one in await purging.items(by_size)] == ["a/b/g"]
    assert [one.path.text for one in await purging.items(await purging.plan(path="a/f"))] == ["a/f"]
    assert await purging.items(await purging.plan(options=Options())) == [], "by itself only what is kept no longer"


async def test_what_an_operation_counts_on_stays_until_it_has_ended(purging: Purging) -> None:
    mount = purging.mount
    await purging.run(delete(mount, "a", recursive=True))
    plan = await purging.plan(OperationKind.RESTORE, path="a/b", plan_only=True, options=Options())
    assert [one.kind for one in await purging.items(plan)] == ["mkdir", "restore"]
    operation = await purging.plan()
    assert await purging.carry_out(operation) == "succeeded"
    assert await purging.ends(operation) == [("a", "skipped", "IN_USE")] and purging.bins.unlinked == []
    async with purging.pool.connection() as connection:
        await plan_store.end_plan(connection, plan.id, OperationState.FAILED, None)
    await purging.carry_out(await purging.plan())
    assert await purging.kept() == []


async def test_what_a_moving_operation_put_there_stays(purging: Purging) -> None:
    other = await purging.plan(OperationKind.DELETE, path="a/f", options=Options())
    async with purging.pool.connection() as connection:
        await connection.execute("UPDATE filestore.operations SET claimed = true WHERE id = %s", (other.id,))
    step = await purging.next(other)
    await purging.protocol.run(purging.mount, *step.commands)
    assert await purging.kept() == ["a/f"]
    operation = await purging.plan()
    await purging.carry_out(operation)
    assert await purging.ends(operation) == [("a/f", "skipped", "IN_USE")]
    assert (await purging.next(other)).over
    await purging.carry_out(await purging.plan())
    assert await purging.kept() == []


async def test_after_a_crash_between_mark_and_unlink_it_is_kept_no_longer_and_goes(purging: Purging) -> None:
    mount = purging.mount
    await purging.run(delete(mount, "a/f"))
    operation = await purging.plan()
    step = await purging.next(operation)
    purging.bins.error = RuntimeError("the process dies here")
    assert step.portion is not None
    with pytest.raises(RuntimeError):
        await ActivityEnvironment().run(purging.trash.purge, step.portion)
    assert await purging.kept() == [] and await purging.places() == 1
    restore = await purging.plan(OperationKind.RESTORE, path="a/f", options=Options())
    assert await purging.ends(restore) == [("a/f", "failed", "CONTENT_EXPIRED")]
    purging.bins.error = OSError(5, "I/O error")
    assert await purging.carry_out(operation) == "failed"
    purging.bins.error = None
    assert await purging.carry_out(await purging.plan(options=Options())) == "succeeded", "another purge finds it"
    assert await purging.places() == 0 and len(purging.bins.unlinked) == 1


async def test_the_plan_of_an_undo_says_what_can_not_come_back(purging: Purging) -> None:
    done = await purging.plan(OperationKind.DELETE, path="a", options=Options())
    async with purging.pool.connection() as connection:
        await connection.execute("UPDATE filestore.operations SET claimed = true WHERE id = %s", (done.id,))
    await purging.protocol.run(purging.mount, *(await purging.next(done)).commands)
    assert (await purging.next(done)).over
    await purging.carry_out(await purging.plan())
    undo = await purging.plan(
        OperationKind.UNDO, path="a", undoes=done.id, undoes_turn=1, plan_only=True, options=Options()
    )
    assert await purging.ends(undo) == [("a", "failed", "CONTENT_EXPIRED")]


async def test_a_command_that_brings_it_back_comes_first(purging: Purging) -> None:
    mount = purging.mount
    await purging.run(delete(mount, "a/f"))
    operation = await purging.plan()
    node = (await purging.items(operation))[0].node_id
    restore = asked(CommandKind.RESTORE, mount, "a/f", node_id=node)
    begun = await purging.protocol.begin(mount, [restore])
    await purging.carry_out(operation)
    assert await purging.ends(operation) == [("a/f", "skipped", "IN_USE")]
    await purging.protocol.commit(mount, [purging.protocol.applied(going.id) for going in begun.go])
    assert await purging.kept() == []


async def test_a_mount_that_keeps_less_gets_a_purge_when_there_is_something_to_remove(purging: Purging) -> None:
    await purging.run(delete(purging.mount, "a/f"))
    look = RetainTrash(purging.pool).retain
    assert await ActivityEnvironment().run(look, purging.mount) is None, "the service promised it for longer"
    async with purging.pool.connection() as connection:
        await mounts.update(connection, purging.mount, {"retention": {"keep_bytes": 2}})
    planned = await ActivityEnvironment().run(look, purging.mount)
    assert planned is not None and await ActivityEnvironment().run(look, purging.mount) == planned, "one in an hour"
    assert await ActivityEnvironment().run(PlanItems(purging.pool).plan, planned) == "running"
    async with purging.pool.connection() as connection:
        operation = await store.find(connection, planned)
    assert operation is not None and operation.principal == "system"
    await purging.carry_out(operation)
    assert await purging.kept() == []


async def test_what_the_trash_keeps_of_a_held_place_is_not_purged_before_the_hold_ends(purging: Purging) -> None:
    mount = purging.mount
    await purging.run(delete(mount, "a/f"), delete(mount, "a", recursive=True))

    async def hold(path: str) -> int:
        async with purging.pool.connection() as connection, connection.transaction():
            await lock_mounts(connection, [mount])
            return await holds.create(
                connection, "main", mount, NodePath(path.encode()), "legal", "case 1", None, "ann"
            )

    inside = await hold("a/b/g")
    planned = await purging.plan()
    assert await purging.ends(planned) == [("a", "pending", "HELD"), ("a/f", "pending", None)], "the plan says it"
    late = await hold("a/f")  # after the plan
    assert await purging.carry_out(planned) == "succeeded"
    assert await purging.ends(planned) == [("a", "skipped", "HELD"), ("a/f", "skipped", "HELD")]
    assert purging.bins.unlinked == [] and sorted(await purging.kept()) == ["a", "a/f"]
    async with purging.pool.connection() as connection:
        await connection.execute(
            "UPDATE filestore.versions s SET content_until = now() FROM filestore.nodes n"
            " WHERE n.id = s.node_id AND n.mount_id = %s AND s.content_place IS NOT NULL", [mount],
        )  # fmt: skip
    assert await ActivityEnvironment().run(RetainTrash(purging.pool).retain, mount) is None, (
        "the schedule has nothing to do"
    )
    async with purging.pool.connection() as connection:
        for id in (inside, late):
            await holds.release(connection, id, "ann")
    assert await purging.carry_out(await purging.plan()) == "succeeded"
    assert len(purging.bins.unlinked) == 2


async def test_no_hold_begins_on_what_a_purge_is_about_to_remove(purging: Purging) -> None:
    mount = purging.mount
    await purging.run(delete(mount, "a/f"), delete(mount, "a", recursive=True))
    planned = await purging.plan()

    async def too_late(path: str) -> bool:
        async with purging.pool.connection() as connection, connection.transaction():
            await lock_mounts(connection, [mount])
            return await holds.taken_now(connection, mount, NodePath(path.encode()))

    places = ("", "a", "a/f", "a/b/g", "b")
    assert [await too_late(path) for path in places] == [False] * 5
    async with purging.pool.connection() as connection:
        await connection.execute(
            "UPDATE filestore.operation_items SET state = 'running' WHERE operation_id = %s", [planned.id]
        )
    assert [await too_late(path) for path in places] == [True, True, True, True, False]
