"""Quotas: what commands would add has to fit, whatever else runs; what there is is what the nodes say."""

import asyncio
import uuid
from dataclasses import dataclass, replace
from typing import Any

import pytest

from schema.access.quotas import Amount, Limit, QuotaScope
from schema.check import quotas as check_quotas
from schema.commands.command import Command, CommandKind, Status
from schema.commands.verdicts import Go, Refuse, Verdict
from schema.errors import QuotaExceeded
from schema.ids import MountId
from schema.operations.operation import OperationKind
from schema.paths import NodePath
from schema.store import check as check_store
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
        async with self.pool.connection() as connection, connection.transaction():
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


async def sound(limited: Limited) -> None:
    """What quotas count is what the nodes add up to, and what the trash keeps."""
    async with limited.pool.connection() as connection:
        facts, _ = await check_store.record(connection, limited.mount)
    assert list(check_quotas.check(facts)) == []


async def node_of(limited: Limited, name: str) -> int:
    query = "SELECT id FROM filestore.nodes WHERE mount_id = %s AND name = %s"
    async with limited.pool.connection() as connection:
        row = await (await connection.execute(query, [limited.mount, name.encode()])).fetchone()
    assert row is not None
    return int(row["id"])


async def purge(limited: Limited, name: str) -> None:
    """As the end of a purge does, of what was kept longest."""
    query = """UPDATE filestore.versions SET content_place = NULL, content_identity = NULL
                WHERE node_id = %s AND content_place IS NOT NULL"""
    async with limited.pool.connection() as connection:
        assert (await connection.execute(query, [await node_of(limited, name)])).rowcount


async def test_the_trash_of_a_subtree_counts_where_it_was_deleted_until_it_is_purged(limited: Limited) -> None:
    below = await limited.quota(QuotaScope(limited.mount, NodePath(b"a")), trash=True, bytes=100)
    other = await limited.quota(QuotaScope(limited.mount, NodePath(b"b")), trash=True, bytes=100)

    async def used() -> list[int]:
        await sound(limited)
        return [(await limited.used(id))[0] for id in (below, other)]

    await limited.done(limited.upload("a/f", 40))
    await limited.done(limited.upload("a/f", 30, overwrite=True))
    assert await used() == [70, 0]
    await limited.refused(limited.upload("a/f", 31, overwrite=True))
    await limited.done(limited.of(delete(limited.mount, "a/f")))
    assert await limited.used(below) == (70, 0, 0, 0), "a deletion frees nodes, and no bytes"
    await limited.refused(limited.upload("a/g", 31))
    await limited.done(limited.upload("a/g", 30))
    await limited.refused(limited.upload("a/h", 1))
    back = asked(CommandKind.RESTORE, limited.mount, "a/f", node_id=await node_of(limited, "f"))
    await limited.done(limited.of(back))  # it counted already
    assert await used() == [100, 0]
    async with limited.pool.connection() as connection, connection.transaction():
        await rollups.fold(connection)
    assert await used() == [100, 0]
    await limited.done(limited.of(asked(CommandKind.MOVE, limited.mount, "a/f", target="b/f")))
    assert await used() == [70, 30], "what the trash keeps does not move along"
    await purge(limited, "f")
    assert await used() == [30, 30]
    await limited.done(limited.of(delete(limited.mount, "b/f")))
    await limited.done(limited.of(delete(limited.mount, "a", recursive=True)))
    assert await used() == [30, 30]
    await limited.done(limited.of(asked(CommandKind.RESTORE, limited.mount, "a", node_id=await node_of(limited, "a"))))
    assert await limited.used(below) == (30, 1, 0, 0)
    await sound(limited)


async def test_what_comes_back_from_elsewhere_needs_room(limited: Limited) -> None:
    full = await limited.quota(QuotaScope(limited.mount, NodePath(b"a")), trash=True, bytes=50)
    await limited.done(limited.upload("b/f", 40))
    await limited.done(limited.of(delete(limited.mount, "b/f")))
    await limited.done(limited.upload("a/g", 20))
    back = limited.of(asked(CommandKind.RESTORE, limited.mount, "a/f", node_id=await node_of(limited, "f")))
    await limited.refused(back)
    await limited.done(
        limited.of(asked(CommandKind.RESTORE, limited.mount, "b/f", node_id=await node_of(limited, "f")))
    )
    assert (await limited.used(full))[0] == 20
    await sound(limited)


