"""What is done alike with every upload, resumable or straight to a bucket: look at it, give it up."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access.admission import admit
from api.http import openapi
from api.http.body import RequestBody
from api.http.routes import Plain
from api.services import Front
from api.uploads import remembered as standing
from api.uploads.described import UPLOAD_ID
from api.uploads.direct import completion as direct
from api.uploads.shapes import Upload as Shown
from api.uploads.tus import completion as resumable
from api.uploads.tus import protocol
from api.uploads.tus import routes as tus
from api.uploads.tus.answers import answer, upload_id
from api.uploads.tus.described import CHUNK, METHOD_OVERRIDE, TUS_VERSION, tus_answers
from api.uploads.tus.turns import turns_of
from schema.errors import InvalidRequest
from schema.principals import Principal

router = APIRouter(route_class=Plain, tags=["uploads"])


@router.get(
    "/v1/uploads/{id}",
    operation_id="getUpload",
    summary="An upload",
    responses=openapi.answers({200: ("The upload", Shown)}, "NOT_FOUND", "CONTENT_EXPIRED"),
    openapi_extra={"parameters": [UPLOAD_ID]},
)
async def show(request: Request) -> Response:
    """As JSON, with the outcome of its command once it has become a file, or the reason why not."""
    return await answer(request, _show)


async def _show(request: Request, front: Front, principal: Principal, body: RequestBody) -> Response:
    return standing.document(await standing.find(front, principal, upload_id(request), direct=True))


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
    return await answer(request, _terminate)


async def _terminate(request: Request, front: Front, principal: Principal, body: RequestBody) -> Response:
    id = upload_id(request)
    found = await standing.find(front, principal, id, direct=True)
    if standing.is_direct(found):
        await direct.give_up(front, principal, found)
        return Response(status_code=204)
    protocol.check_version(request.headers)
    async with turns_of(request).take(id):
        await resumable.give_up(front, await standing.find(front, principal, id))
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
    meant = {"PATCH": tus.go_on_with, "DELETE": _terminate, "HEAD": tus.ask}.get(
        request.headers.get("x-http-method-override", "").upper()
    )
    if meant is None:
        await admit(request, "write")
        raise InvalidRequest("Send PATCH; or POST with X-HTTP-Method-Override: PATCH.")
    return await answer(request, meant)
