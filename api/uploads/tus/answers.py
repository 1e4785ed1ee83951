"""How a method of the protocol is answered: its refusals have the status that tus gives them, and every answer the version."""

from fastapi import Request
from starlette.responses import Response

from api.http.errors import refusal
from api.uploads import receive as incoming
from api.uploads.receive import Inner
from api.uploads.tus import protocol
from api.uploads.tus.protocol import WrongVersion
from schema.errors import FilestoreError


async def answer(request: Request, inner: Inner) -> Response:
    response = await incoming.answered(request, inner, refused)
    response.headers["tus-resumable"] = protocol.VERSION
    return response


def refused(request: Request, error: FilestoreError) -> Response:
    response = refusal(request, error, status=protocol.STATUS.get(type(error)))
    if isinstance(error, WrongVersion):
        response.headers["tus-version"] = protocol.VERSION
    return response


def upload_id(request: Request) -> str:
    return str(request.path_params["id"]).lower()
