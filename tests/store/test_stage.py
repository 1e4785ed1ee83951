"""`stage`: what it does when it is given up while a copy is under way."""

import asyncio
from collections.abc import Callable

import pytest
from temporalio.testing import ActivityEnvironment

from activities import budgets
from activities.commands.stage import StageCopies
from activities.executors.contract.executor import Executor
from schema.commands.command import Command, CommandKind
from schema.ids import MountId
from schema.store.begin import lock_mounts
from schema.store.pool import Pool
from tests.store.helpers import Connection, OneExecutor, Protocol, asked, make_mount, mkdir, upload


def is_free(executor: Executor, command: str) -> bool:
    locks = executor.locks()
    try:
        return locks.take(command)  # type: ignore[arg-type]
    finally:
        locks.close()


async def test_a_copy_that_was_given_up_keeps_its_lock_until_its_thread_has_ended(
    pool: Pool, protocol: Protocol, mount: MountId, monkeypatch: pytest.MonkeyPatch
) -> None:
    await protocol.run(mount, upload(mount, "f"))
    request = asked(CommandKind.COPY, mount, "f", target="copy")
    begun = await protocol.begin(mount, [request])
    executors, going, ending = OneExecutor(), asyncio.Event(), asyncio.Event()
    staging = StageCopies(pool, executors, budgets.COPIES.build())

    async def copies(*_: object) -> None:
        going.set()
        await ending.wait()

    monkeypatch.setattr(staging, "_copy", copies)
    run = asyncio.ensure_future(ActivityEnvironment().run(staging.stage, begun))
    await going.wait()
    assert not is_free(executors.of(mount), request.id)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert not is_free(executors.of(mount), request.id), "the bytes still move"
    ending.set()
    while not is_free(executors.of(mount), request.id):  # noqa: ASYNC110  the lock is the kernel's
        await asyncio.sleep(0.01)


OTHERS = {
    "an overwrite": (lambda mount: upload(mount, "d/f", overwrite=True), False),
    "a description": (lambda mount: asked(CommandKind.DESCRIBE, mount, "d/f"), False),
    "a move": (lambda mount: asked(CommandKind.MOVE, mount, "d/f", target="moved"), False),
    "a delete of its directory": (lambda mount: asked(CommandKind.DELETE, mount, "d", recursive=True), False),
    "another copy": (lambda mount: asked(CommandKind.COPY, mount, "d/f", target="second"), True),
    "a copy of its directory": (lambda mount: asked(CommandKind.COPY, mount, "d", target="tree"), True),
}


@pytest.mark.parametrize("together", [True, False], ids=["in one list", "in two lists"])
@pytest.mark.parametrize(("other", "goes"), OTHERS.values(), ids=list(OTHERS))
async def test_what_is_copied_holds_still_and_can_be_copied_by_others(
    protocol: Protocol, mount: MountId, other: Callable[[MountId], Command], goes: bool, together: bool
) -> None:
    await protocol.run(mount, mkdir(mount, "d"))
    await protocol.run(mount, upload(mount, "d/f"))
    copy, second = asked(CommandKind.COPY, mount, "d/f", target="copy"), other(mount)
    lists = [[copy, second]] if together else [[copy], [second]]
    begun = [await protocol.begin(mount, commands) for commands in lists]
    going = {id for each in begun for id in (*[g.id for g in (*each.go, *each.unstaged)], *each.long)}
    assert going == ({copy.id, second.id} if goes else {copy.id})


async def test_a_copy_waits_for_what_changes_its_source(protocol: Protocol, mount: MountId) -> None:
    await protocol.run(mount, upload(mount, "f"))
    overwrite, copy = upload(mount, "f", overwrite=True), asked(CommandKind.COPY, mount, "f", target="copy")
    assert await protocol.begin(mount, [overwrite])
    begun = await protocol.begin(mount, [copy])
    assert not (begun.go or begun.unstaged or begun.long or begun.refused)


async def test_a_copy_between_mounts_begins_under_the_locks_of_both(
    pool: Pool, protocol: Protocol, mount: MountId, connection: Connection
) -> None:
    there = await make_mount(connection)
    await connection.commit()
    await protocol.run(mount, mkdir(mount, "d"))
    copy = asked(CommandKind.COPY, mount, "d", target="d", target_mount_id=there)
    await lock_mounts(connection, {mount})
    beginning = asyncio.ensure_future(protocol.begin(there, [copy]))
    waits = b"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted"
    while not await waiting(pool, waits, mount):
        assert not beginning.done()
        await asyncio.sleep(0.01)
    await connection.rollback()
    assert (await beginning).long == [copy.id]


async def waiting(pool: Pool, query: bytes, mount: MountId) -> int:
    async with pool.connection() as opened:
        row = await (await opened.execute(query, (mount,))).fetchone()
    assert row is not None
    return int(row["count"])
