"""Contents of projects: which are needed, put, read; many small ones with one request."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import aclosing

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from activities.sync.hot import SMALL_MAX, HotUnavailable
from api.http import openapi
from api.http.body import RequestBody, read_json
from api.http.routes import Plain
from api.services import front_of
from api.sync.bodies import SHA, IntentBody
from api.sync.found import PATH_NAME, answer, contents_of, path_part, project_of
from api.sync.packs import PACK_MAX, pack, unpack
from api.sync.shapes import Needed, Put, PutMany
from schema.errors import ChecksumMismatch, InvalidRequest, NotFound, PayloadTooLarge, Unavailable, WrongState
from schema.store.projects import Project

router = APIRouter(route_class=Plain, tags=["projects"])

OBJECT = path_part("sha", "SHA-256 of the content, in hex", "0" * 64)
_PUT_REFUSALS = ("NOT_FOUND", "FORBIDDEN", "CHECKSUM_MISMATCH", "PAYLOAD_TOO_LARGE", "WRONG_STATE", "FROZEN")
_INTENT = openapi.body_of(IntentBody, {"shas": ["0" * 64]})
_BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


@router.post(
    "/v1/projects/{name}/intent",
    operation_id="intendUpload",
    summary="Which contents have to be put",
    responses=openapi.answers({200: ("Those that no store has", Needed)}, "NOT_FOUND", "FORBIDDEN"),
    openapi_extra={"parameters": [PATH_NAME], "requestBody": _INTENT},
)
async def intend(request: Request) -> Response:
    """The others are kept for an hour, so that a commit can name them."""
    _, project = await project_of(request, "write")
    wanted = (await read_json(request, IntentBody)).shas
    there = await contents_of(request).leased(project, wanted)
    return answer({"needed": [sha for sha in dict.fromkeys(wanted) if sha not in there]})


@router.put(
    "/v1/projects/{name}/objects/{sha}",
    operation_id="putObject",
    summary="Put a content",
    responses=openapi.answers({200: ("Whether it is new", Put)}, *_PUT_REFUSALS),
    openapi_extra={"parameters": [PATH_NAME, OBJECT], "requestBody": openapi.bytes_of()},
)
async def put(request: Request) -> Response:
    """It is hot when this is answered; cold where the project is strict or the hot store does not answer. It needs its
    Content-Length."""
    _, project = await project_of(request, "write")
    await check_takes(request, project)
    sha, body = read_sha(request), RequestBody(request)
    body.check_size(front_of(request).services.settings.upload_max_bytes)
    if body.length is None:
        raise InvalidRequest("Send the Content-Length of the object.")
    try:
        created = await contents_of(request).put(project, sha, body.length, _pieces(body))
    except ValueError as error:
        raise ChecksumMismatch(sha=sha) from error
    except HotUnavailable as error:
        raise Unavailable("The hot store went away meanwhile. Send the object again.") from error
    async for _ in _pieces(body):
        continue
    return answer({"created": created})


@router.get(
    "/v1/projects/{name}/objects/{sha}",
    operation_id="getObject",
    summary="A content",
    responses=openapi.answers({}, "NOT_FOUND") | {200: {"description": "Its bytes", "content": _BYTES}},
    openapi_extra={"parameters": [PATH_NAME, OBJECT]},
)
async def get(request: Request) -> Response:
    """From the hot store, or from the cold one. A body that breaks off was not what its name says."""
    _, project = await project_of(request, "read")
    contents = contents_of(request)
    row = await contents.row(project, read_sha(request))
    headers = {"content-length": str(row.size), "etag": f'"{row.sha}"'}

    async def body() -> AsyncIterator[bytes]:
        async with aclosing(contents.read(project, row)) as pieces:
            async for piece in pieces:
                yield piece

    return StreamingResponse(body(), media_type="application/octet-stream", headers=headers)


@router.post(
    "/v1/projects/{name}/objects",
    operation_id="putObjects",
    summary="Put many small contents",
    responses=openapi.answers({200: ("Those that are new", PutMany)}, *_PUT_REFUSALS),
    openapi_extra={"parameters": [PATH_NAME], "requestBody": openapi.bytes_of()},
)
async def put_many(request: Request) -> Response:
    """A pack: of each content 32 bytes of SHA-256, 8 bytes of length, big-endian, and the content, which has 256 KiB at most."""
    _, project = await project_of(request, "write")
    await check_takes(request, project)
    found = unpack(await _whole(RequestBody(request)))
    if any(len(one) > SMALL_MAX for one in found.values()):
        raise PayloadTooLarge(f"A content in a pack has {SMALL_MAX} bytes at most; put a larger one alone.")
    return answer({"created": sorted(await contents_of(request).put_small(project, found))})


@router.post(
    "/v1/projects/{name}/fetch",
    operation_id="getObjects",
    summary="Many small contents",
    responses=openapi.answers({}, "NOT_FOUND") | {200: {"description": "A pack of them", "content": _BYTES}},
    openapi_extra={"parameters": [PATH_NAME], "requestBody": _INTENT},
)
async def get_many(request: Request) -> Response:
    """Of these contents those that have 256 KiB at most and can be had now, as a pack of up to 32 MiB: ask again for the rest."""
    _, project = await project_of(request, "read")
    wanted = (await read_json(request, IntentBody)).shas
    found = await contents_of(request).small(project, wanted)
    held, size = dict[str, bytes](), 0
    for sha, content in found.items():
        size += len(content) + 40
        if size > PACK_MAX:
            break
        held[sha] = content
    return Response(pack(held), 200, media_type="application/octet-stream")


async def check_takes(request: Request, project: Project) -> None:
    """Of a freeze other processes may hear some seconds later; a commit sees it at once. Raises WrongState, Frozen."""
    mount = await front_of(request).mounts.get(project.mount, project.tenant)
    if mount.freeze is not None:
        raise mount.freeze.refusal()
    if not project.takes_commits:
        raise WrongState(f"The project is {project.state}; reactivate it first.", state=project.state)


def read_sha(request: Request) -> str:
    sha = str(request.path_params["sha"])
    if not re.fullmatch(SHA, sha):
        raise NotFound("There is no such object: its name is a SHA-256 in hex, in small letters.")
    return sha


async def _pieces(body: RequestBody) -> AsyncIterator[bytes]:
    async for pieces in body.pieces():
        for piece in pieces:
            yield piece


async def _whole(body: RequestBody) -> bytes:
    held = bytearray()
    async for piece in _pieces(body):
        held += piece
        if len(held) > PACK_MAX:
            raise PayloadTooLarge(f"A pack has {PACK_MAX} bytes at most.")
    return bytes(held)
