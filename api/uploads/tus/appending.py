"""One more chunk for an upload, and the file, if it was the last one."""

from collections.abc import Awaitable
from dataclasses import replace

from fastapi import Request

from api.commands.headers import CommandHeaders
from api.http import digests as checksums
from api.http.body import RequestBody
from api.services import Front
from api.submission import OutcomePending
from api.uploads import remembered as standing
from api.uploads.spool import check_size, refuse_beyond
from api.uploads.tus import area, completion, protocol
from api.uploads.tus.chunks import SPOOL, Chunk
from api.uploads.tus.protocol import Finished, OffsetConflict, PartOnly
from api.uploads.tus.turns import turns_of
from schema.errors import InvalidRequest, PayloadTooLarge
from schema.ids import CommandId
from schema.principals import Principal
from schema.store import uploads as store
from schema.store.uploads import Upload


async def go_on(
    request: Request,
    front: Front,
    principal: Principal,
    asked: CommandHeaders,
    body: RequestBody,
    id: str,
    offset: int,
    *,
    brings_bytes: bool,
) -> tuple[Upload, CommandId | None]:
    """One chunk; it may be empty. And if that was the last one, the file. The command is told where it still runs."""
    checksum = protocol.checksum(request.headers) if brings_bytes else None
    digests = checksums.carried(request.headers) if brings_bytes else []
    body.expect_digest(digests)
    await standing.find(front, principal, id)  # so that another principal's upload is nothing to wait for
    async with turns_of(request).take(id) as turn:
        upload = await standing.find(front, principal, id)
        standing.refuse_refused(upload)
        if brings_bytes:
            upload = await _length_sent(request, front, principal, upload)
            _check_offset(upload, offset, body)
        if upload.state == "done":
            return upload, None
        if upload.parts:
            return await _ended(completion.finish_from_parts(asked, front, principal, upload), upload)
        file = await front.threads.run(SPOOL, area.find, area.folder_of(front.services.settings), id)
        try:
            await front.threads.run(SPOOL, file.cut, upload.received)
            if brings_bytes:
                upload = await Chunk(front, upload, file, checksum, bool(digests)).take(body, turn)
            if not upload.complete or upload.request.kind == "partial":
                return upload, None
            return await _ended(completion.finish(asked, front, principal, upload, [file]), upload)
        finally:
            file.close()


async def _ended(finishing: Awaitable[Upload], upload: Upload) -> tuple[Upload, CommandId | None]:
    try:
        return await finishing, None
    except OutcomePending as pending:
        return upload, pending.command


async def _length_sent(request: Request, front: Front, principal: Principal, upload: Upload) -> Upload:
    expected = protocol.number(request.headers, "Upload-Length")
    if expected is None or expected == upload.expected:
        return upload
    if upload.expected is not None:
        raise InvalidRequest(f"The length of this upload is {upload.expected}; it is told once.")
    await _check_length(front, principal, upload, expected)
    most = standing.allowance(front.services.settings)
    async with front.services.pool.connection() as connection, connection.transaction():
        if not await store.fix_length(connection, upload.id, expected, principal.tenant, principal.name, most):
            raise InvalidRequest("More than that has come already.")
    return replace(upload, expected=expected)


async def _check_length(front: Front, principal: Principal, upload: Upload, expected: int) -> None:
    """As when it is announced. A part of another upload has no mount of its own."""
    command = upload.request.command
    if command is None:
        return check_size(front, expected)
    mount = await front.mounts.get(command.mount_id, principal.tenant)
    refuse_beyond(front, mount, command.node_path, expected)


def _check_offset(upload: Upload, offset: int, body: RequestBody) -> None:
    if upload.parts:
        raise PartOnly()
    if upload.state == "done":
        if offset != upload.expected or not body.ended:
            raise Finished()
        return
    if offset != upload.received:
        raise OffsetConflict(offset=upload.received)
    if upload.expected is not None and body.length is not None and offset + body.length > upload.expected:
        raise PayloadTooLarge(f"This upload has {upload.expected} bytes.")
