"""Carry a command out and answer: POST /v1/commands/<name>."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.access.admission import admit, admit_any
from api.commands import answer as answers
from api.commands import catalogue as kinds
from api.commands import headers as intake
from api.commands.bodies import CommandBody
from api.commands.catalogue import KINDS, CommandEntry
from api.commands.parse import Asker
from api.http.body import read_json
from api.http.fields import UUID
from api.http.routes import Plain
from api.services import Front, front_of
from api.submission import OutcomePending, Submission
from schema.access.actions import CHANGES
from schema.access.commands import FIRST
from schema.commands.payloads import Outcome
from schema.errors import NotFound

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
    kind: CommandEntry,
    body: type[CommandBody] | None = None,
    meant: Callable[[Any], CommandBody] = lambda parsed: parsed,
) -> Response:
    """A whole route: the principal, the command, and how it ended. `body` and `meant`: where the address says a part of it."""
    principal = await admit(request, FIRST[kind.kind])
    front = front_of(request)
    parsed = meant(await read_json(request, body or kind.body))
    asked = intake.with_body(intake.read_headers(request, parsed.idempotency_key), parsed)
    submission = await kind.submission(Asker(front, principal, asked), parsed)
    return await answer(request, front, submission, kind.success)


def _by_name(kind: CommandEntry) -> Callable[[Request], Awaitable[Response]]:
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
    await admit_any(request, CHANGES)
    names = [kind.name for kind in KINDS]
    raise NotFound(f"There is no command of this name. There are: {', '.join(names)}.", commands=names)
