"""/v1/uploads: tus 1.0, method by method. What holds for uploads of every kind is in `api.uploads.routes`."""

import structlog
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access.admission import admit
from api.commands import headers as intake
from api.commands.headers import CommandHeaders
from api.http import openapi
from api.http.body import RequestBody
from api.http.routes import Plain
from api.services import Front, front_of
from api.uploads import receive as incoming
from api.uploads import remembered as standing
from api.uploads.described import UPLOAD_ID
from api.uploads.remembered import UploadLocked
from api.uploads.tus import announce, answers, area, protocol
from api.uploads.tus.answers import answer, upload_id
from api.uploads.tus.appending import go_on
from api.uploads.tus.chunks import SPOOL
from api.uploads.tus.described import BEGIN_PARAMETERS, CHUNK, CHUNK_PARAMETERS, TUS_VERSION, tus_answers
from api.uploads.tus.turns import turns_of
from schema.errors import FilestoreError, InvalidRequest
from schema.ids import CommandId
from schema.principals import Principal
from schema.store import uploads as store

router = APIRouter(route_class=Plain, tags=["uploads"])
log = structlog.get_logger(__name__)


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
    return await answer(request, _create)


async def _create(request: Request, front: Front, principal: Principal, body: RequestBody) -> Response:
    protocol.check_version(request.headers)
    headers = incoming.read_headers(request)
    announced = await announce.read(request, front, principal, headers)
    with_body = _brings_bytes(request, body)
    new = announce.new_upload(announced, principal, front.services.settings.host_id)
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
    return await _begin(request, front, principal, headers.asked, body, new.id, with_body)


async def _begin(
    request: Request,
    front: Front,
    principal: Principal,
    asked: CommandHeaders,
    body: RequestBody,
    id: str,
    with_body: bool,
) -> Response:
    """The upload is announced, and has an address, even if its first chunk is refused."""
    command: CommandId | None = None
    try:
        upload = await standing.find(front, principal, id)
        standing.refuse_refused(upload)
        if with_body or (upload.state == "open" and (upload.complete or upload.parts)):
            offset = 0 if with_body else upload.received
            upload, command = await go_on(request, front, principal, asked, body, id, offset, brings_bytes=with_body)
    except FilestoreError as error:
        refused = answers.refused(request, error)
        refused.headers["location"] = standing.address(id)
        return refused
    return Response(status_code=201, headers={"location": standing.address(id), **announce.headers(upload, command)})


def _brings_bytes(request: Request, body: RequestBody) -> bool:
    if request.headers.get("content-type", "").lower().startswith(protocol.CONTENT_TYPE):
        return True
    if not body.ended:
        protocol.check_type(request.headers)
    return False


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
    return await answer(request, go_on_with)


async def go_on_with(request: Request, front: Front, principal: Principal, body: RequestBody) -> Response:
    protocol.check_version(request.headers)
    id = upload_id(request)
    offset = protocol.number(request.headers, "Upload-Offset")
    if offset is None:
        raise InvalidRequest("Upload-Offset is missing.")
    protocol.check_type(request.headers)
    asked = intake.read_headers(request, None)
    upload, command = await go_on(request, front, principal, asked, body, id, offset, brings_bytes=True)
    return Response(status_code=204, headers=announce.headers(upload, command))


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
    return await answer(request, ask)


async def ask(request: Request, front: Front, principal: Principal, body: RequestBody) -> Response:
    protocol.check_version(request.headers)
    id = upload_id(request)
    upload, command = await standing.find(front, principal, id), None
    standing.refuse_refused(upload)
    if upload.state == "open" and turns_of(request).taken(id):
        try:
            await turns_of(request).silence(id)
        except UploadLocked:
            log.debug("another request writes to it", upload=id)
        upload = await standing.find(front, principal, id)
        standing.refuse_refused(upload)
    if upload.state == "open" and upload.request.kind != "partial" and (upload.complete or upload.parts):
        asked = intake.read_headers(request, None)
        upload, command = await go_on(request, front, principal, asked, body, id, upload.received, brings_bytes=False)
    return Response(status_code=200, headers=announce.headers(upload, command))
