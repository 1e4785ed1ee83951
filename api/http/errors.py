"""Errors as clients see them: one table from code to status, the /v1 envelope, and RFC 9457 for a client that asks for it."""

import json
from collections.abc import Mapping
from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request
from psycopg import InterfaceError, OperationalError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from schema.errors import (
    BY_CODE,
    FilestoreError,
    InvalidRequest,
    NotFound,
    NotSupported,
    Unavailable,
    name_of,
    of_the_machine,
)

log = structlog.get_logger(__name__)

STATUS: Mapping[str, int] = {
    "INVALID_PATH": 400,
    "INVALID_REQUEST": 400,
    "INVALID_CHECKSUM": 400,
    "NOT_SUPPORTED": 400,
    "UNAUTHENTICATED": 401,
    "MISSING_SCOPE": 403,
    "FORBIDDEN": 403,
    "MOUNT_READ_ONLY": 403,
    "BACKEND_NOT_FOUND": 404,
    "NODE_NOT_FOUND": 404,
    "PARENT_NOT_FOUND": 404,
    "NOT_FOUND": 404,
    "REQUEST_TOO_SLOW": 408,
    "NODE_EXISTS": 409,
    "NOT_A_DIRECTORY": 409,
    "CHILDREN_EXIST": 409,
    "IDEMPOTENCY_CONFLICT": 409,
    "EXECUTOR_NOT_FOUND": 409,
    "PATH_BUSY": 409,
    "WRONG_STATE": 409,
    "STALE_FINDING": 409,
    "STALE_REVISION": 409,
    "OBJECTS_NEEDED": 409,
    "PROJECT_EXISTS": 409,
    "CONTENT_EXPIRED": 410,
    "CURSOR_EXPIRED": 410,
    "VERSION_CONFLICT": 412,
    "PAYLOAD_TOO_LARGE": 413,
    "URI_TOO_LONG": 414,
    "CHECKSUM_MISMATCH": 422,
    "FROZEN": 423,
    "NOT_ATTEMPTED": 424,
    "UPGRADE_REQUIRED": 426,
    "RATE_LIMITED": 429,
    "HEADERS_TOO_LARGE": 431,
    "MOUNT_OFFLINE": 503,
    "UNAVAILABLE": 503,
    "INTERRUPTED": 503,
    "OUTCOME_UNKNOWN": 503,
    "STAGE_LOST": 503,
    "OVERLOADED": 503,
    "STORAGE_FULL": 507,
    "QUOTA_EXCEEDED": 507,
    "HELD": 423,
}
PROBLEM = "application/problem+json"
_HEADERS: Mapping[int, Mapping[str, str]] = {
    401: {"www-authenticate": "Bearer"},
    426: {"upgrade": "websocket", "connection": "upgrade"},
}


def status_of(code: str) -> int:
    return STATUS.get(code, 500)


def wants_problem(request: Request) -> bool:
    return PROBLEM in request.headers.get("accept", "")


def refusal(request: Request, error: FilestoreError, *, status: int | None = None) -> Response:
    """The answer that tells a client about this error."""
    status = status or status_of(error.code)
    headers = dict(_HEADERS.get(status, {}))
    if error.retry_after_seconds is not None:
        headers["retry-after"] = str(error.retry_after_seconds)
    if wants_problem(request):
        return Response(_json(_problem(error, status)), status, headers, PROBLEM)
    return Response(envelope(error), status, headers, "application/json")


def envelope(error: FilestoreError) -> bytes:
    return _json({"error": {"code": error.code, "message": error.message, "details": error.details}})


def _problem(error: FilestoreError, status: int) -> dict[str, Any]:
    details = dict(error.details or {})
    problem = {
        "type": f"urn:filestore:problem:{error.code.lower().replace('_', '-')}",
        "title": name_of(BY_CODE[error.code]) if error.code in BY_CODE else "Internal server error",
        "status": status,
        "detail": error.message,
        "code": error.code,
        "retryable": error.retryable,
        "retry_after": error.retry_after_seconds,
        "command_id": details.pop("commandId", None),
        "details": details or None,
    }
    return {name: value for name, value in problem.items() if value is not None}


def _json(value: object) -> bytes:
    try:
        return orjson.dumps(value, default=str)
    except TypeError:  # a lone surrogate in a text, or a number of more than 64 bits
        return json.dumps(value, default=str).encode()


def defect(request_id: str) -> FilestoreError:
    """What a client hears of an exception that no code expected."""
    return FilestoreError(
        "This is a defect in Filestore, not in your request. Report it with this id.", requestId=request_id
    )


def invalid(error: ValidationError, *, within: str = "") -> InvalidRequest:
    """What pydantic found, field by field, without the values: they can be secrets. `within`: where the fields stand."""
    above = (within,) if within else ()
    fields = [
        {"field": ".".join(str(part) for part in (*above, *found["loc"])), "message": found["msg"]}
        for found in error.errors(include_url=False, include_context=False, include_input=False)[:20]
    ]
    first = fields[0]
    where = f"{first['field']}: " if first["field"] else ""
    return InvalidRequest(f"{where}{first['message']}.", fields=fields)


EXPECTED = (FilestoreError, ValidationError, OperationalError, InterfaceError, OSError)


def refusal_of(error: Exception) -> FilestoreError | None:
    """What a client hears of an exception of these kinds. None: it is a defect."""
    if isinstance(error, FilestoreError):
        return error
    if isinstance(error, ValidationError):
        return invalid(error)
    if isinstance(error, OperationalError | InterfaceError):
        log.warning("postgres is not reachable", error=f"{type(error).__name__}: {error}")
        return Unavailable()
    if refused := of_the_machine(error):
        log.warning("the machine is in trouble", error=repr(error))
    return refused


def install(app: FastAPI) -> None:
    """Every exception that can leave a route has its answer here. The rest is a defect: see `api.http.middleware`."""

    async def expected(request: Request, error: Exception) -> Response:
        refused = refusal_of(error)
        if refused is None:
            raise error
        return refusal(request, refused)

    async def unrouted(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        refused: FilestoreError = NotFound() if error.status_code == 404 else InvalidRequest(f"{error.detail}.")
        if error.status_code == 405:
            refused = NotSupported("This address does not take that method. See /docs.")
        answer = refusal(request, refused, status=error.status_code)
        answer.headers.update(error.headers or {})
        return answer

    for kind in EXPECTED:
        app.add_exception_handler(kind, expected)
    app.add_exception_handler(HTTPException, unrouted)
