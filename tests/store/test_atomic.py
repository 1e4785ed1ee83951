"""`begin` and `commit` of lists of which all are recorded, or none: on real rows."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from schema.commands.command import Command, CommandKind, Status
from schema.commands.payloads import Applied, AppliedList, Batch, Begun, CommandIds, Ended
from schema.commands.verdicts import Busy, Conflict, Go, Join, Refuse, Replay, Resume
from schema.ids import CommandId, MountId, NodeId, new_command_id
from schema.store import outcomes as outcome_store
from schema.store import record as record_store
from schema.store.pool import Pool
from tests.store.helpers import Protocol, asked, delete, make_mount, mkdir, upload


async def begin(protocol: Protocol, mount: MountId, *requests: Command, workflow: str = "w") -> Begun:
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, workflow_id=workflow)
    commands = Batch(mount, list(requests), atomic_id=new_command_id())
    return await environment.run(protocol._begin.begin, commands)


async def commit(protocol: Protocol, mount: MountId, *applied: Applied) -> Ended:
    return await ActivityEnvironment().run(protocol._commit.commit, AppliedList(mount, list(applied), atomic=True))


async def rows(pool: Pool, query: str, *values: Any) -> list[dict[str, Any]]:
    async with pool.connection() as connection:
        return await (await connection.execute(query.encode(), values)).fetchall()


async def of_mount(pool: Pool, mount: MountId) -> list[dict[str, Any]]:
    query = """SELECT id::text, status::text, code, retryable, attempt, atomic_id::text, item
                 FROM filestore.commands WHERE mount_id = %s ORDER BY item, id"""
    return await rows(pool, query, mount)


def kinds(protocol: Protocol, *requests: Command) -> list[type]:
    return [type(protocol.audience.verdicts[request.id]) for request in requests]


def again(request: Command) -> Command:
    return replace(request, id=new_command_id())


async def described(protocol: Protocol, pool: Pool, mount: MountId, *paths: str) -> list[Command]:
    """Commands without an effect on the storage, about files that exist."""
    await protocol.run(mount, *(upload(mount, path) for path in paths))
    found = await rows(pool, "SELECT id, name_text FROM filestore.nodes WHERE mount_id = %s AND kind = 'file'", mount)
    ids = {row["name_text"]: NodeId(row["id"]) for row in found}
    return [asked(CommandKind.DESCRIBE, mount, path, node_id=ids[path], key=f"k {path}") for path in paths]


async def test_all_are_recorded_by_one_transaction(protocol: Protocol, pool: Pool, mount: MountId) -> None:
    requests = [mkdir(mount, "a"), mkdir(mount, "b"), upload(mount, "c")]
    begun = await begin(protocol, mount, *requests)
    assert begun.atomic and [going.id for going in begun.go] == [request.id for request in requests]
    stored = await of_mount(pool, mount)
    assert len({row["atomic_id"] for row in stored}) == 1 and [row["item"] for row in stored] == [0, 1, 2]
    ended = await commit(protocol, mount, *(protocol.applied(going.id, size=5) for going in begun.go))
    assert (ended.succeeded, ended.failed) == (3, 0)
    entries = await rows(
        pool, "SELECT DISTINCT recorded_at, atomic_id FROM filestore.journal_entries WHERE mount_id = %s", mount
    )
    assert len(entries) == 1


async def test_one_that_is_refused_ends_all_of_them(protocol: Protocol, pool: Pool, mount: MountId) -> None:
    requests = [mkdir(mount, "a", key="1"), delete(mount, "nothing", key="2"), mkdir(mount, "c", key="3")]
    begun = await begin(protocol, mount, *requests)
    assert begun.go == [] and begun.refused == [request.id for request in requests]
    stored = await of_mount(pool, mount)
    assert [(row["status"], row["code"], row["retryable"]) for row in stored] == [
        ("failed", "NOT_ATTEMPTED", False), ("failed", "NODE_NOT_FOUND", False), ("failed", "NOT_ATTEMPTED", False),
    ]  # fmt: skip
    assert await rows(pool, "SELECT FROM filestore.claims WHERE mount_id = %s", mount) == []
    retried = [again(request) for request in requests]
    await begin(protocol, mount, *retried, workflow="another")
    assert kinds(protocol, *retried) == [Replay] * 3


async def test_a_retryable_refusal_opens_all_of_them_again(protocol: Protocol, pool: Pool, mount: MountId) -> None:
    full = upload(mount, "b", key="2")
    requests = [mkdir(mount, "a", key="1"), replace(full, failure="STORAGE_FULL", staged=None)]
    await begin(protocol, mount, *requests)
    retried = [again(requests[0]), again(full)]
    begun = await begin(protocol, mount, *retried, workflow="another")
    assert [(going.id, going.attempt) for going in begun.go] == [(request.id, 2) for request in requests]
    lists = {row["atomic_id"] for row in await of_mount(pool, mount)}
    assert len(lists) == 1
    await commit(protocol, mount, *(protocol.applied(going.id, 2, 5) for going in begun.go))
    assert {row["status"] for row in await of_mount(pool, mount)} == {"succeeded"}


async def test_one_busy_path_bounces_all_and_opens_nothing(protocol: Protocol, pool: Pool, mount: MountId) -> None:
    holder = mkdir(mount, "b")
    await protocol.begin(mount, [holder])
    requests = [mkdir(mount, "a"), mkdir(mount, "b")]
    await begin(protocol, mount, *requests)
    assert [protocol.audience.verdicts[request.id] for request in requests] == [Busy(holder.id)] * 2
    assert len(await of_mount(pool, mount)) == 1


async def test_the_same_list_joins_resumes_and_replays_as_one(protocol: Protocol, mount: MountId) -> None:
    requests = [mkdir(mount, "a", key="1"), mkdir(mount, "b", key="2")]
    first = await begin(protocol, mount, *requests)
    twice = await begin(protocol, mount, *requests)
    assert kinds(protocol, *requests) == [Resume] * 2 and twice.go == first.go
    joining = [again(request) for request in requests]
    assert (await begin(protocol, mount, *joining, workflow="another")).go == []
    assert kinds(protocol, *joining) == [Join] * 2
    await commit(protocol, mount, *(protocol.applied(going.id) for going in first.go))
    replayed = [again(request) for request in requests]
    await begin(protocol, mount, *replayed, workflow="a third")
    assert kinds(protocol, *replayed) == [Replay] * 2


@pytest.mark.parametrize("atomic", [False, True])
async def test_keys_that_were_used_otherwise_are_refused(
    protocol: Protocol, pool: Pool, mount: MountId, atomic: bool
) -> None:
    requests = [mkdir(mount, "a", key="1"), mkdir(mount, "b", key="2"), mkdir(mount, "c", key="3")]
    if atomic:
        begun = await begin(protocol, mount, *requests)
        await commit(protocol, mount, *(protocol.applied(going.id) for going in begun.go))
    else:
        await protocol.run(mount, *requests)
    parts = [again(request) for request in requests[: 2 if atomic else 3]]
    await begin(protocol, mount, *parts, workflow="another")
    assert kinds(protocol, *parts) == [Conflict] * len(parts)
    assert len(await of_mount(pool, mount)) == 3


async def test_the_same_lists_at_once_are_one(protocol: Protocol, pool: Pool, mount: MountId) -> None:
    lists = [[mkdir(mount, path, key=path) for path in "ab"] for _ in range(6)]
    begun = await asyncio.gather(
        *(begin(protocol, mount, *requests, workflow=f"w{n}") for n, requests in enumerate(lists))
    )
    assert sum(len(one.go) for one in begun) == 2 and len(await of_mount(pool, mount)) == 2
    assert sorted(kinds(protocol, *requests)[0].__name__ for requests in lists) == ["Go", *["Join"] * 5]
    assert all(len(set(kinds(protocol, *requests))) == 1 for requests in lists)


async def test_a_key_taken_over_another_mount_at_the_same_moment_takes_the_list_back(
    protocol: Protocol, pool: Pool, mount: MountId
) -> None:
    async with pool.connection() as connection:
        second = await make_mount(connection)
    for turn in range(10):
        mine = [mkdir(mount, f"{name}{turn}", key=f"{name}{turn}", principal="both") for name in "ab"]
        theirs = mkdir(second, f"x{turn}", key=f"b{turn}", principal="both")
        await asyncio.gather(begin(protocol, mount, *mine, workflow=f"w{turn}"), protocol.begin(second, [theirs]))
        got = kinds(protocol, *mine)
        assert got in ([Go, Go], [Conflict, Conflict]) and (got[0] is Go) == (kinds(protocol, theirs) == [Conflict])
        held = await rows(
            pool, "SELECT FROM filestore.claims WHERE mount_id = %s AND path LIKE %s", mount, f"%{turn}".encode()
        )
        assert len(held) == (2 if got[0] is Go else 0)


async def test_one_that_failed_fails_all_by_one_transaction(protocol: Protocol, pool: Pool, mount: MountId) -> None:
    described_ = await described(protocol, pool, mount, "a", "b")
    requests = [described_[0], mkdir(mount, "x"), described_[1]]
    begun = await begin(protocol, mount, *requests)
    applied = [Applied(going.id, going.attempt, Status.SUCCEEDED) for going in begun.go]
    applied[1] = Applied(applied[1].id, 1, Status.FAILED, code="NODE_EXISTS", message="Taken on disk.")
    ended = await commit(protocol, mount, *applied)
    assert (ended.succeeded, ended.failed) == (0, 3) and ended.leftovers == [requests[1].id]
    outcomes = [protocol.outcome(request.id) for request in requests]
    assert [outcome.code for outcome in outcomes] == ["NOT_ATTEMPTED", "NODE_EXISTS", "NOT_ATTEMPTED"]
    versions = await rows(pool, "SELECT version FROM filestore.nodes WHERE mount_id = %s AND kind = 'file'", mount)
    assert {row["version"] for row in versions} == {1}
    assert await rows(pool, "SELECT FROM filestore.claims WHERE mount_id = %s", mount) == []


async def test_one_that_can_not_be_recorded_is_found_and_named(protocol: Protocol, pool: Pool, mount: MountId) -> None:
    requests = await described(protocol, pool, mount, *"abcde")
    begun = await begin(protocol, mount, *requests)
    async with pool.connection() as connection:
        # As if another process had changed the node past the claim.
        await connection.execute("UPDATE filestore.nodes SET version = 7 WHERE id = %s", (requests[3].node_id,))
    ended = await commit(protocol, mount, *(Applied(going.id, 1, Status.SUCCEEDED) for going in begun.go))
    assert (ended.succeeded, ended.failed) == (0, 5)
    outcomes = [protocol.outcome(request.id) for request in requests]
    assert [outcome.code for outcome in outcomes] == ["NOT_ATTEMPTED"] * 3 + ["UNAVAILABLE", "NOT_ATTEMPTED"]
    assert {row["retryable"] for row in await of_mount(pool, mount) if row["atomic_id"]} == {True}


async def test_what_another_attempt_has_is_not_recorded_by_halves(
    protocol: Protocol, pool: Pool, mount: MountId
) -> None:
    requests = [mkdir(mount, "a"), mkdir(mount, "b")]
    await begin(protocol, mount, *requests)
    async with pool.connection() as connection:
        await record_store.read_running(connection, [requests[0].id], raise_attempt=True)
    zombie = [protocol.applied(request.id, 1) for request in requests]
    failing = [zombie[0], Applied(requests[1].id, 1, Status.FAILED, code="NODE_EXISTS")]
    for applied in (zombie, failing):
        ended = await commit(protocol, mount, *applied)
        assert (ended.succeeded, ended.failed) == (0, 0)
        assert {row["status"] for row in await of_mount(pool, mount)} == {"running"}
    rightful = [protocol.applied(requests[0].id, 2), protocol.applied(requests[1].id, 1)]
    assert (await commit(protocol, mount, *rightful)).succeeded == 2


async def test_a_commit_that_is_run_again_answers_the_same(protocol: Protocol, pool: Pool, mount: MountId) -> None:
    requests = [mkdir(mount, "a"), mkdir(mount, "b")]
    begun = await begin(protocol, mount, *requests)
    applied = [protocol.applied(going.id) for going in begun.go]
    await commit(protocol, mount, *applied)
    said = [protocol.outcome(request.id) for request in requests]
    assert (await commit(protocol, mount, *applied)).succeeded == 2
    assert [protocol.outcome(request.id) for request in requests] == said


async def test_an_overdue_list_is_resumed_as_one_and_never_by_halves(
    protocol: Protocol, pool: Pool, mount: MountId
) -> None:
    alone, requests = mkdir(mount, "alone"), [mkdir(mount, path) for path in "abc"]
    await protocol.begin(mount, [alone])
    await begin(protocol, mount, *requests)
    async with pool.connection() as connection:
        assert await outcome_store.overdue(connection, mount, 0) == [alone.id]
        assert await outcome_store.overdue_atomic(connection, mount, 60) == []
        assert await outcome_store.overdue_atomic(connection, mount, 0) == [[request.id for request in requests]]
        ids: list[CommandId] = [request.id for request in requests]
        aged = "UPDATE filestore.commands SET touched_at = now() - interval '1 hour' WHERE id = ANY(%s::uuid[])"
        await connection.execute(aged, (ids[:2],))
        assert await outcome_store.overdue_atomic(connection, mount, 60) == [], "a process touched one of them just now"
    begun = await ActivityEnvironment().run(protocol._begin.adopt, CommandIds(mount, ids, atomic=True))
    assert begun.atomic and {going.id for going in begun.go} == set(ids)


async def test_what_is_refused_does_not_wait(protocol: Protocol, mount: MountId) -> None:
    await protocol.begin(mount, [mkdir(mount, "b")])
    requests = [delete(mount, "nothing"), mkdir(mount, "b")]
    await begin(protocol, mount, *requests)
    assert kinds(protocol, *requests) == [Refuse] * 2
