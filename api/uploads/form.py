"""POST /v1/files: a form is read as it arrives, its file goes to memory or to a stage, then a command is submitted."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.commands import run as commands
from api.commands.catalogue import UPLOAD_REFUSALS, answers
from api.http import digests as checksums
from api.http.body import Disconnected, Pieces, RequestBody
from api.http.forms import FORM_MAX, UploadForm
from api.http.routes import Plain
from api.services import Front
from api.uploads import receive as incoming
from api.uploads.bodies import UploadFields
from api.uploads.described import FORM, FORM_PARAMETERS
from api.uploads.receive import UploadHeaders, UploadRequest
from schema import paths
from schema.errors import InvalidRequest
from schema.principals import Principal

router = APIRouter(route_class=Plain, tags=["commands"])


@router.post(
    "/v1/files",
    status_code=201,
    operation_id="uploadFile",
    summary="Upload a file",
    responses=answers(201, *UPLOAD_REFUSALS),
    openapi_extra={"parameters": FORM_PARAMETERS, "requestBody": FORM},
)
async def upload(request: Request) -> Response:
    """A form whose fields come before its one file part. The body is hashed while it is written to the mount; nothing is
    visible before all of it is there. `x-filestore-checksum` (sha256, sha1 or md5) and `Repr-Digest` (sha-256, sha-512)
    are compared with the file, `Content-Digest` with the whole form. `overwrite=true` replaces an existing file and keeps
    the old content until its retention ends."""
    return await incoming.answered(request, _upload)


async def _upload(request: Request, front: Front, principal: Principal, body: RequestBody) -> Response:
    body.check_size(front.services.settings.upload_max_bytes, FORM_MAX)
    form = UploadForm(request.headers.get("content-type", ""))
    # What the headers alone can tell is told before the body is asked for.
    headers = incoming.read_headers(request)
    body.expect_digest(checksums.carried(request.headers))
    await _read_fields(form, body)
    wanted = await _wanted(front, principal, form, headers)
    submission = await incoming.stage(front, wanted, _pieces(form, body))
    return await commands.answer(request, front, submission, 201)


async def _read_fields(form: UploadForm, body: RequestBody) -> None:
    while form.file is None and not form.ended:
        if body.ended:
            raise InvalidRequest("The form ends before its file part.")
        form.feed(await body.next())
    if form.file is None:
        raise InvalidRequest("The form has no file part; send one, as the last part, named `file`.")


async def _wanted(front: Front, principal: Principal, form: UploadForm, headers: UploadHeaders) -> UploadRequest:
    fields = UploadFields.model_validate(form.fields)
    metadata = incoming.read_metadata(fields.metadata)
    path = paths.decode(fields.path, fields.path_b64)
    mount = await incoming.open_mount(front, principal, fields.backend_mount_id, path)
    headers = headers.with_key(fields.idempotency_key)
    command = incoming.command(
        principal, mount, path, headers, metadata=metadata,
        overwrite=fields.overwrite, mime_type=form.mime_type, original_name=form.filename,
    )  # fmt: skip
    return incoming.wanted(front, command, mount, metadata, headers.claimed, headers.asked)


async def _pieces(form: UploadForm, body: RequestBody) -> Pieces:
    yield form.take()
    while not form.ended:
        if body.ended:
            raise Disconnected()
        form.feed(await body.next())
        yield form.take()
    await _read_rest(body)
    body.check_digest()


async def _read_rest(body: RequestBody) -> None:
    """The form has ended; the message has not, before its own end has come: it may have been cut short."""
    size = 0
    while not body.ended:
        size += len(await body.next())
        if size > FORM_MAX:
            raise InvalidRequest("Something follows the form. Send nothing after its closing boundary.")
