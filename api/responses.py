"""Answers made of JSON text that Postgres has rendered: spliced into an envelope, never parsed and built again."""

import json
import re

from starlette.requests import Request
from starlette.responses import Response

from api.errors import refusal, status_of, wants_problem
from schema.commands import Outcome, Status
from schema.errors import from_code
from schema.ids import CommandId

JSON = "application/json"

_FRESH = re.compile(r'"idempotent"\s*:\s*false')


def data(document: str) -> Response:
    return Response(f'{{"data":{document}}}'.encode(), 200, media_type=JSON)


def pagination(total: int, limit: int, offset: int) -> str:
    following = str(offset + limit) if offset + limit < total else "null"
    return f'{{"total":{total},"limit":{limit},"offset":{offset},"nextOffset":{following}}}'


def outcome(request: Request, ended: Outcome, success: int) -> Response:
    """How a command ended, with `success` as the status of its first good answer; a replayed one is 200."""
    headers: dict[str, str] = {"x-filestore-command-id": ended.id}
    if ended.status is not Status.SUCCEEDED:
        return _failure(request, ended, headers)
    body = _FRESH.sub('"idempotent":true', ended.body, count=1) if ended.replayed else ended.body
    status = 200 if ended.replayed else success
    return Response(f'{{"data":{body}}}'.encode(), status, headers, JSON)


def _failure(request: Request, ended: Outcome, headers: dict[str, str]) -> Response:
    """The stored refusal: verbatim, unless the client prefers problem documents."""
    error = from_code(ended.code or "INTERNAL_SERVER_ERROR")
    if ended.body and not wants_problem(request):
        if error.retry_after_seconds is not None:
            headers["retry-after"] = str(error.retry_after_seconds)
        return Response(ended.body.encode(), status_of(error.code), headers, JSON)
    if ended.body:
        told = json.loads(ended.body)["error"]
        error = from_code(error.code, told.get("message"), told.get("details"))
    answer = refusal(request, error)
    answer.headers.update(headers)
    return answer


def pending(command: CommandId) -> Response:
    """The command goes on; here is where to ask."""
    href = f"/v1/commands/{command}"
    body = f'{{"data":{{"commandId":"{command}","status":"running","href":"{href}"}}}}'
    return Response(body.encode(), 202, {"location": href, "x-filestore-command-id": command}, JSON)
