"""/v1/uploads: tus 1.0, method by method."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog
from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import Response

from api.access.admission import admit
from api.commands import headers as intake
from api.http import body as http_body
from api.http import digests as checksums
from api.http import openapi
from api.http.body import RequestBody
from api.http.errors import invalid, refusal
from api.http.media import mime, shown_name
from api.http.routes import Plain
from api.services import Front, front_of
from api.submission import OutcomePending
from api.uploads import receive as incoming
from api.uploads import remembered as standing
from api.uploads.bodies import ResumableFields
from api.uploads.described import UPLOAD_ID
from api.uploads.direct import completion as direct
from api.uploads.remembered import Announced
from api.uploads.shapes import Upload as Shown
from api.uploads.spool import refuse_closed
from api.uploads.tus import area, completion, protocol
from api.uploads.tus.chunks import SPOOL, Chunk
from api.uploads.tus.described import (
    BEGIN_PARAMETERS,
    CHUNK,
    CHUNK_PARAMETERS,
    METHOD_OVERRIDE,
    TUS_VERSION,
    tus_answers,
)
from api.uploads.tus.protocol import Finished, OffsetConflict, PartOnly, UploadLocked, WrongVersion
from api.uploads.tus.turns import turns_of
from schema import paths
from schema.errors import FilestoreError, InvalidRequest, PayloadTooLarge
from schema.ids import CommandId
from schema.principals import Principal
from schema.store import uploads as store
from schema.store.uploads import Upload

router = APIRouter(route_class=Plain, tags=["uploads"])
log = structlog.get_logger(__name__)

Inner = Callable[[Request, Front, Principal, RequestBody], Awaitable[Response]]


async def _answer(request: Request, inner: Inner) -> Response:
    """Refusals have the status the protocol gives them, and every answer its version."""
    front, body = front_of(request), RequestBody(request)
    try:
        principal = await admit(request, "write")
        answer = await inner(request, front, principal, body)
    except ValidationError as error:
        answer = refusal(request, invalid(error))
    except FilestoreError as error:
        answer = refusal(request, error, status=protocol.STATUS.get(type(error)))
        if isinstance(error, WrongVersion):
            answer.headers["tus-version"] = protocol.VERSION
    answer.headers["tus-resumable"] = protocol.VERSION
    return http_body.if_unread(answer, body) if request.method in ("POST", "PATCH") else answer


# What can be done here


@router.options(
    "/v1/uploads",
    status_code=204,
    operation_id="uploadOptions",
    summary="What resumable uploads can do here",
    responses=openapi.answers({204: "See the headers"}),
)
async def options(request: Request) -> Response:
    """The protocol's version and extensions, and how large an upload may be."""
    await admit(request, "read")
    return Response(
        status_code=204,
        headers={
            "tus-resumable": protocol.VERSION,
            "tus-version": protocol.VERSION,
            "tus-extension": protocol.EXTENSIONS,
            "tus-max-size": str(front_of(request).services.settings.upload_max_bytes),
            "tus-checksum-algorithm": ",".join(protocol.ALGORITHMS),
        },
    )


# Begin


@router.post(
    "/v1/uploads",
    status_code=201,
    operation_id="createUpload",
    summary="Begin a resumable upload",
    responses=tus_answers({201: "Created: see Location"}),
    openapi_extra={"parameters": BEGIN_PARAMETERS, "requestBody": CHUNK | {"required": False}},
)
async def create(request: Request) -> Response:
    """tus 1.0. `Upload-Metadata` has `backendMountId`, `path` (or `pathB64`) and, if wanted, `filename`, `filetype`,
    `overwrite`, `metadata` (JSON) and `idempotencyKey`. A body is the first chunk. With `Upload-Concat: final;..` the
    upload is made of others, and is a file when the answer comes."""
    return await _answer(request, _create)


