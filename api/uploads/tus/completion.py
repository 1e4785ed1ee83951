"""All bytes are here: they take the way of every upload, into a stage, into a command. What a crash breaks off is done again
with the next request of the client: the command's key is the upload's, so it happens once."""

import json
from collections.abc import Sequence
from dataclasses import replace

from starlette.requests import Request

from api.commands import headers as intake
from api.commands import run as commands
from api.http.body import Pieces
from api.services import Front
from api.submission import OutcomePending
from api.uploads import receive as incoming
from api.uploads import remembered as standing
from api.uploads.receive import UploadRequest
from api.uploads.spool import refuse_closed
from api.uploads.tus import area
from api.uploads.tus.area import WaitingUpload
from api.uploads.tus.chunks import PIECE, SPOOL
from api.uploads.tus.protocol import Gone
from schema.commands.command import Status
from schema.commands.payloads import Outcome
from schema.errors import (
    ExecutorNotFound,
    FilestoreError,
    InvalidRequest,
    MissingScope,
    MountReadOnly,
    NotFound,
    from_code,
)
from schema.principals import Principal
from schema.store import outcomes as outcome_store
from schema.store import uploads as store
from schema.store.uploads import Upload

PASSING = (MissingScope, ExecutorNotFound, MountReadOnly)
"""Refusals that are no word about the upload: it can be gone on with when they are settled."""


async def finish(
    request: Request, front: Front, principal: Principal, upload: Upload, files: Sequence[WaitingUpload]
) -> Upload:
    """The upload as it ended. Raises what it was refused with, and OutcomePending.

    `files` are in order, and locked. Whoever finished it before is recognised by the command's key."""
    known = await _known(front, principal, upload)
    if known is None:
        known = await _carry_out(request, front, principal, upload, files)
    return await _settle(front, upload, known, files)


async def finish_from_parts(request: Request, front: Front, principal: Principal, upload: Upload) -> Upload:
    """The same for an upload that is made of others. Raises InvalidRequest as well, when they are not all there."""
    found = await standing.find_all(front, principal, upload.parts)
    parts = [found[part] for part in upload.parts if part in found]
    check_parts(parts, upload.parts)
    files: list[WaitingUpload] = []
    try:
        for part in parts:
            file = await front.threads.run(SPOOL, area.find, area.folder_of(front.services.settings), part.id)
            files.append(file)
            await front.threads.run(SPOOL, file.cut, part.received)
        return await finish(request, front, principal, upload, files)
    finally:
        for file in files:
            file.close()


def check_parts(parts: Sequence[Upload], wanted: Sequence[str]) -> None:
    if len(parts) < len(wanted):
        raise NotFound("One of the parts is not there.")
    if any(part.request["kind"] != "partial" for part in parts):
        raise InvalidRequest("An upload is made of partial uploads only.")
    if any(part.state != "open" or part.expired for part in parts):
        raise Gone("One of the parts is no longer there.")
    if not all(part.complete for part in parts):
        raise InvalidRequest("One of the parts is not complete.")


async def _known(front: Front, principal: Principal, upload: Upload) -> Outcome | None:
    """How the command stands, if an earlier request got as far. A key of the client's own may be another request's: then
    only the whole way tells."""
    if upload.request["command"]["key"] is not None:
        return None
    async with front.services.pool.connection() as connection:
        known = await outcome_store.outcome_by_key(
            connection, principal.tenant, principal.name, standing.key_of(upload)
        )
    if known is None or (known.status is Status.FAILED and from_code(known.code or "").retryable):
        return None
    if known.status is Status.RUNNING:
        raise OutcomePending(known.id)
    return known


async def _carry_out(
    request: Request, front: Front, principal: Principal, upload: Upload, files: Sequence[WaitingUpload]
) -> Outcome:
    asked = intake.read_headers(request, None)
    command = standing.command_of(upload, principal, asked)
    try:
        # It may be long ago that it was announced: whether the principal may is asked again.
        mount = await incoming.open_mount(front, principal, command.mount_id, command.node_path)
        refuse_closed(mount)
        wait = intake.wait(front.services.settings, asked)
        wanted = UploadRequest(command, mount, upload.request["metadata"], standing.told_of(upload), wait)
        submission = await incoming.stage(front, wanted, _pieces(front, upload, files))
        return await commands.carry_out(front, submission)
    except FilestoreError as error:
        if not error.retryable and not isinstance(error, PASSING):
            await _end(front, upload, "refused", standing.failure(error, command.id), files)
        raise


async def _pieces(front: Front, upload: Upload, files: Sequence[WaitingUpload]) -> Pieces:
    total = 0
    for file in files:
        offset = 0
        while piece := await front.threads.run(SPOOL, file.read, offset, PIECE):
            offset += len(piece)
            yield [piece]
        total += offset
    if total != upload.expected:
        raise Gone("What was received of this upload is no longer there. Begin anew.")


async def _settle(front: Front, upload: Upload, outcome: Outcome, files: Sequence[WaitingUpload]) -> Upload:
    if outcome.status is Status.SUCCEEDED:
        told = json.loads(outcome.body)
        node = (told.get("result") or {}).get("nodeId") or (told.get("node") or {}).get("id")
        ended = {"command": outcome.id, "node": node, "outcome": told}
        await _end(front, upload, "done", ended, files)
        return replace(upload, state="done", request={**upload.request, "ended": ended})
    told = json.loads(outcome.body).get("error", {}) if outcome.body else {}
    error = from_code(outcome.code or "INTERNAL_SERVER_ERROR", told.get("message"), told.get("details"))
    if not error.retryable:
        await _end(front, upload, "refused", standing.failure(error, outcome.id), files)
    raise error


async def _end(
    front: Front, upload: Upload, state: store.State, ended: dict[str, object], files: Sequence[WaitingUpload]
) -> None:
    """First the row, then the files: what is left in between is found by the sweep. Parts of what was refused stay: they can
    be put together otherwise."""
    ids = [upload.id, *upload.parts] if state == "done" else [upload.id]
    async with front.services.pool.connection() as connection:
        await store.end(connection, ids, state, ended, standing.FORGET_SECONDS)
    if state == "done" or not upload.parts:
        for file in files:
            await front.threads.run(SPOOL, file.remove)
