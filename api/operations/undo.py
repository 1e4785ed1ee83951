"""Undo by selection: everything of a principal, a token, a piece of work, a time or a path; or single commands."""

from __future__ import annotations

from collections.abc import Sequence
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
from schema.errors import InvalidRequest, NotFound
from schema.ids import CommandId, MountId, new_command_id
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
        shown = await answers.document(connection, id, principal)
    if new:
        front.services.start(drive, mount=operation.mount_id, id=id, turn=1, plans=True)
    return answers.answered(shown, 202)


async def _operation(
    front: Front, connection: Connection, principal: Principal, body: NewUndo, correlation: str | None
) -> Operation:
    selection, options = _selection(body.selection), body.options.meant()
    if not options.only_if_unchanged:
        raise _invalid("options.onlyIfUnchanged", "An undo never goes over what was changed since.")
    mount, path = await _where(connection, principal, body.backend_mount_id, selection)
    await front.mounts.get(mount, principal.tenant)
    operation = Operation(
        id=str(new_command_id()), tenant=principal.tenant, principal=principal.name, token_id=principal.token_id,
        kind=OperationKind.UNDO, mount_id=mount, path=path, options=options,
        undo=selection, plan_only=body.plan_only, correlation_id=correlation,
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
    connection: Connection, principal: Principal, mount: int | None, selection: UndoSelection
) -> tuple[MountId, NodePath]:
    """An operation is on one mount. The path is what it claims against other operations: of single commands what they
    touched, otherwise all. Raises NotFound, InvalidRequest."""
    if mount is not None and not selection.commands:
        return MountId(mount), ROOT
    found = [one for one in await store.touched(connection, principal.tenant, selection) if mount in (None, one[0])]
    mounts = sorted({one[0] for one in found})
    hidden = selection.commands and not all(_seen(principal, *one) for one in found)
    mounts = [one for one in mounts if readable(principal, one)]
    if hidden or not mounts:
        raise NotFound("The selection has no change that could be put back. GET /v1/journal shows what was done.")
    if len(mounts) > 1:
        listed = ", ".join(map(str, mounts))
        raise InvalidRequest(
            f"The selection has changes on the mounts {listed}. Name one of them as backendMountId, then the next.",
            fields=[{"field": "backendMountId", "message": "an operation is on one mount"}],
            backendMountIds=mounts,
        )
    if not selection.commands:
        return mounts[0], ROOT
    return mounts[0], _common([place for one in found for place in one[1:] if place is not None])


def _seen(principal: Principal, mount: MountId, path: NodePath | None, target: NodePath | None) -> bool:
    """A command is what it is about: what touches an unreadable place is not there."""
    return all(readable(principal, mount, place) for place in (path, target) if place is not None)


def _common(places: Sequence[NodePath]) -> NodePath:
    """The deepest directory that has all of them below it."""
    first, *others = ([*place.ancestors()] for place in places)
    shared = [above for above in first if all(above in other for other in others)]
    return shared[-1] if shared else ROOT


def _invalid(field: str, message: str) -> InvalidRequest:
    return InvalidRequest(message, fields=[{"field": field, "message": message}])
