"""Steer an operation: what is asked for stands in its row before it is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access.admission import admit
from api.access.second_person import second_person
from api.http import openapi
from api.http.body import read_json
from api.http.keys import read_correlation, read_key
from api.http.routes import Plain
from api.operations import answers, make
from api.operations.bodies import ApplyBody, CancelBody, ControlBody, LimitsChange, ManyBody, RetryBody, UndoBody
from api.operations.shapes import Operation
from api.services import front_of
from schema.access.approvals import ApprovalAct
from schema.errors import IdempotencyConflict, VersionConflict
from schema.ids import new_command_id
from schema.operations import operation as operations
from schema.operations.control import Control, Steered, refused, steer
from schema.operations.operation import OperationKind, OperationState
from schema.principals import Principal
from schema.store import imports
from schema.store import operation_turns as turn_store
from schema.store import operations as store
from schema.store.approvals import Matter
from workflows.operations.start import drive

if TYPE_CHECKING:
    from schema.store.connection import Connection

router = APIRouter(route_class=Plain, tags=["operations"])

_CHANGES_SHOWN = 10
_NAMED = [*answers.PARAMETERS, *answers.NAMES]
_LIMITS = openapi.body_of(LimitsChange, {"options": {"filesPerSecond": 20}})
_PLAIN = (
    (Control.PAUSE, "Pause", "`want` says so at once; the state is `paused` when nothing is in flight any more."),
    (Control.RESUME, "Go on", "After a pause, where it stopped."),
)
"""Requests that say nothing but what is asked for"""


def _plain(control: Control) -> Callable[[Request], Awaitable[Response]]:
    async def asked(request: Request) -> Response:
        principal = await admit(request, "operate")
        return await _steered(request, principal, control, await read_json(request, ControlBody))

    return asked


for _control, _summary, _text in _PLAIN:
    router.post(
        f"/v1/operations/{{id}}/{_control}", status_code=202, operation_id=f"{_control}Operation", summary=_summary,
        description=_text, responses=openapi.answers(answers.ACCEPTED, *answers.REFUSALS),
        openapi_extra={"parameters": answers.PARAMETERS, "requestBody": openapi.body_of(ControlBody, {})},
    )(_plain(_control))  # fmt: skip


@router.post(
    "/v1/operations/{id}/apply",
    status_code=202,
    operation_id="applyOperation",
    summary="Run a plan",
    responses=openapi.answers(answers.ACCEPTED, "VERSION_CONFLICT", *answers.REFUSALS),
    openapi_extra={"parameters": answers.PARAMETERS, "requestBody": openapi.body_of(ApplyBody, {})},
)
async def apply(request: Request) -> Response:
    """Exactly this plan. An item that has changed since is skipped; with `onlyIfUnchanged` the plan is refused as a whole where
    anything has changed at or below its path, with these paths."""
    principal = await admit(request, "operate")
    return await _steered(request, principal, Control.APPLY, await read_json(request, ApplyBody))


@router.post(
    "/v1/operations/{id}/cancel",
    status_code=202,
    operation_id="cancelOperation",
    summary="Cancel",
    responses=openapi.answers(answers.ACCEPTED, *answers.REFUSALS),
    openapi_extra={"parameters": answers.PARAMETERS, "requestBody": openapi.body_of(CancelBody, {"rollback": True})},
)
async def cancel(request: Request) -> Response:
    """What is done stays; with `rollback` it is put back, the newest first."""
    principal = await admit(request, "operate")
    body = await read_json(request, CancelBody)
    return await _steered(request, principal, Control.ROLLBACK if body.rollback else Control.CANCEL, body)


@router.post(
    "/v1/operations/{id}/retry",
    status_code=202,
    operation_id="retryOperation",
    summary="Try again what failed",
    responses=openapi.answers(answers.ACCEPTED, *answers.REFUSALS),
    openapi_extra={"parameters": answers.PARAMETERS, "requestBody": openapi.body_of(RetryBody, {"items": [17]})},
)
async def retry(request: Request) -> Response:
    """All items that failed, or those in `items`."""
    principal = await admit(request, "operate")
    body = await read_json(request, RetryBody)
    return await _steered(request, principal, Control.RETRY, body, body.items)


@router.post(
    "/v1/operations/{id}/undo",
    status_code=202,
    operation_id="undoOperation",
    summary="Undo",
    responses=openapi.answers({202: ("The operation that puts it back", Operation)}, *answers.REFUSALS),
    openapi_extra={"parameters": _NAMED, "requestBody": openapi.body_of(UndoBody, {"planOnly": True})},
)
async def undo(request: Request) -> Response:
    """A new operation that puts back what this one has done, newest first. What was changed since is left, and listed. An
    undo can be undone."""
    principal = await admit(request, "operate")
    front, id = front_of(request), answers.read_id(request)
    body = await read_json(request, UndoBody)
    key, correlation = read_key(request.headers, body.idempotency_key), read_correlation(request.headers)
    async with front.services.pool.connection() as connection, connection.transaction():
        original = await make.locked(connection, id, principal)
        known = await store.of_key(connection, principal.tenant, principal.name, key) if key else None
        if known is None:
            operation = make.undo_of(principal, original, plan_only=body.plan_only, correlation=correlation)
        else:
            operation = await make.locked(connection, known[0], principal)
        made, new = await make.create(connection, operation, key, {"undo": id, "planOnly": body.plan_only})
        shown = await answers.document(request, connection, made, principal)
    if new:
        front.services.start(drive, mount=operation.mount_id, id=made, turn=1, plans=True)
    return answers.answered(shown, 202)


@router.patch(
    "/v1/operations/{id}",
    operation_id="limitOperation",
    summary="Change the limits",
    responses=openapi.answers({200: ("As it stands now", Operation)}, *answers.REFUSALS),
    openapi_extra={"parameters": answers.PARAMETERS, "requestBody": _LIMITS},
)
async def limit(request: Request) -> Response:
    """Of an operation that has not ended. Only the options that are sent change; null takes a limit away."""
    principal = await admit(request, "operate")
    front, id = front_of(request), answers.read_id(request)
    told = (await read_json(request, LimitsChange)).options
    changes: dict[str, Any] = {name: getattr(told, name) for name in told.model_fields_set}
    if changes.get("concurrency", 1) is None:
        del changes["concurrency"]
    async with front.services.pool.connection() as connection, connection.transaction():
        operation = await make.locked(connection, id, principal)
        if operation.state.ended:
            raise refused(operation, Control.LIMIT)
        await store.change_limits(connection, id, replace(operation.options, **changes))
        shown = await answers.document(request, connection, id, principal)
    front.services.start(
        drive, mount=operation.mount_id, id=id, turn=operation.turn, plans=operation.state is OperationState.PLANNING
    )
    return answers.answered(shown, 200)


async def _steered(
    request: Request, principal: Principal, control: Control, body: ControlBody, chosen: list[int] | None = None
) -> Response:
    """What is asked for stands in the row before it is answered; the same key again is answered alike."""
    front, id = front_of(request), answers.read_id(request)
    key = read_key(request.headers, body.idempotency_key)
    async with front.services.pool.connection() as connection, connection.transaction():
        asked = AskedControl(control, body, key, chosen)
        operation, steered = await steer_one(connection, principal, id, asked)
        if control is Control.APPLY and operation.kind is OperationKind.PURGE and steered is not None:
            await second_person(connection, request, principal, ApprovalAct.PURGE, _plan_of(operation), body)
        shown = await answers.document(request, connection, id, principal)
    if steered is not None and steered.state.moves:
        front.services.start(drive, mount=operation.mount_id, id=id, turn=steered.turn, plans=False)
    return answers.answered(shown, 202)


def _plan_of(operation: operations.Operation) -> Matter:
    """A plan is never made anew: its turn and its items say which one was seen."""
    return Matter(
        subject=f"operation/{operation.id}", version=f"{operation.turn}/{operation.items}", mount=operation.mount_id,
        path=operation.path, shown={"id": operation.id, "kind": operation.kind, "items": operation.items},
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class AskedControl:
    control: Control
    body: ControlBody | ManyBody
    key: str | None
    items: list[int] | None = None
    """Of a retry: these alone"""


async def steer_one(
    connection: Connection, principal: Principal, id: str, asked: AskedControl
) -> tuple[operations.Operation, Steered | None]:
    """In the caller's transaction. The operation as it was, and what its row says from now on; None: it was asked for under
    this key before. Raises NotFound, WrongState, IdempotencyConflict."""
    operation = await make.locked(connection, id, principal)
    if await _heard_before(connection, id, asked, principal):
        return operation, None
    steered = steer(operation, asked.control)
    if isinstance(asked.body, ApplyBody) and asked.body.only_if_unchanged:
        await _refuse_changed(connection, id)
    await store.steer(connection, id, steered, asked.items)
    if steered.again and operation.kind is OperationKind.IMPORT:
        await imports.begin_anew(connection, id)
    return operation, steered


async def _refuse_changed(connection: Connection, id: str) -> None:
    """Raises VersionConflict."""
    changed = await turn_store.changed_since(connection, id, _CHANGES_SHOWN)
    if changed:
        raise VersionConflict(
            "Something has changed at or below the path since the plan was made. Make a new plan to see it, or apply this one "
            "without onlyIfUnchanged.",
            paths=[path.text for path in changed],
        )


async def _heard_before(connection: Connection, id: str, asked: AskedControl, principal: Principal) -> bool:
    """Raises IdempotencyConflict: under this key something else was asked for, or of other items."""
    key = asked.key or str(new_command_id())
    hash = make.hash_of(asked.body.model_dump(mode="json", exclude={"idempotency_key"}))
    same = await store.heard_of(
        connection, id, key, asked.control, hash, reason=asked.body.reason, principal=principal.name
    )
    if same is False:
        raise IdempotencyConflict()
    return same is not None
