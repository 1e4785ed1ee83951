"""Quotas: what commands would add has to fit, whatever else runs; what there is is what the nodes say."""

import asyncio
import uuid
from dataclasses import dataclass, replace
from typing import Any

import pytest

from schema.access.quotas import Amount, Limit, QuotaScope
from schema.commands.command import Command, CommandKind, Status
from schema.commands.verdicts import Go, Refuse, Verdict
from schema.errors import QuotaExceeded
from schema.ids import MountId
from schema.operations.operation import OperationKind
from schema.paths import NodePath
from schema.store import operations, quotas, rollups
from schema.store.pool import Pool
from schema.store.quotas import NewQuota
from tests.store.helpers import Protocol, asked, delete, make_mount, mkdir, upload
from tests.store.operation_rows import Runner, asked_for, now


@dataclass
class Limited:
    """A tenant of its own with two mounts."""

    pool: Pool
    protocol: Protocol
    tenant: str
    mount: MountId
    other: MountId

    async def quota(self, scope: QuotaScope, *, trash: bool = False, soft: Limit | None = None, **most: int) -> int:
        new = NewQuota(
            tenant=self.tenant, scope=scope, most=Limit(**most), soft=soft or Limit(), trash=trash, operators=False, by="ann"
        )  # fmt: skip
        async with self.pool.connection() as connection:
            return await quotas.create(connection, new)

    async def used(self, id: int) -> tuple[int, int, int, int]:
        """Bytes, nodes, and what is reserved of each."""
        async with self.pool.connection() as connection:
            row = (await quotas.listed(connection, self.tenant, only=id))[0]
        return row["bytes"], row["nodes"], row["reserved_bytes"], row["reserved_nodes"]

    async def row(self, id: int) -> dict[str, Any]:
        async with self.pool.connection() as connection:
            return (await quotas.listed(connection, self.tenant, only=id))[0]

    def of(self, command: Command, principal: str = "ann") -> Command:
        return replace(command, tenant=self.tenant, principal=principal)

    def upload(self, path: str, size: int, principal: str = "ann", **more: Any) -> Command:
        return self.of(upload(more.pop("mount", self.mount), path, size=size, **more), principal)

    async def run(self, command: Command) -> Verdict:
        return (await self.protocol.run(command.runs_on, command))[command.id]

    async def refused(self, command: Command) -> QuotaExceeded:
        verdict = await self.run(command)
        assert isinstance(verdict, Refuse) and isinstance(verdict.error, QuotaExceeded), verdict
        return verdict.error

    async def done(self, command: Command) -> None:
        verdict = await self.run(command)
        assert isinstance(verdict, Go), verdict


@pytest.fixture
async def limited(protocol: Protocol, pool: Pool) -> Limited:
    tenant = f"t-{uuid.uuid4().hex[:8]}"
    async with pool.connection() as connection, connection.transaction():
        mounts = [await make_mount(connection, tenant=tenant) for _ in range(2)]
    found = Limited(pool, protocol, tenant, *mounts)
    for path in ("a", "b"):
        await found.done(found.of(mkdir(found.mount, path)))
    return found


async def test_bytes_and_nodes_are_refused_beyond_the_limit_and_not_before(limited: Limited) -> None:
    id = await limited.quota(QuotaScope(limited.mount), bytes=100, nodes=4)
    await limited.done(limited.upload("a/f", 60))
    error = await limited.refused(limited.upload("a/g", 41))
    assert error.details is not None
    assert {name: error.details[name] for name in ("quotaId", "limit", "max", "used", "reserved", "wanted")} == {
        "quotaId": id, "limit": "bytes", "max": 100, "used": 60, "reserved": 0, "wanted": 41,
    }  # fmt: skip
    await limited.done(limited.upload("a/g", 40))
    assert await limited.used(id) == (100, 4, 0, 0)
    error = await limited.refused(limited.upload("a/h", 0))
    assert error.details is not None and error.details["limit"] == "nodes"
    await limited.done(limited.upload("a/g", 40, overwrite=True))  # adds nothing
    await limited.done(limited.upload("a/g", 7, overwrite=True))
    await limited.done(limited.of(delete(limited.mount, "a/f")))
    assert await limited.used(id) == (7, 3, 0, 0)
    row = await limited.row(id)
    assert (row["peak_bytes"], row["peak_nodes"]) == (100, 4)


