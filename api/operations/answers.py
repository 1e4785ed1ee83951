"""What every route of operations answers with: an operation, as it stands."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import Request
from starlette.responses import Response

from api.http import openapi
from api.http.fields import UUID
from api.http.responses import JSON
from api.operations import documents
from api.operations.shapes import Operation
from schema.errors import NotFound
from schema.principals import Principal
from schema.store import operations as store

if TYPE_CHECKING:
    from schema.store.connection import Connection

PARAMETERS = [openapi.path_id("The operation", openapi.COMMAND_ID)]
ACCEPTED: dict[int, openapi.Success] = {202: ("As it stands now", Operation)}
REFUSALS = (
    "NOT_FOUND",
    "WRONG_STATE",
    "NOT_SUPPORTED",
    "IDEMPOTENCY_CONFLICT",
    "PAYLOAD_TOO_LARGE",
    "REQUEST_TOO_SLOW",
)


def read_id(request: Request) -> str:
    """Raises NotFound."""
    id: str = request.path_params["id"].lower()
    if not re.fullmatch(UUID, id):
        raise NotFound("There is no such operation.")
    return id


async def document(connection: Connection, id: str, principal: Principal) -> dict[str, Any]:
    """Raises NotFound."""
    row = await store.document(connection, id, principal.tenant)
    if row is None:
        raise NotFound("There is no such operation.")
    return documents.document(row)


def answered(shown: dict[str, Any], status: int) -> Response:
    answer = as_json(shown)
    answer.status_code = status
    if status == 202:
        answer.headers["location"] = f"/v1/operations/{shown['id']}"
    return answer


def as_json(value: object) -> Response:
    return Response(orjson.dumps({"data": value}), media_type=JSON)
