"""GET /v1/commands/{id}: how a command stands."""

import json
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access.admission import admit
from api.commands import answer as answers
from api.commands.shapes import Command
from api.http import openapi, responses
from api.http.errors import envelope
from api.http.ids import read_uuid
from api.http.routes import Plain
from api.services import front_of
from api.submission import Queued
from schema import paths
from schema.access.decision import may
from schema.commands.command import Status
from schema.errors import NotFound, OutcomeUnknown
from schema.ids import CommandId, MountId
from schema.principals import Principal, readable
from schema.store import journal
from schema.store.journal import Standing

router = APIRouter(route_class=Plain, tags=["commands"])


@router.get(
    "/v1/commands/{id}",
    operation_id="getCommand",
    summary="How a command stands",
    responses=openapi.answers({200: ("The command", Command)}, "NOT_FOUND", "OUTCOME_UNKNOWN"),
    openapi_extra={"parameters": [openapi.path_id("The command", openapi.COMMAND_ID)]},
)
async def show(request: Request) -> Response:
    """At any time, also long after it ended. While its status is `queued` or `running` there is a Retry-After: ask again then.
    `queued`: it was answered with 202 before it was recorded, and only the process that answered knows of it. Only its own
    principal and administrators are told."""
    principal = await admit(request, "read")
    id = read_uuid(request, "command")
    services = front_of(request).services
    # In this order: what leaves the queue between the two is in the record.
    queued = services.commands.queued(CommandId(id))
    async with services.pool.connection() as connection:
        standing = await journal.command(connection, (queued and queued.row) or CommandId(id), principal.tenant)
    if standing is None and queued is not None and queued.request.tenant == principal.tenant:
        standing = _standing_of(queued)
    if standing is None or (standing.principal != principal.name and not may(principal.access, "audit").allowed):
        raise NotFound("There is no such command.")
    if principal.access.narrowed and not _readable(principal, json.loads(standing.document)):
        raise NotFound("There is no such command.")
    answer = responses.data(standing.document)
    if standing.status is None or standing.status is Status.RUNNING:
        answer.headers.update(answers.place_to_ask(CommandId(id)))
    return answer


def _readable(principal: Principal, shown: dict[str, Any]) -> bool:
    """Its outcome tells of what lies there now."""
    path = paths.decode(shown["path"], shown.get("pathB64"), allow_root=True)
    return readable(principal, MountId(shown["backendMountId"]), path)


def _standing_of(queued: Queued) -> Standing:
    """A command that was answered with 202 while it waits in the queue of this process, in the shape of one that has a
    row. Raises OutcomeUnknown: whether it has begun is not known then."""
    request, error = queued.request, queued.error
    if isinstance(error, OutcomeUnknown):
        raise error
    status = None if error is None else Status.FAILED
    document = {
        "id": request.id,
        "href": f"/v1/commands/{request.id}",
        "command": request.kind,
        "status": status or "queued",
        "path": request.path,
        "targetPath": request.target,
        "backendMountId": request.runs_on,
        "code": error and error.code,
        "retryable": error is not None and error.retryable,
        "outcome": json.loads(envelope(error)) if error else None,
        "attempt": 0,
        "createdAt": queued.since.isoformat(),
        "startedAt": None,
        "endedAt": None,
    }
    exact = {"pathB64": request.path_b64, "targetPathB64": request.target_b64}
    document |= {name: value for name, value in exact.items() if value is not None}
    return Standing(request.principal, status, json.dumps(document))
