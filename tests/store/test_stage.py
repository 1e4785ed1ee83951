"""`stage`: what it does when it is given up while a copy is under way."""

import asyncio

import pytest
from temporalio.testing import ActivityEnvironment

from activities.commands.stage import StageCopies
from activities.executors.base import Executor
from activities.threads import MountThreads
from schema.commands.command import CommandKind
from schema.errors import VersionConflict
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
    staging = StageCopies(pool, executors, MountThreads())

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
    await asyncio.sleep(0.05)
    assert is_free(executors.of(mount), request.id)


CHANGES = {
    "nothing of ours": ([], [], "VERSION_CONFLICT"),
    "an overwrite that is recorded": (["overwrite"], [], "PATH_BUSY"),
    "an overwrite that is under way": ([], ["overwrite"], "PATH_BUSY"),
    "a move that is recorded": (["move"], [], "PATH_BUSY"),
    "a move of its directory that is under way": ([], ["move above"], "PATH_BUSY"),
}


@pytest.mark.parametrize(("recorded", "running", "code"), CHANGES.values(), ids=list(CHANGES))
async def test_a_source_that_another_command_changes_is_busy_and_no_drift(
    pool: Pool, protocol: Protocol, mount: MountId, monkeypatch: pytest.MonkeyPatch,
    recorded: list[str], running: list[str], code: str,
) -> None:  # fmt: skip
    await protocol.run(mount, mkdir(mount, "d"))
    await protocol.run(mount, upload(mount, "d/f"))
    begun = await protocol.begin(mount, [asked(CommandKind.COPY, mount, "d/f", target="copy")])
    others = {
        "overwrite": upload(mount, "d/f", overwrite=True),
        "move": asked(CommandKind.MOVE, mount, "d/f", target="moved"),
        "move above": asked(CommandKind.MOVE, mount, "d", target="moved"),
    }
    for name in recorded:
        await protocol.run(mount, others[name])
    for name in running:
        await protocol.begin(mount, [others[name]])
    staging = StageCopies(pool, OneExecutor(), MountThreads())

    async def finds_another_file(*_: object) -> None:
        raise VersionConflict("The source is not what the record knows.")

    monkeypatch.setattr(staging, "_copy", finds_another_file)
    staged = await ActivityEnvironment().run(staging.stage, begun)
    assert [(failed.code, failed.retryable) for failed in staged.failed] == [(code, code == "PATH_BUSY")]


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
