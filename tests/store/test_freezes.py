"""A freeze holds in the transaction of `begin`, whatever any process remembers."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schema.commands.command import CommandKind
from schema.commands.verdicts import Go, Refuse, Replay
from schema.errors import Frozen
from schema.ids import MountId
from schema.store import freezes as store
from schema.store.freezes import NewFreeze
from schema.store.pool import Pool
from tests.store.helpers import Protocol, asked, make_mount, mkdir, upload
from workers import freeze as command


def new(mount: MountId | None, key: str | None = None, **changes: Any) -> NewFreeze:
    values: dict[str, Any] = {"reason": "The array is rebuilt.", "until": None} | changes
    return NewFreeze(tenant="main", principal="ann", mount=mount, key=key or f"key of {mount}", **values)


async def freeze(pool: Pool, wanted: NewFreeze) -> tuple[int, bool] | None:
    async with pool.connection() as connection, connection.transaction():
        return await store.create(connection, wanted)


async def lift(pool: Pool, id: int) -> tuple[MountId | None, list[MountId]] | None:
    async with pool.connection() as connection, connection.transaction():
        return await store.lift(connection, id, "main", "ann")


async def test_changes_are_refused_with_the_reason_and_reads_of_the_mount_go_on(
    pool: Pool, protocol: Protocol, mount: MountId
) -> None:
    async with pool.connection() as connection:
        other = await make_mount(connection)
    done = mkdir(mount, "d", key="done")
    await protocol.run(mount, done, upload(mount, "f"))
    made = await freeze(pool, new(mount))
    assert made is not None and made[1]
    assert await freeze(pool, new(mount)) == (made[0], False), "the same request again"
    assert await freeze(pool, new(mount, reason="Another one.")) is None
    refused = mkdir(mount, "e", key="later")
    copied = asked(CommandKind.COPY, mount, "f", target="g", target_mount_id=other)
    verdicts = await protocol.run(
        mount, refused, mkdir(mount, "d", key="done", hash=done.hash, principal=done.principal)
    )
    verdict = verdicts[refused.id]
    assert isinstance(verdict, Refuse) and verdict.error.code == "FROZEN" and verdict.error.retryable
    assert verdict.error.details == {"freezeId": made[0], "reason": "The array is rebuilt.", "until": None}
    assert sum(isinstance(one, Replay) for one in verdicts.values()) == 1, "what was done before has its answer"
    assert len((await protocol.begin(other, [copied])).long) == 1, "a copy reads what is frozen"
    assert await lift(pool, made[0]) == (mount, [mount]) and await lift(pool, made[0]) is None
    again = await protocol.run(mount, mkdir(mount, "e", key="later", hash=refused.hash, principal=refused.principal))
    assert [type(one) for one in again.values()] == [Go], "the same key opens another attempt"


async def test_a_freeze_of_all_holds_on_every_mount_of_its_tenant_until_its_time_is_over(
    pool: Pool, protocol: Protocol, mount: MountId
) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.5)
    made = await freeze(pool, new(None, until=soon, key="all"))
    assert made is not None
    async with pool.connection() as connection:
        late = await make_mount(connection)
        elsewhere = await make_mount(connection, tenant="other")
        held = await store.of_mounts(connection, "main", [mount, late])
        assert held is not None and held.until == soon
        assert await store.of_mounts(connection, "other", [elsewhere]) is None
        await connection.execute("SELECT pg_sleep_until(%s)", (soon,))
    assert [type(one) for one in (await protocol.run(mount, mkdir(mount, "d"))).values()] == [Go]


async def test_a_freeze_waits_for_what_begins_and_is_seen_by_all_that_begins_after_it(
    pool: Pool, protocol: Protocol, mount: MountId
) -> None:
    async with pool.connection() as connection:
        async with connection.transaction():
            made = await store.create(connection, new(mount))
            begins = asyncio.create_task(protocol.begin(mount, [mkdir(mount, "d")]))
            await asyncio.sleep(0.1)
            assert not begins.done(), "it waits for the freeze"
        assert made is not None and (await begins).go == []


async def test_a_freeze_waits_for_what_is_no_command_too(pool: Pool, mount: MountId) -> None:
    async with pool.connection() as connection, connection.transaction():
        await store.check(connection, "main", mount)
        made = asyncio.create_task(freeze(pool, new(mount)))
        await asyncio.sleep(0.1)
        assert not made.done(), "a change that has looked for a freeze goes first"
    assert await made is not None
    async with pool.connection() as connection, connection.transaction():
        with pytest.raises(Frozen):
            await store.check(connection, "main", mount)
        await store.check(connection, "other", mount)


async def test_it_says_by_whom_it_was_lifted_and_holds_no_more(pool: Pool, mount: MountId) -> None:
    made = await freeze(pool, new(mount))
    assert made is not None
    await lift(pool, made[0])
    async with pool.connection() as connection:
        (shown,) = await store.listed(connection, "main", past=True, before=None, limit=1, id=made[0])
        assert not await store.listed(connection, "main", past=False, before=None, limit=9, id=made[0])
    assert shown["lifted_by"] == "ann" and shown["holds"] is False and shown["in_flight"] == 0


async def operator(url: str, *arguments: str) -> int:
    return await command.run(url, command.parser().parse_args(arguments))


async def test_operators_freeze_every_mount_of_every_tenant_and_only_they_lift_it(
    pool: Pool, protocol: Protocol, mount: MountId, record_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await operator(record_url, "all", " ") == 1, "those who are refused read the reason"
    assert await operator(record_url, "all", "Later.", "--until", "2020-01-01") == 1
    assert "Give a later one" in capsys.readouterr().err
    assert await operator(record_url, "all", "The storage is moved.") == 0
    id = int(capsys.readouterr().out)
    try:
        async with pool.connection() as connection:
            others = await make_mount(connection, tenant="other")  # made meanwhile
            assert await store.lift(connection, id, "main", "ann") is None
            (shown,) = await store.listed(connection, "other", past=False, before=None, limit=9)
        assert (shown["id"], shown["tenant"], shown["reason"]) == (id, None, "The storage is moved.")
        for place, tenant in ((mount, "main"), (others, "other")):
            wanted = mkdir(place, "d", tenant=tenant)
            verdict = (await protocol.run(place, wanted))[wanted.id]
            assert isinstance(verdict, Refuse) and verdict.error.code == "FROZEN"
            assert "until an operator of the installation lifts it" in str(verdict.error)
        assert await operator(record_url, "list") == 0
        assert json.loads(capsys.readouterr().out.splitlines()[0])["id"] == id, "the newest first"
    finally:
        assert await operator(record_url, "lift", str(id)) == 0
    assert await operator(record_url, "lift", str(id)) == 1 and "ended before" in capsys.readouterr().err
    assert await operator(record_url, "lift", str(id + 1)) == 1
    assert [type(one) for one in (await protocol.run(mount, mkdir(mount, "d"))).values()] == [Go]
    async with pool.connection() as connection:
        acts = "SELECT kind, tenant FROM filestore.journal_entries WHERE payload @> %s ORDER BY id"
        rows = await (await connection.execute(acts, (json.dumps({"freezeId": id}),))).fetchall()
    assert [row["kind"] for row in rows if row["tenant"] == "main"] == ["freeze", "liftFreeze"]
