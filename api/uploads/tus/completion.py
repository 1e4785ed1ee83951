"""All bytes are here: they take the way of every upload, into a stage, into a command. What a crash breaks off is done again
with the next request of the client: the command's key is the upload's, so it happens once."""

from collections.abc import Sequence

from api.commands import run as commands
from api.commands.answer import error_of
from api.commands.headers import CommandHeaders
from api.http.body import Pieces
from api.services import Front
from api.submission import OutcomePending
from api.uploads import ending
from api.uploads import receive as incoming
from api.uploads import remembered as standing
from api.uploads.remembered import Gone
from api.uploads.spool import refuse_closed
from api.uploads.tus import area
from api.uploads.tus.area import WaitingUpload
from api.uploads.tus.chunks import PIECE, SPOOL
from schema.commands.command import Command, Status
from schema.commands.payloads import Outcome
from schema.errors import FilestoreError, InvalidRequest, NotFound
from schema.principals import Principal
from schema.store.uploads import State, Upload


async def finish(
    asked: CommandHeaders, front: Front, principal: Principal, upload: Upload, files: Sequence[WaitingUpload]
) -> Upload:
    """The upload as it ended. Raises what it was refused with, and OutcomePending.

    `files` are in order, and locked. An earlier request that finished it is recognised by the command's key."""
    command = standing.command_of(upload, principal, asked)
    clear = clearing(front, upload, files)
    outcome = await _known(front, upload, command)
    if outcome is None:
        outcome = await _carry_out(asked, front, principal, upload, command, files, clear)
    upload = await ending.settle(front, upload, outcome, clear)
    if outcome.status is not Status.SUCCEEDED:
        raise error_of(outcome)
    return upload


async def finish_from_parts(asked: CommandHeaders, front: Front, principal: Principal, upload: Upload) -> Upload:
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
        return await finish(asked, front, principal, upload, files)
    finally:
        for file in files:
            file.close()


async def give_up(front: Front, upload: Upload) -> None:
    """Its bytes go; a file it has become stays. In a turn of this upload."""
    files: list[WaitingUpload] = []
    if upload.state == "open" and not upload.parts:
        files.append(await front.threads.run(SPOOL, area.find, area.folder_of(front.services.settings), upload.id))
    try:
        await ending.end(front, upload, "gone", None, clearing(front, upload, files))
    finally:
        for file in files:
            file.close()


def clearing(front: Front, upload: Upload, files: Sequence[WaitingUpload]) -> ending.Clear:
    """Parts of what did not become a file stay."""

    async def clear(state: State) -> None:
        if state == "done" or not upload.parts:
            for file in files:
                await front.threads.run(SPOOL, file.remove)

    return clear


def check_parts(parts: Sequence[Upload], wanted: Sequence[str]) -> None:
    if len(parts) < len(wanted):
        raise NotFound("One of the parts is not there.")
    if any(part.request.kind != "partial" for part in parts):
        raise InvalidRequest("An upload is made of partial uploads only.")
    if any(part.state != "open" or part.expired for part in parts):
        raise Gone("One of the parts is no longer there.")
    if not all(part.complete for part in parts):
        raise InvalidRequest("One of the parts is not complete.")


async def _known(front: Front, upload: Upload, command: Command) -> Outcome | None:
    """How the command ended, if an earlier request got as far. A key of the client's own may be another request's: then only
    the whole way tells. Raises OutcomePending."""
    if standing.announced_by(upload).key is not None:
        return None
    outcome = await ending.known(front, command)
    if outcome is not None and outcome.status is Status.RUNNING:
        raise OutcomePending(outcome.id)
    return outcome


async def _carry_out(
    asked: CommandHeaders,
    front: Front,
    principal: Principal,
    upload: Upload,
    command: Command,
    files: Sequence[WaitingUpload],
    clear: ending.Clear,
) -> Outcome:
    try:
        # It may be long ago that it was announced: whether the principal may is asked again.
        mount = await incoming.open_mount(front, principal, command.mount_id, command.node_path)
        refuse_closed(mount)
        claimed = standing.claimed_of(upload)
        wanted = incoming.wanted(front, command, mount, upload.request.metadata, claimed, asked, upload.expected)
        submission = await incoming.stage(front, wanted, _pieces(front, upload, files))
        return await commands.carry_out(front, submission)
    except FilestoreError as error:
        await ending.refuse(front, upload, error, command.id, clear)
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