async def test_each_scope_counts_its_own(limited: Limited) -> None:
    tenant = await limited.quota(QuotaScope(), bytes=1000)
    mount = await limited.quota(QuotaScope(limited.mount), bytes=1000)
    below = await limited.quota(QuotaScope(limited.mount, NodePath(b"a")), bytes=10)
    ann = await limited.quota(QuotaScope(principal="ann"), bytes=1000)
    bob = await limited.quota(QuotaScope(limited.mount, principal="bob"), bytes=20)
    await limited.done(limited.upload("a/f", 10))
    await limited.done(limited.upload("b/f", 15, "bob"))
    await limited.done(limited.upload("g", 3, mount=limited.other))
    await limited.done(limited.upload("h", 100, "bob", mount=limited.other))
    assert [(await limited.used(id))[:2] for id in (tenant, mount, below, ann, bob)] == [
        (128, 6), (25, 4), (10, 1), (13, 4), (15, 1),
    ]  # fmt: skip
    assert "below 'a'" in (await limited.refused(limited.upload("a/g", 1))).message
    assert "'bob'" in (await limited.refused(limited.upload("b/g", 6, "bob"))).message
    move = limited.of(asked(CommandKind.MOVE, limited.mount, "b/f", target="a/moved"))
    assert "below 'a'" in (await limited.refused(move)).message
    await limited.done(limited.upload("b/f", 4, "ann", overwrite=True))  # ann has put it there now
    assert [(await limited.used(id))[:2] for id in (ann, bob)] == [(17, 5), (0, 0)]
    await limited.done(limited.of(asked(CommandKind.MOVE, limited.mount, "a/f", target="b/away")))
    assert [(await limited.used(id))[:2] for id in (mount, below)] == [(14, 4), (0, 0)]


async def test_what_the_trash_keeps_counts_where_it_shall(limited: Limited) -> None:
    with_trash = await limited.quota(QuotaScope(limited.mount), trash=True, bytes=100)
    without = await limited.quota(QuotaScope(limited.mount), bytes=100)
    await limited.done(limited.upload("a/f", 40))
    await limited.done(limited.upload("a/f", 30, overwrite=True))
    assert [(await limited.used(id))[0] for id in (with_trash, without)] == [70, 30]
    await limited.refused(limited.upload("a/f", 31, overwrite=True))  # what it replaces is kept
    await limited.done(limited.of(delete(limited.mount, "a", recursive=True)))
    assert [(await limited.used(id))[:2] for id in (with_trash, without)] == [(70, 1), (0, 1)]
    async with limited.pool.connection() as connection, connection.transaction():
        await rollups.fold(connection)
    assert (await limited.used(with_trash))[0] == 70
    async with limited.pool.connection() as connection:
        row = await (await connection.execute("SELECT id FROM filestore.nodes WHERE mount_id = %s AND name = 'a'",
                                              [limited.mount])).fetchone()  # fmt: skip
    assert row is not None
    await limited.done(limited.of(asked(CommandKind.RESTORE, limited.mount, "a", node_id=row["id"])))
    assert [(await limited.used(id))[:2] for id in (with_trash, without)] == [(70, 3), (30, 3)]


async def test_a_running_command_reserves_until_it_ends_however_it_ends(limited: Limited) -> None:
    id = await limited.quota(QuotaScope(), bytes=100)
    first = limited.upload("a/f", 60)
    begun = await limited.protocol.begin(limited.mount, [first])
    assert await limited.used(id) == (0, 2, 60, 1)
    await limited.refused(limited.upload("g", 41, mount=limited.other))
    failed = replace(limited.protocol.applied(first.id), status=Status.FAILED, code="STORAGE_FULL", retryable=True)
    await limited.protocol.commit(limited.mount, [replace(failed, attempt=begun.go[0].attempt)])
    assert await limited.used(id) == (0, 2, 0, 0)
    await limited.done(limited.upload("g", 100, mount=limited.other))


