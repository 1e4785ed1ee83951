"""Carry a command out and answer: POST /v1/commands/<name>; and ask about one later: GET /v1/commands/{id}."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api import waiting
from api.access.admission import admit
from api.commands import answer as answers
from api.commands import catalogue as kinds
from api.commands import headers as intake
from api.commands.bodies import CommandBody
from api.commands.catalogue import KINDS, Kind
from api.commands.parse import Asker
from api.commands.shapes import Command
from api.front import Front, front_of
from api.http import openapi, responses
from api.http.body import read_json
from api.http.fields import UUID
from api.http.routes import Plain
from api.submission import OutcomePending, Submission
from schema.commands.command import Status
from schema.commands.payloads import Outcome
from schema.errors import NotFound
from schema.ids import CommandId
from schema.store import journal

router = APIRouter(route_class=Plain, tags=["commands"])


async def carry_out(front: Front, submission: Submission) -> Outcome:
    """Raises FilestoreError, OutcomePending."""
    return await front.services.commands.submit(submission)


async def answer(request: Request, front: Front, submission: Submission, success: int) -> Response:
    """Carry it out and tell how it ended, with `success` as the status when it went well for the first time."""
    try:
        return answers.outcome(request, await carry_out(front, submission), success)
    except OutcomePending as pending:
        return answers.pending(pending.command)


async def respond(
    request: Request,
    kind: Kind,
    body: type[CommandBody] | None = None,
    meant: Callable[[Any], CommandBody] = lambda told: told,
) -> Response:
    """A whole route: who asks, what for, and how it ended. `body` and `meant`: where the address says a part of it."""
    principal = await admit(request, "write")
    front = front_of(request)
    told = meant(await read_json(request, body or kind.body))
    asked = intake.with_body(intake.read_headers(request, told.idempotency_key), told)
    submission = await kind.submission(Asker(front, principal, asked), told)
    return await answer(request, front, submission, kind.success)


def _by_name(kind: Kind) -> Callable[[Request], Awaitable[Response]]:
    async def command(request: Request) -> Response:
        return await respond(request, kind)

    return command


for _kind in KINDS:
    router.post(
        f"/v1/commands/{_kind.name}", operation_id=f"{_kind.kind}Command", **kinds.described(_kind)
    )(_by_name(_kind))  # fmt: skip


@router.post("/v1/commands/{name}", include_in_schema=False)
async def unknown(request: Request) -> Response:
    if re.fullmatch(UUID, request.path_params["name"]):
        raise HTTPException(405, headers={"allow": "GET, HEAD, OPTIONS"})  # the place to ask for a command
    await admit(request, "write")
    names = [kind.name for kind in KINDS]
    raise NotFound(f"There is no command of this name. There are: {', '.join(names)}.", commands=names)


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
    id = request.path_params["id"].lower()
    if not re.fullmatch(UUID, id):
        raise NotFound("There is no such command.")
    services = front_of(request).services
    # In this order: what leaves the queue between the two is in the record.
    queued = services.commands.queued(CommandId(id))
    async with services.pool.connection() as connection:
        standing = await journal.command(connection, (queued and queued.row) or CommandId(id), principal.tenant)
    if standing is None and queued is not None and queued.request.tenant == principal.tenant:
        standing = waiting.standing_of(queued)
    if standing is None or (standing.principal != principal.name and "admin" not in principal.scopes):
        raise NotFound("There is no such command.")
    told = responses.data(standing.document)
    if standing.status is None or standing.status is Status.RUNNING:
        told.headers.update(answers.place_to_ask(CommandId(id)))
    return told
