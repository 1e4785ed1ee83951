"""How a method of the protocol is answered: its refusals have the status that tus gives them, and every answer the version."""

from collections.abc import Awaitable, Callable

from fastapi import Request
from pydantic import ValidationError
from starlette.responses import Response

from api.access.admission import admit
from api.http import body as http_body
from api.http.body import RequestBody
from api.http.errors import invalid, refusal
from api.services import Front, front_of
from api.uploads.tus import protocol
from api.uploads.tus.protocol import WrongVersion
from schema.errors import FilestoreError
from schema.principals import Principal

Inner = Callable[[Request, Front, Principal, RequestBody], Awaitable[Response]]


async def answer(request: Request, inner: Inner) -> Response:
    front, body = front_of(request), RequestBody(request)
    try:
        principal = await admit(request, "write")
        told = await inner(request, front, principal, body)
    except ValidationError as error:
        told = refusal(request, invalid(error))
    except FilestoreError as error:
        told = refused(request, error)
        if isinstance(error, WrongVersion):
            told.headers["tus-version"] = protocol.VERSION
    told.headers["tus-resumable"] = protocol.VERSION
    return http_body.if_unread(told, body) if request.method in ("POST", "PATCH") else told


def refused(request: Request, error: FilestoreError) -> Response:
    return refusal(request, error, status=protocol.STATUS.get(type(error)))


def upload_id(request: Request) -> str:
    return str(request.path_params["id"]).lower()