async def test_the_trash_of_a_principal_is_what_it_had_put_there(limited: Limited) -> None:
    ann = await limited.quota(QuotaScope(principal="ann"), trash=True, bytes=100)
    bob = await limited.quota(QuotaScope(limited.mount, principal="bob"), trash=True, bytes=100)
    plain = await limited.quota(QuotaScope(principal="ann"), bytes=1000)

    async def used() -> list[int]:
        await sound(limited)
        return [(await limited.used(id))[0] for id in (ann, bob, plain)]

    await limited.done(limited.upload("a/f", 40))
    await limited.done(limited.upload("a/f", 30, "bob", overwrite=True))
    assert await used() == [40, 30, 0]
    await limited.done(limited.of(delete(limited.mount, "a/f")))
    assert await used() == [40, 30, 0], "it is still bob's, who has not deleted it"
    await limited.refused(limited.upload("a/g", 61))
    await limited.done(limited.upload("a/g", 60))
    await limited.refused(limited.upload("a/g", 1, overwrite=True))
    assert await used() == [100, 30, 60]
    await limited.done(limited.of(delete(limited.mount, "a", recursive=True)))
    assert await used() == [100, 30, 0]
    await limited.done(limited.of(asked(CommandKind.RESTORE, limited.mount, "a", node_id=await node_of(limited, "a"))))
    assert await used() == [100, 30, 60]
    await purge(limited, "f")
    assert await used() == [60, 0, 60]


async def test_a_quota_counts_what_lay_in_the_trash_before_it(limited: Limited) -> None:
    await limited.done(limited.upload("a/f", 40))
    await limited.done(limited.upload("a/f", 30, "bob", overwrite=True))
    await limited.done(limited.upload("a/deep", 7))
    await limited.done(limited.of(asked(CommandKind.MOVE, limited.mount, "a/deep", target="b/deep")))
    await limited.done(limited.of(delete(limited.mount, "b", recursive=True)))
    await limited.done(limited.of(delete(limited.mount, "a/f")))
    ids = [
        await limited.quota(scope, trash=True, bytes=1000)
        for scope in (QuotaScope(limited.mount, NodePath(b"a")), QuotaScope(limited.mount, NodePath(b"b")),
                      QuotaScope(principal="ann"), QuotaScope(principal="bob"))
    ]  # fmt: skip
    assert [(await limited.used(id))[0] for id in ids] == [70, 7, 47, 30]
    await sound(limited)
    async with limited.pool.connection() as connection, connection.transaction():
        for id in ids:
            await quotas.remove(connection, id)
    query = """SELECT (SELECT count(*) FROM filestore.quota_kept WHERE quota_id = ANY(%(ids)s))
                    + (SELECT count(*) FROM filestore.charges WHERE quota_id = ANY(%(ids)s))
                    + (SELECT count(*) FROM filestore.charge_deltas WHERE quota_id = ANY(%(ids)s)) AS rows"""
    async with limited.pool.connection() as connection:
        row = await (await connection.execute(query, {"ids": ids})).fetchone()
    assert row is not None and row["rows"] == 0


async def test_the_first_versions_of_an_import_count_when_their_directory_is_deleted(limited: Limited) -> None:
    below = await limited.quota(QuotaScope(limited.mount, NodePath(b"a")), trash=True, bytes=100)
    await limited.done(limited.of(mkdir(limited.mount, "a/in")))
    await limited.done(limited.upload("a/in/f", 40))
    node = await node_of(limited, "f")
    async with limited.pool.connection() as connection, connection.transaction():
        await connection.execute("DELETE FROM filestore.versions WHERE node_id = %s", [node])
        await connection.execute("UPDATE filestore.nodes SET first_by = gen_random_uuid() WHERE id = %s", [node])
    await limited.done(limited.of(delete(limited.mount, "a/in", recursive=True)))
    assert await limited.used(below) == (40, 0, 0, 0)
    await sound(limited)


async def test_deletions_while_quotas_are_made_count_once_each(limited: Limited) -> None:
    for n in range(12):
        await limited.done(limited.upload(f"a/{n}", 1 + n))

    async def delete_one(n: int) -> None:
        await Protocol(limited.pool).run(limited.mount, limited.of(delete(limited.mount, f"a/{n}")))

    async def make() -> int:
        return await limited.quota(QuotaScope(limited.mount, NodePath(b"a")), trash=True, bytes=1000)

    made: list[int] = []
    for start in range(0, 12, 4):
        making = asyncio.ensure_future(make())
        await asyncio.gather(making, *(delete_one(n) for n in range(start, start + 4)))
        made.append(making.result())
    assert [(await limited.used(id))[:2] for id in made] == [(78, 0)] * 3
    await sound(limited)


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
