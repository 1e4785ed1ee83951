"""The content lies in the bucket: proven, it takes the way of every upload, as a stage that is borrowed to the command.

The command has the key of the upload, so it happens once. A failure that can pass leaves the stage to the upload, for the
next request; after any other the upload has ended, and its content goes.
"""

import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from starlette.requests import Request

from activities.executors.contract.direct import direct_uploads_of
from activities.executors.contract.executor import Executor, Locks
from api.commands import headers as intake
from api.commands import run as commands
from api.commands.answer import error_of
from api.commands.fingerprint import sealed, spelled
from api.commands.headers import CommandHeaders
from api.services import Front
from api.submission import Submission
from api.uploads import ending
from api.uploads import receive as incoming
from api.uploads import remembered as standing
from api.uploads.remembered import Gone
from api.uploads.spool import refuse_closed
from schema.commands.command import Command, Status
from schema.commands.payloads import Outcome
from schema.errors import ChecksumMismatch, FilestoreError, InvalidRequest, PathBusy
from schema.ids import CommandId
from schema.principals import Principal
from schema.store.uploads import State, Upload


class NothingYet(InvalidRequest):
    """Nothing was put under the link yet. PUT the content first, with all headers of the link."""


STAYS_OPEN = (*ending.PASSING, NothingYet, ChecksumMismatch, Gone)
"""After these the right content can still come."""


async def complete(request: Request, front: Front, principal: Principal, upload: Upload) -> Outcome:
    """How its command ended. Raises what it was refused with, and OutcomePending."""
    if not standing.is_direct(upload):
        raise InvalidRequest("This upload becomes a file with its last byte. Send that with PATCH.")
    standing.refuse_refused(upload)
    if upload.state == "done":
        return _again(upload)
    asked = intake.read_headers(request, None)
    command, clear = _command_of(asked, upload, principal), clearing(front, principal, upload)
    try:
        outcome = await _known(front, command) or await _carry_out(asked, front, principal, upload, command)
    except FilestoreError as error:
        await ending.refuse(front, upload, error, command.id, clear, passing=STAYS_OPEN)
        raise
    await ending.settle(front, upload, outcome, clear)
    return outcome


def _again(upload: Upload) -> Outcome:
    ended = upload.request.ended
    assert ended is not None and ended.command is not None
    return Outcome(ended.command, Status.SUCCEEDED, json.dumps(ended.outcome), replayed=True)


async def give_up(front: Front, principal: Principal, upload: Upload) -> None:
    """Its content goes; a file it has become stays."""
    await ending.end(front, upload, "gone", None, clearing(front, principal, upload))


def clearing(front: Front, principal: Principal, upload: Upload) -> ending.Clear:
    """The content of a file is removed when its command is finished."""

    async def clear(state: State) -> None:
        if state == "done" or upload.mount is None:
            return
        with suppress(FilestoreError, OSError):
            mount = await front.mounts.get(upload.mount, principal.tenant)
            executor = front.services.executors.of(mount)
            await front.threads.run(mount.id, executor.discard_stage, CommandId(upload.id), None)

    return clear


def _command_of(asked: CommandHeaders, upload: Upload, principal: Principal) -> Command:
    """All of it is known from the announcement, so its fingerprint is too, before the bucket is looked at."""
    command = standing.command_of(upload, principal, asked)
    [claimed] = standing.claimed_of(upload)
    command = replace(command, sha256=claimed.hex, size=upload.expected or 0, borrowed_stage=CommandId(upload.id))
    return sealed(command, spelled(upload.request.metadata))


async def _known(front: Front, command: Command) -> Outcome | None:
    """How it ended, if an earlier request got as far. One that runs is waited for, like every command."""
    outcome = await ending.known(front, command)
    if outcome is None or outcome.status is Status.RUNNING:
        return None
    return replace(outcome, replayed=True)


async def _carry_out(
    asked: CommandHeaders, front: Front, principal: Principal, upload: Upload, command: Command
) -> Outcome:
    # It may be long ago that it was announced: whether the principal may is asked again.
    mount = await incoming.open_mount(front, principal, command.mount_id, command.node_path)
    refuse_closed(mount)
    executor = front.services.executors.of(mount)
    wait = intake.wait(front.services.settings, asked)
    try:
        staged = await front.threads.run(
            mount.id,
            direct_uploads_of(executor).find_uploaded,
            CommandId(upload.id),
            command.size,
            bytes.fromhex(command.sha256 or ""),
        )
    except ChecksumMismatch as error:
        refusal = incoming.refused(command, upload.request.metadata, error, wait)
        raise error_of(await commands.carry_out(front, refusal)) from error
    if staged is None:
        # It is taken away when its command has succeeded: that may have been at this very moment.
        if (known := await _known(front, command)) is not None:
            return known
        raise _nothing(upload)
    locks = await front.threads.run(mount.id, _lock, executor, command.id)
    return await commands.carry_out(front, Submission(command, upload.request.metadata, None, staged, locks, wait))


def _lock(executor: Executor, command: CommandId) -> Locks:
    locks = executor.locks()
    if not locks.take(command):
        locks.close()
        raise PathBusy()
    return locks


def _nothing(upload: Upload) -> FilestoreError:
    if upload.request.until is not None and upload.request.until < datetime.now(UTC):
        return Gone("The link has expired, and nothing was put under it. Ask for another one.")
    return NothingYet()