async def test_a_list_takes_what_fits_in_its_order(limited: Limited) -> None:
    await limited.quota(QuotaScope(limited.mount), bytes=100)
    commands = [limited.upload(f"a/{n}", size) for n, size in enumerate((50, 60, 30, 30, 20))]
    verdicts = await limited.protocol.run(limited.mount, *commands)
    assert [isinstance(verdicts[command.id], Go) for command in commands] == [True, False, True, False, True]


async def test_64_writers_on_two_mounts_never_pass_a_quota_of_both(limited: Limited) -> None:
    """Each fills its own way, in lists of different sizes; not one byte too much, and none too few at the end."""
    tenant = await limited.quota(QuotaScope(), bytes=500)
    ann = await limited.quota(QuotaScope(principal="ann"), bytes=400)

    turns = asyncio.Semaphore(8)  # as many as there are connections

    async def writer(n: int) -> int:
        async with turns:
            return await written_by(n)

    async def written_by(n: int) -> int:
        mount = (limited.mount, limited.other)[n % 2]
        commands = [
            limited.upload(f"w{n}-{i}", 1 + (n + i) % 7, ("ann", "bob")[n % 3 == 0], mount=mount) for i in range(4)
        ]
        protocol = Protocol(limited.pool)
        if n % 4 == 0:  # killed after it began: its reservation stays until its command is ended
            begun = await protocol.begin(mount, commands)
            taken = {going.id for going in begun.go}
            await protocol.commit(mount, [
                replace(protocol.applied(id, 1), status=Status.FAILED, code="UNAVAILABLE", retryable=True) for id in taken
            ])  # fmt: skip
            return 0
        verdicts = await protocol.run(mount, *commands)
        return sum(command.size for command in commands if isinstance(verdicts[command.id], Go))

    written = sum(await asyncio.gather(*(writer(n) for n in range(64))))
    used = await limited.used(tenant)
    assert used[0] == written and used[2:] == (0, 0) and 0 < written <= 500
    assert (await limited.used(ann))[0] <= 400
    for id, room in ((tenant, 500 - written),):
        if room:
            await limited.done(limited.upload("last", room, "bob"))
        await limited.refused(limited.upload("more", 1, "bob"))
        assert (await limited.used(id))[0] == 500


async def test_the_way_back_of_an_operation_counts_and_is_not_refused(limited: Limited) -> None:
    id = await limited.quota(QuotaScope(limited.mount), bytes=10)
    back = replace(limited.upload("a/f", 60), operation_id=str(uuid.uuid4()), key="operation/x/1/back/0")
    begun = await limited.protocol.begin(limited.mount, [replace(back, operation_id=None)])
    assert not begun.go, "any other one is"
    from activities.commands import quotas as judge
    from schema.commands.situations import Place, Situation
    from schema.ids import NodeId

    found = Situation(fresh_node=NodeId(1), here=Place(limited.mount, "active"), limited=True)
    from schema.commands.intents import Create

    new = Create(node=NodeId(1), version=1, kind="file", size=60, sha256=None, parent=None)
    async with limited.pool.connection() as connection, connection.transaction():
        judged = await judge.judged(
            connection, limited.mount, [back], {back.id: found}, {back.id: Go(back.id, 1, new)}
        )  # fmt: skip
    assert isinstance(judged[back.id], Go)
    assert (await limited.used(id))[0] == 0


