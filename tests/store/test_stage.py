"""`stage`: what it does when it is given up while a copy is under way."""

import asyncio

import pytest
from temporalio.testing import ActivityEnvironment

from activities import budgets
from activities.commands.stage import StageCopies
from activities.executors.base import Executor
from schema.commands.command import CommandKind
from schema.ids import MountId
from schema.store.pool import Pool
from tests.store.helpers import OneExecutor, Protocol, asked, upload


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
    await asyncio.sleep(0.05)
    assert is_free(executors.of(mount), request.id)
