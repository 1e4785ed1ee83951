"""How commands are answered: with their outcome, with where to ask for it, with their refusal."""

import json
import re

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.http.errors import envelope, refusal, status_of, wants_problem
from api.http.responses import JSON
from schema.commands.command import Status
from schema.commands.payloads import Outcome
from schema.errors import FilestoreError, from_code
from schema.ids import CommandId

ASK_AGAIN_SECONDS = 1
"""For a client that asks how a running command stands"""
_FRESH = re.compile(r'"idempotent"\s*:\s*false')
_PREVIOUS = re.compile(r'"previousVersion"\s*:\s*[0-9]')


def outcome(request: Request, ended: Outcome, success: int) -> Response:
    """How a command ended, with `success` as the status of its first good answer."""
    headers: dict[str, str] = {"x-filestore-command-id": ended.id}
    if ended.status is not Status.SUCCEEDED:
        return _failure(request, ended, headers)
    return Response(f'{{"data":{_body(ended)}}}'.encode(), _status(ended, success), headers, JSON)


def _body(ended: Outcome) -> str:
    return _FRESH.sub('"idempotent":true', ended.body, count=1) if ended.replayed else ended.body


def _status(ended: Outcome, success: int) -> int:
    """A replayed answer is 200; so is that of a command that could have created something, and took its place instead."""
    return 200 if ended.replayed or (success == 201 and _replaced(ended.body)) else success


def _replaced(body: str) -> bool:
    """Metadata can contain the same text: only then is the JSON parsed."""
    return bool(_PREVIOUS.search(body)) and orjson.loads(body)["result"].get("previousVersion") is not None


def _failure(request: Request, ended: Outcome, headers: dict[str, str]) -> Response:
    """The stored refusal: verbatim, unless the client prefers problem documents."""
    error = from_code(ended.code or "INTERNAL_SERVER_ERROR")
    if ended.body and not wants_problem(request):
        if error.retry_after_seconds is not None:
            headers["retry-after"] = str(error.retry_after_seconds)
        return Response(ended.body.encode(), status_of(error.code), headers, JSON)
    answer = refusal(request, error_of(ended))
    answer.headers.update(headers)
    return answer


def error_of(ended: Outcome) -> FilestoreError:
    """The error of a command that did not succeed, in the words of its first answer."""
    recorded = json.loads(ended.body).get("error", {}) if ended.body else {}
    return from_code(ended.code or "INTERNAL_SERVER_ERROR", recorded.get("message"), recorded.get("details"))


def pending(command: CommandId) -> Response:
    """The command goes on; here is where to ask."""
    headers = place_to_ask(command) | {"x-filestore-command-id": command}
    return Response(f'{{"data":{_running(command)}}}'.encode(), 202, headers, JSON)


def place_to_ask(command: CommandId) -> dict[str, str]:
    """Headers for a command that is running still."""
    return {"location": f"/v1/commands/{command}", "retry-after": str(ASK_AGAIN_SECONDS)}


def _running(command: CommandId) -> str:
    return f'{{"commandId":"{command}","status":"running","href":"/v1/commands/{command}"}}'


# Elements of an answer about several commands: what each would have been answered with alone


def outcome_item(index: int, ended: Outcome, success: int) -> str:
    if ended.status is Status.SUCCEEDED:
        return f'{{"index":{index},"status":{_status(ended, success)},"data":{_body(ended)}}}'
    error = from_code(ended.code or "INTERNAL_SERVER_ERROR")
    if not ended.body:
        return refusal_item(index, error)
    # `{"error": ...}` as it is stored, opened on its left side
    return f"{_head(index, error)},{ended.body.lstrip()[1:]}"


def refusal_item(index: int, error: FilestoreError) -> str:
    return f"{_head(index, error)},{envelope(error).decode()[1:]}"


def _head(index: int, error: FilestoreError) -> str:
    again = "" if error.retry_after_seconds is None else f',"retryAfter":{error.retry_after_seconds}'
    return f'{{"index":{index},"status":{status_of(error.code)}{again}'


def pending_item(index: int, command: CommandId) -> str:
    return f'{{"index":{index},"status":202,"retryAfter":{ASK_AGAIN_SECONDS},"data":{_running(command)}}}'