async def _create(request: Request, front: Front, principal: Principal, body: RequestBody) -> Response:
    protocol.check_version(request.headers)
    announced = await _announced(request, front, principal)
    with_body = _brings_bytes(request, body)
    new = standing.new_upload(announced, principal, front.services.settings.host_id)
    folder, keep = area.folder_of(front.services.settings), front.services.settings.upload_keep_seconds
    # First the file, then the row: a row without its file could not be gone on with.
    file = None if new.parts else await front.threads.run(SPOOL, area.make, folder, new.id)
    try:
        async with front.services.pool.connection() as connection, connection.transaction():
            await store.create(connection, new, keep, standing.allowance(front.services.settings))
    except BaseException:
        if file is not None:
            await front.threads.run(SPOOL, file.remove)
        raise
    finally:
        if file is not None:
            file.close()
    return await _begin(request, front, principal, body, new.id, with_body)


async def _begin(
    request: Request, front: Front, principal: Principal, body: RequestBody, id: str, with_body: bool
) -> Response:
    """It is announced, and has an address, whatever comes of its first chunk."""
    command: CommandId | None = None
    try:
        upload = await standing.find(front, principal, id)
        standing.refuse_refused(upload)
        if with_body or (upload.state == "open" and (upload.complete or upload.parts)):
            offset = 0 if with_body else upload.received
            upload, command = await _go_on(request, front, principal, body, id, offset, brings_bytes=with_body)
    except FilestoreError as error:
        answer = refusal(request, error, status=protocol.STATUS.get(type(error)))
        answer.headers["location"] = standing.address(id)
        return answer
    return Response(status_code=201, headers={"location": standing.address(id), **standing.headers(upload, command)})


def _brings_bytes(request: Request, body: RequestBody) -> bool:
    if request.headers.get("content-type", "").lower().startswith(protocol.CONTENT_TYPE):
        return True
    if not body.ended:
        protocol.check_type(request.headers)
    return False


async def _announced(request: Request, front: Front, principal: Principal) -> Announced:
    concat = protocol.concat(request.headers)
    text = request.headers.get("upload-metadata")
    given = protocol.metadata(text)
    if concat is not None and not concat.partial:
        if "upload-length" in request.headers or "upload-defer-length" in request.headers:
            raise InvalidRequest("The length of an upload that is made of others is theirs.")
        expected: int | None = await _length_of_parts(front, principal, concat)
    else:
        expected = protocol.length(request.headers)
    size_max = front.services.settings.upload_max_bytes
    if expected is not None and expected > size_max:
        raise PayloadTooLarge(f"A file may have {size_max} bytes here.")
    if concat is not None and concat.partial:
        return Announced(expected, concat, text)
    fields = ResumableFields.model_validate(given)
    metadata = incoming.read_metadata(fields.metadata)
    path = paths.decode(fields.path, fields.path_b64)
    mount = await incoming.open_mount(front, principal, fields.backend_mount_id, path)
    refuse_closed(mount)
    asked = intake.read_headers(request, fields.idempotency_key)
    command = incoming.command(request, principal, mount, path, asked, metadata=metadata, overwrite=fields.overwrite)
    command = replace(command, mime_type=mime(fields.filetype or ""), original_name=shown_name(fields.filename or ""))
    return Announced(expected, concat, text, command, metadata, incoming.told(request))


async def _length_of_parts(front: Front, principal: Principal, concat: protocol.Concat) -> int:
    found = await standing.find_all(front, principal, concat.parts)
    parts = [found[part] for part in concat.parts if part in found]
    if len(parts) < len(concat.parts) or any(part.request["kind"] != "partial" for part in parts):
        completion.check_parts(parts, concat.parts)
    if any(part.expected is None for part in parts):
        raise InvalidRequest("One of the parts is not complete.")
    if all(part.state == "open" for part in parts):  # otherwise the whole may be a file already: its row tells
        completion.check_parts(parts, concat.parts)
    return sum(part.expected or 0 for part in parts)


