"""Carry a command out and answer; and ask about one later: GET /v1/commands/{id}."""

import re

from fastapi import APIRouter, Request
from starlette.responses import Response

from api import openapi, responses
from api.auth import admit
from api.front import Front, front_of
from api.models import UUID
from api.routes import Plain
from api.services import OutcomePending, Submission
from schema.commands import Outcome
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
        return responses.outcome(request, await carry_out(front, submission), success)
    except OutcomePending as pending:
        return responses.pending(pending.command)


@router.get(
    "/v1/commands/{id}",
    operation_id="getCommand",
    summary="How a command stands",
    description="At any time, also long after it ended. Only its own principal and administrators are told.",
    responses=openapi.answers({200: "The command"}, "NOT_FOUND", schema=openapi.named("Command")),
    openapi_extra={"parameters": [openapi.path_id("id", "The command", "01993d5e-7c1a-7000-8000-0123456789ab")]},
)
async def show(request: Request) -> Response:
    principal = await admit(request, "read")
    id = request.path_params["id"].lower()
    if not re.fullmatch(UUID, id):
        raise NotFound("There is no such command.")
    async with front_of(request).services.pool.connection() as connection:
        standing = await journal.command(connection, CommandId(id), principal.tenant)
    if standing is None or (standing.principal != principal.name and "admin" not in principal.scopes):
        raise NotFound("There is no such command.")
    return responses.data(standing.document)
