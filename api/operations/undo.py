"""Undo by selection: everything of a principal, a token, a piece of work, a time or a path; or single commands."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access.admission import admit
from api.http import openapi
from api.http.body import read_json
from api.http.ids import read_uuid
from api.http.keys import read_correlation, read_key
from api.http.routes import Plain
from api.operations import answers, make
from api.operations.bodies import NewUndo, UndoBody, UndoSelectionBody
from api.services import Front, front_of
from schema import paths
from schema.access.operations import needs
from schema.errors import BackendNotFound, InvalidRequest, NotFound
from schema.ids import CommandId, MountId, new_command_id
from schema.operations.coverage import common
from schema.operations.operation import Operation, OperationKind
from schema.operations.undo_selection import UndoSelection
from schema.paths import ROOT, NodePath
from schema.principals import Principal, authorise, readable
from schema.store import undo as store
from workflows.operations.start import drive

if TYPE_CHECKING:
    from schema.store.connection import Connection

router = APIRouter(route_class=Plain, tags=["operations"])
_PARAMETERS = [openapi.path_id("The command", openapi.COMMAND_ID), *answers.NAMES]


@router.post(
    "/v1/commands/{id}/undo",
    status_code=202,
    operation_id="undoCommand",
    summary="Undo a command",
    responses=openapi.answers(answers.ACCEPTED, *answers.REFUSALS),
    openapi_extra={"parameters": _PARAMETERS, "requestBody": openapi.body_of(UndoBody, {"planOnly": True})},
)
async def undo_command(request: Request) -> Response:
    """An operation that puts back what this one command has changed, if nothing else has changed it since."""
    principal = await admit(request, "operate")
    id = read_uuid(request, "command")
    body = await read_json(request, UndoBody)
    asked = NewUndo(
        kind="undo",
        selection=UndoSelectionBody.model_validate({"commandIds": [id]}),
        plan_only=body.plan_only,
        idempotency_key=body.idempotency_key,
    )
    return await undo(request, principal, asked)


async def undo(request: Request, principal: Principal, body: NewUndo) -> Response:
    """Raises FilestoreError."""
    front = front_of(request)
    key, correlation = read_key(request.headers, body.idempotency_key), read_correlation(request.headers)
    asked = body.model_dump(mode="json", exclude={"idempotency_key"})
    async with front.services.pool.connection() as connection:
        operation = await _operation(front, connection, principal, body, correlation)
        id, new = await make.create(connection, operation, key, asked)
        shown = await answers.document(request, connection, id, principal)
    if new:
        front.services.start(drive, mount=operation.mount_id, id=id, turn=1, plans=True)
    return answers.answered(shown, 202)


async def _operation(
    front: Front, connection: Connection, principal: Principal, body: NewUndo, correlation: str | None
) -> Operation:
    selection, options = _selection(body.selection), body.options.meant()
    if not options.only_if_unchanged:
        raise _invalid("options.onlyIfUnchanged", "An undo never goes over what was changed since.")
    subtrees = await _where(front, connection, principal, body.backend_mount_id, selection)
    mounts = tuple(mount for mount, _ in subtrees)
    operation = Operation(
        id=str(new_command_id()), tenant=principal.tenant, principal=principal.name, token_id=principal.token_id,
        kind=OperationKind.UNDO, mount_id=mounts[0], path=subtrees[0][1] if len(mounts) == 1 else ROOT, options=options,
        undo=replace(selection, mounts=mounts if len(mounts) > 1 else ()), subtrees=subtrees, plan_only=body.plan_only,
        correlation_id=correlation,
    )  # fmt: skip
    for action, on, place in needs(operation):
        authorise(principal, action, on, place)
    return operation


def _selection(body: UndoSelectionBody) -> UndoSelection:
    """Raises InvalidRequest, InvalidPath."""
    path = None
    if body.path is not None or body.path_b64 is not None:
        path = paths.decode(body.path, body.path_b64, allow_root=True)
    selection = UndoSelection(
        principal=body.principal, token_id=body.token_id, correlation_id=body.correlation_id, since=body.since,
        until=body.until, path=path, commands=tuple(CommandId(id.lower()) for id in body.command_ids or ()),
    )  # fmt: skip
    if selection.is_empty:
        raise _invalid("selection", "It names nothing, and would take everything. Name whose changes, or which.")
    return selection


async def _where(
    front: Front, connection: Connection, principal: Principal, mount: int | None, selection: UndoSelection
) -> list[tuple[MountId, NodePath]]:
    """The mounts of the undo, and below what it may change something there: of single commands below what they touched,
    otherwise anywhere. Raises NotFound, BackendNotFound."""
    if mount is not None:
        await front.mounts.get(MountId(mount), principal.tenant)
        if not selection.commands:
            return [(MountId(mount), ROOT)]
    found = await store.touched(connection, principal.tenant, selection)
    # A command is what it is about: what touches an unreadable place is not there.
    hidden = selection.commands and not all(readable(principal, one.mount, one.path) for one in found)
    changed = {one.mount for one in found if not one.reads and mount in (None, one.mount)}
    there = [on for on in sorted(changed) if readable(principal, on) and await _exists(front, principal, on)]
    if hidden or not there:
        raise NotFound("The selection has no change that could be put back. GET /v1/journal shows what was done.")
    if not selection.commands:
        return [(on, ROOT) for on in there]
    return common({on: [one.path for one in found if one.mount == on and one.path is not None] for on in there})


async def _exists(front: Front, principal: Principal, mount: MountId) -> bool:
    try:
        await front.mounts.get(mount, principal.tenant)
    except BackendNotFound:
        return False
    return True


def _invalid(field: str, message: str) -> InvalidRequest:
    return InvalidRequest(message, fields=[{"field": field, "message": message}])
