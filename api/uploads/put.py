"""PUT /v1/files/by-path: the body is the file, and the address says which."""

import base64

from fastapi import APIRouter, Request
from starlette.datastructures import Headers
from starlette.responses import Response

from api.commands import run as commands
from api.commands.catalogue import UPLOAD_REFUSALS, answers
from api.http import digests as checksums
from api.http import openapi
from api.http.body import RequestBody
from api.http.fields import read_query
from api.http.headers import single, text
from api.http.media import mime
from api.http.routes import Plain
from api.nodes.queries import ByPathQuery
from api.services import Front
from api.uploads import receive as incoming
from api.uploads.described import PUT_PARAMETERS
from api.uploads.receive import UploadRequest
from schema import paths
from schema.errors import InvalidRequest
from schema.principals import Principal

router = APIRouter(route_class=Plain, tags=["commands"])

METADATA = "x-filestore-metadata"


@router.put(
    "/v1/files/by-path",
    status_code=201,
    operation_id="writeFile",
    summary="Write a file",
    responses=answers(201, *UPLOAD_REFUSALS),
    openapi_extra={"parameters": PUT_PARAMETERS, "requestBody": openapi.bytes_of()},
)
async def write(request: Request) -> Response:
    """The body is the content of the file, as it is; `Content-Type` is recorded with it. A file that is there already is
    replaced, and its old content kept until its retention ends; `If-None-Match: *` only creates, `If-Match` only replaces
    that version. Everything the headers say is looked at before `100 Continue`."""
    return await incoming.answered(request, _write)


async def _write(request: Request, front: Front, principal: Principal, body: RequestBody) -> Response:
    body.check_size(front.services.settings.upload_max_bytes)
    _refuse_parts(request)
    wanted = await _wanted(request, front, principal, body)
    body.expect_digest(checksums.carried(request.headers))
    submission = await incoming.stage(front, wanted, body.pieces())
    return await commands.answer(request, front, submission, 201)


def _refuse_parts(request: Request) -> None:
    """The body of a PUT is the whole file (RFC 9110, 14.5), and is stored as it comes."""
    if "content-range" in request.headers:
        raise InvalidRequest("A file is written whole; send its parts as a resumable upload, at /v1/uploads.")


async def _wanted(request: Request, front: Front, principal: Principal, body: RequestBody) -> UploadRequest:
    query = read_query(ByPathQuery, request.query_params)
    metadata = incoming.read_header_metadata(_metadata(request.headers))
    path = paths.decode(query.path, query.path_b64)
    headers = incoming.read_headers(request)
    mount = await incoming.open_mount(front, principal, query.backend_mount_id, path)
    mime_type = mime(request.headers.get("content-type", ""))
    command = incoming.command(principal, mount, path, headers, metadata=metadata, overwrite=True, mime_type=mime_type)
    return incoming.wanted(front, command, mount, metadata, headers.claimed, headers.asked, body.length)


def _metadata(headers: Headers) -> str | None:
    """JSON itself in UTF-8, or base64 of it: not every client can send more than ASCII in a header."""
    header = single(headers, METADATA)
    if header is None or header.lstrip().startswith("{"):
        return header and text(header, METADATA)
    try:
        return base64.b64decode(header, validate=True).decode("utf-8")
    except ValueError as error:
        raise InvalidRequest(f"{METADATA} is neither a JSON object nor base64 of one.") from error