# Go on


@router.patch(
    "/v1/uploads/{id}",
    status_code=204,
    operation_id="continueUpload",
    summary="Send the next chunk of an upload",
    responses=tus_answers({204: "Taken: see Upload-Offset"}),
    openapi_extra={"parameters": CHUNK_PARAMETERS, "requestBody": CHUNK},
)
async def patch(request: Request) -> Response:
    """From `Upload-Offset` on. What is acknowledged is durable. With `Upload-Checksum` or `Content-Digest` the chunk is taken
    whole or not at all. With the last chunk the upload becomes a file: `x-filestore-command` and `x-filestore-node` tell
    which; a refusal is that of the command."""
    return await _answer(request, _patch)


async def _patch(request: Request, front: Front, principal: Principal, body: RequestBody) -> Response:
    protocol.check_version(request.headers)
    id = _id(request)
    offset = protocol.number(request.headers, "Upload-Offset")
    if offset is None:
        raise InvalidRequest("Upload-Offset is missing.")
    protocol.check_type(request.headers)
    intake.read_headers(request, None)  # malformed ones are told before the chunk is taken
    upload, command = await _go_on(request, front, principal, body, id, offset, brings_bytes=True)
    return Response(status_code=204, headers=standing.headers(upload, command))


def _id(request: Request) -> str:
    return str(request.path_params["id"]).lower()


async def _go_on(
    request: Request, front: Front, principal: Principal, body: RequestBody, id: str, offset: int, *, brings_bytes: bool
) -> tuple[Upload, CommandId | None]:
    """One chunk; it may be empty. And if that was the last one, the file. The command is told where it still runs."""
    checksum = protocol.checksum(request.headers) if brings_bytes else None
    digests = checksums.carried(request.headers) if brings_bytes else []
    body.expect_digest(digests)
    upload = await standing.find(front, principal, id)  # so that somebody else's upload is nothing to wait for
    async with turns_of(request).take(id) as turn:
        upload = await standing.find(front, principal, id)
        standing.refuse_refused(upload)
        if brings_bytes:
            upload = await _told_length(request, front, principal, upload)
            _check_offset(upload, offset, body)
        if upload.state == "done":
            return upload, None
        if upload.parts:
            return await _ended(completion.finish_from_parts(request, front, principal, upload), upload)
        folder = area.folder_of(front.services.settings)
        file = await front.threads.run(SPOOL, area.find, folder, id)
        try:
            await front.threads.run(SPOOL, file.cut, upload.received)
            if brings_bytes:
                upload = await Chunk(front, upload, file, checksum, bool(digests)).take(body, turn)
            if not upload.complete or upload.request["kind"] == "partial":
                return upload, None
            return await _ended(completion.finish(request, front, principal, upload, [file]), upload)
        finally:
            file.close()


async def _ended(finishing: Awaitable[Upload], upload: Upload) -> tuple[Upload, CommandId | None]:
    try:
        return await finishing, None
    except OutcomePending as pending:
        return upload, pending.command


async def _told_length(request: Request, front: Front, principal: Principal, upload: Upload) -> Upload:
    expected = protocol.number(request.headers, "Upload-Length")
    if expected is None or expected == upload.expected:
        return upload
    if upload.expected is not None:
        raise InvalidRequest(f"The length of this upload is {upload.expected}; it is told once.")
    size_max = front.services.settings.upload_max_bytes
    if expected > size_max:
        raise PayloadTooLarge(f"A file may have {size_max} bytes here.")
    most = standing.allowance(front.services.settings)
    async with front.services.pool.connection() as connection, connection.transaction():
        if not await store.fix_length(connection, upload.id, expected, principal.tenant, principal.name, most):
            raise InvalidRequest("More than that has come already.")
    return replace(upload, expected=expected)


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


# Ask