async def test_a_soft_limit_is_told_once_and_again_after_there_was_less(limited: Limited) -> None:
    id = await limited.quota(QuotaScope(limited.mount, NodePath(b"a")), soft=Limit(bytes=50), bytes=1000)

    async def told() -> list[dict[str, Any]]:
        query = "SELECT data FROM filestore.outbox WHERE mount_id = %s AND type = 'filestore.quota.soft' ORDER BY id"
        async with limited.pool.connection() as connection:
            return [row["data"] for row in await (await connection.execute(query, [limited.mount])).fetchall()]

    await limited.done(limited.upload("a/f", 50))
    assert await told() == []
    await limited.done(limited.upload("a/g", 1))
    await limited.done(limited.upload("a/h", 1))
    events = await told()
    assert [(event["quotaId"], event["path"], event["softBytes"]) for event in events] == [(id, "a", 50)]
    assert (await limited.row(id))["soft_since"] is not None
    await limited.done(limited.of(delete(limited.mount, "a/f")))
    async with limited.pool.connection() as connection:
        await quotas.look(connection)
    assert (await limited.row(id))["soft_since"] is None
    await limited.done(limited.upload("a/i", 60))
    assert len(await told()) == 2


async def test_what_a_look_finds_is_counted_and_never_refused(limited: Limited) -> None:
    """The totals are those of directories: whatever writes nodes changes them."""
    id = await limited.quota(QuotaScope(limited.mount), bytes=10, soft=Limit(bytes=5))
    async with limited.pool.connection() as connection, connection.transaction():
        await connection.execute(
            """WITH root AS (SELECT id FROM filestore.nodes WHERE mount_id = %(mount)s AND depth = 0)
               INSERT INTO filestore.rollup_deltas (directory_id, size_bytes, file_count, directory_count, child_count)
               SELECT id, 500, 1, 0, 1 FROM root""",
            {"mount": limited.mount},
        )
    async with limited.pool.connection() as connection:
        await quotas.look(connection)
    row = await limited.row(id)
    assert (row["bytes"], row["peak_bytes"]) == (500, 500) and row["soft_since"] is not None
    await limited.refused(limited.upload("a/f", 1))
    await limited.done(limited.of(delete(limited.mount, "a")))


def test_an_amount_that_adds_nothing_is_not_refused_for_what_others_have() -> None:
    from schema.access.quotas import QuotaRoom, admit

    room = QuotaRoom(1, QuotaScope(), Limit(10, 10), Limit(), Amount(50, 5), Amount(), claims={
        0: Amount(0, 1), 1: Amount(1, 0), 2: Amount(0, 6),
    })  # fmt: skip
    assert admit([room], 0) is None and room.reserved == Amount(0, 1)
    assert admit([room], 1) is not None
    refusal = admit([room], 2)
    assert refusal is not None and refusal.details is not None and refusal.details["limit"] == "nodes"
    assert admit([room], 3) is None, "it does not concern this quota"


async def test_an_operation_says_what_will_not_fit_and_carries_out_the_rest(
    pool: Pool, protocol: Protocol, limited: Limited
) -> None:
    async with pool.connection() as connection:
        mount = await make_mount(connection)
        for scope, most in ((NodePath(b"to"), 10), (NodePath(b"elsewhere"), 0)):
            await quotas.create(connection, NewQuota(
                tenant="main", scope=QuotaScope(mount, scope), most=Limit(bytes=most), soft=Limit(), trash=False,
                operators=False, by="ann",
            ))  # fmt: skip
    await protocol.run(mount, mkdir(mount, "d"), mkdir(mount, "to"))
    await protocol.run(mount, *[upload(mount, f"d/{n}") for n in range(4)])
    runner = Runner(pool, protocol)
    operation = await asked_for(pool, mount, path=NodePath(b"d"), kind=OperationKind.COPY, target_path=NodePath(b"to"))
    await runner.plan(operation)
    async with pool.connection() as connection:
        row = await operations.document(connection, operation.id, "main")
    assert row is not None and "QUOTA_EXCEEDED" in row["refusal"] and "'to'" in row["refusal"]
    await runner.to_the_end(operation)
    ended, items = await now(pool, operation)
    assert ended.state == "partial"
    assert sorted(item.code or "" for item in items) == ["", "", "QUOTA_EXCEEDED", "QUOTA_EXCEEDED"]
