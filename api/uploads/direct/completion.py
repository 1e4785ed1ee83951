"""The content lies in the bucket: proven, it takes the way of every upload, as a stage that is lent to the command.

The command has the key of the upload, so it happens once. A failure that can pass leaves the stage to the upload, for the
next request; after any other the upload has ended, and its content goes.
"""

import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from starlette.requests import Request

from activities.executors.base import Executor, Locks, direct_uploads_of
from api.commands import headers as intake
from api.commands import run as commands
from api.commands.fingerprint import sealed
from api.services import Front
from api.submission import Submission
from api.uploads import receive as incoming
from api.uploads import remembered as standing
from api.uploads.spool import refuse_closed
from api.uploads.tus.completion import PASSING
from api.uploads.tus.protocol import Gone
from schema.commands.command import Command, Status
from schema.commands.payloads import Outcome
from schema.errors import ChecksumMismatch, FilestoreError, InvalidRequest, PathBusy, from_code
from schema.ids import CommandId
from schema.principals import Principal
from schema.store import outcomes as outcome_store
from schema.store import uploads as store
from schema.store.uploads import Upload


class NothingYet(InvalidRequest):
    """Nothing was put under the link yet. PUT the content first, with all headers of the link."""


STAYS_OPEN = (*PASSING, NothingYet, ChecksumMismatch, Gone)
"""After these the right content can still come."""


async def complete(request: Request, front: Front, principal: Principal, upload: Upload) -> Outcome:
    """How its command ended. Raises what it was refused with, and OutcomePending."""
    if not standing.is_direct(upload):
        raise InvalidRequest("This upload becomes a file with its last byte. Send that with PATCH.")
    standing.refuse_refused(upload)
    if upload.state == "done":
        ended = upload.request["ended"]
        return Outcome(ended["command"], Status.SUCCEEDED, json.dumps(ended["outcome"]), replayed=True)
    command = _command_of(request, upload, principal)
    try:
        ended = await _known(front, command) or await _carry_out(request, front, principal, upload, command)
    except FilestoreError as error:
        if not error.retryable and not isinstance(error, STAYS_OPEN):
            await _end(front, principal, upload, "refused", standing.failure(error, command.id))
        raise
    await _settle(front, principal, upload, ended)
    return ended


async def give_up(front: Front, principal: Principal, upload: Upload) -> None:
    """Its content goes; a file it has become stays."""
    await _end(front, principal, upload, "gone", None)


def _command_of(request: Request, upload: Upload, principal: Principal) -> Command:
    """All of it is known from the announcement, so it is known by its fingerprint before anybody looks at the bucket."""
    command = standing.command_of(upload, principal, intake.read_headers(request, None))
    [told] = standing.told_of(upload)
    command = replace(command, sha256=told.hex, size=upload.expected or 0, lent_stage=CommandId(upload.id))
    return sealed(command, upload.request["metadata"])


async def _known(front: Front, command: Command) -> Outcome | None:
    """How it ended, if an earlier request got as far and no other attempt may follow."""
    async with front.services.pool.connection() as connection:
        rows = await outcome_store.rows_by_key(connection, [command])
        found = await outcome_store.outcomes(connection, list(rows.values())) if rows else []
    for known in found:
        if known.status is not Status.RUNNING and not (
            known.status is Status.FAILED and from_code(known.code or "").retryable
        ):
            return replace(known, replayed=True)
    return None


async def _carry_out(request: Request, front: Front, principal: Principal, upload: Upload, command: Command) -> Outcome:
    # It may be long ago that it was announced: whether the principal may is asked again.
    mount = await incoming.open_mount(front, principal, command.mount_id, command.node_path)
    refuse_closed(mount)
    executor = front.services.executors.of(mount)
    staged = await front.threads.run(
        mount.id,
        direct_uploads_of(executor).find_uploaded,
        CommandId(upload.id),
        command.size,
        bytes.fromhex(command.sha256 or ""),
    )
    if staged is None:
        # It is taken away when its command has succeeded: that may have been at this very moment.
        if (known := await _known(front, command)) is not None:
            return known
        raise _nothing(upload)
    locks = await front.threads.run(mount.id, _lock, executor, command.id)
    metadata, wait = (
        upload.request["metadata"],
        intake.wait(front.services.settings, intake.read_headers(request, None)),
    )
    return await commands.carry_out(front, Submission(command, metadata, None, staged, locks, wait))


def _lock(executor: Executor, command: CommandId) -> Locks:
    locks = executor.locks()
    if not locks.take(command):
        locks.close()
        raise PathBusy()
    return locks


def _nothing(upload: Upload) -> FilestoreError:
    if datetime.fromisoformat(upload.request["until"]) < datetime.now(UTC):
        return Gone("The link has expired, and nothing was put under it. Ask for another one.")
    return NothingYet()


async def _settle(front: Front, principal: Principal, upload: Upload, outcome: Outcome) -> None:
    told = json.loads(outcome.body) if outcome.body else {}
    if outcome.status is Status.SUCCEEDED:
        node = (told.get("node") or {}).get("id")
        await _end(front, principal, upload, "done", {"command": outcome.id, "node": node, "outcome": told})
        return
    told = told.get("error", {})
    error = from_code(outcome.code or "INTERNAL_SERVER_ERROR", told.get("message"), told.get("details"))
    if not error.retryable:
        await _end(front, principal, upload, "refused", standing.failure(error, outcome.id))


async def _end(
    front: Front, principal: Principal, upload: Upload, state: store.State, ended: dict[str, object] | None
) -> None:
    """First the row: then the content is nobody's, and what is not removed here is found by the sweep. That of a file is
    removed when its command is finished."""
    async with front.services.pool.connection() as connection:
        await store.end(connection, [upload.id], state, ended, standing.FORGET_SECONDS)
    if state != "done" and upload.mount is not None:
        with suppress(FilestoreError, OSError):
            mount = await front.mounts.get(upload.mount, principal.tenant)
            executor = front.services.executors.of(mount)
            await front.threads.run(mount.id, executor.discard_stage, CommandId(upload.id), None)