@router.head(
    "/v1/uploads/{id}",
    operation_id="headUpload",
    summary="How far an upload is",
    responses=tus_answers({200: "See the headers"}),
    openapi_extra={"parameters": [UPLOAD_ID, TUS_VERSION]},
)
async def head(request: Request) -> Response:
    """`Upload-Offset` is durable. An upload that is complete but no file yet becomes one now."""
    return await _answer(request, _head)


async def _head(request: Request, front: Front, principal: Principal, body: RequestBody) -> Response:
    protocol.check_version(request.headers)
    id = _id(request)
    upload, command = await standing.find(front, principal, id), None
    standing.refuse_refused(upload)
    if upload.state == "open" and turns_of(request).taken(id):
        try:
            await turns_of(request).silence(id)
        except UploadLocked:
            log.debug("somebody writes to it", upload=id)
        upload = await standing.find(front, principal, id)
        standing.refuse_refused(upload)
    if upload.state == "open" and upload.request["kind"] != "partial" and (upload.complete or upload.parts):
        upload, command = await _go_on(request, front, principal, body, id, upload.received, brings_bytes=False)
    return Response(status_code=200, headers=standing.headers(upload, command))


@router.get(
    "/v1/uploads/{id}",
    operation_id="getUpload",
    summary="An upload",
    responses=openapi.answers({200: ("The upload", Shown)}, "NOT_FOUND", "CONTENT_EXPIRED"),
    openapi_extra={"parameters": [UPLOAD_ID]},
)
async def show(request: Request) -> Response:
    """As JSON, with the outcome of its command once it has become a file, or the reason why not."""
    return await _answer(request, _show)


async def _show(request: Request, front: Front, principal: Principal, body: RequestBody) -> Response:
    return standing.document(await standing.find(front, principal, _id(request), direct=True))


# Give up


@router.delete(
    "/v1/uploads/{id}",
    status_code=204,
    operation_id="terminateUpload",
    summary="Give an upload up",
    responses=tus_answers({204: "Given up"}),
    openapi_extra={"parameters": [UPLOAD_ID, TUS_VERSION]},
)
async def terminate(request: Request) -> Response:
    """Its bytes are removed at once. A file it has become already stays."""
    return await _answer(request, _terminate)


async def _terminate(request: Request, front: Front, principal: Principal, body: RequestBody) -> Response:
    id = _id(request)
    found = await standing.find(front, principal, id, direct=True)
    if standing.is_direct(found):
        await direct.give_up(front, principal, found)
        return Response(status_code=204)
    protocol.check_version(request.headers)
    async with turns_of(request).take(id):
        upload = await standing.find(front, principal, id)
        file = None
        if upload.state == "open" and not upload.parts:
            file = await front.threads.run(SPOOL, area.find, area.folder_of(front.services.settings), id)
        try:
            async with front.services.pool.connection() as connection:
                await store.end(connection, [id], "gone", None, standing.FORGET_SECONDS)
            if file is not None:
                await front.threads.run(SPOOL, file.remove)
        finally:
            if file is not None:
                file.close()
    return Response(status_code=204)


@router.post(
    "/v1/uploads/{id}",
    status_code=204,
    operation_id="overrideMethod",
    summary="PATCH, HEAD or DELETE, sent as POST",
    responses=tus_answers({200: "As HEAD", 204: "As PATCH or DELETE"}),
    openapi_extra={"parameters": [UPLOAD_ID, METHOD_OVERRIDE], "requestBody": CHUNK | {"required": False}},
)
async def overridden(request: Request) -> Response:
    """For clients that can send nothing but POST: the method that is meant is in a header, and the other headers are its."""
    meant = {"PATCH": _patch, "DELETE": _terminate, "HEAD": _head}.get(
        request.headers.get("x-http-method-override", "").upper()
    )
    if meant is None:
        await admit(request, "write")
        raise InvalidRequest("Send PATCH; or POST with X-HTTP-Method-Override: PATCH.")
    return await _answer(request, meant)
