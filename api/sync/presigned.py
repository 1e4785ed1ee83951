"""Contents that go straight into the bucket: a link for one of them, and the proof that it came."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

from activities.sync.presigned import LINK_SECONDS, PresignedContents
from api.http import openapi
from api.http.body import read_json
from api.http.routes import Plain
from api.services import front_of
from api.sync.bodies import PresignBody, PresignedBody
from api.sync.contents import OBJECT, check_takes, read_sha
from api.sync.found import PATH_NAME, answer, contents_of, project_of
from api.sync.shapes import PresignedObject, Put

router = APIRouter(route_class=Plain, tags=["projects"])

_PARAMETERS = [PATH_NAME, OBJECT]
_REFUSALS = ("NOT_FOUND", "FORBIDDEN", "NOT_SUPPORTED", "WRONG_STATE")
_LINK = openapi.body_of(PresignBody, {"sizeBytes": 1_048_576})
_DONE = openapi.body_of(PresignedBody, {"sizeBytes": 1_048_576, "ticket": "0123456789ab"})


@router.post(
    "/v1/projects/{name}/objects/{sha}/presign",
    status_code=201,
    operation_id="presignObject",
    summary="A link to put a content into the cold store",
    responses=openapi.answers({201: ("The link", PresignedObject)}, *_REFUSALS, "PAYLOAD_TOO_LARGE"),
    openapi_extra={"parameters": _PARAMETERS, "requestBody": _LINK},
)
async def presign(request: Request) -> Response:
    """A node puts exactly this content straight into the bucket of the project, without a token and without the bucket's secret.
    `headers` are signed, the checksum among them, and have to be sent as they are. It is there for others once
    `.../complete {ticket}` has found it. `needed` false: it is there already, and stays for an hour."""
    _, project = await project_of(request, "write")
    await check_takes(request, project)
    sha, body = read_sha(request), await read_json(request, PresignBody)
    made = await _presigned(request).link(project, sha, body.size_bytes)
    if made is None:
        return answer(
            {"needed": False, "ticket": None, "url": None, "method": None, "headers": {}, "expiresAt": None}, 201
        )
    expires = datetime.now(UTC) + timedelta(seconds=LINK_SECONDS)
    told = {
        "needed": True, "ticket": made.ticket, "url": made.link.url, "method": "PUT", "headers": dict(made.link.headers),
        "expiresAt": expires.isoformat(timespec="seconds"),
    }  # fmt: skip
    shown = answer(told, 201)
    shown.headers["cache-control"] = "no-store"
    return shown


@router.post(
    "/v1/projects/{name}/objects/{sha}/complete",
    operation_id="completeObject",
    summary="A content was put into the cold store",
    responses=openapi.answers({200: ("Whether it is new", Put)}, *_REFUSALS, "CHECKSUM_MISMATCH"),
    openapi_extra={"parameters": _PARAMETERS, "requestBody": _DONE},
)
async def complete(request: Request) -> Response:
    """What lies there is proven to be the content: by the checksum of a store that was seen to refuse wrong ones, or by reading it.
    It is cold then, and a commit can name it. Doing it again is harmless."""
    _, project = await project_of(request, "write")
    await check_takes(request, project)
    sha, body = read_sha(request), await read_json(request, PresignedBody)
    created = await _presigned(request).take(project, sha, body.size_bytes, body.ticket)
    front_of(request).services.announce()
    return answer({"created": created})


def _presigned(request: Request) -> PresignedContents:
    front = front_of(request)
    return PresignedContents(contents_of(request), front.threads, front.services.settings.sync_grace_seconds)
