"""Operations: make one, look at it, steer it, undo it. What is answered with 202 stands in its row already."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from api.access.admission import admit
from api.http import openapi
from api.http.body import read_json
from api.http.fields import UUID, read_query
from api.http.keys import read_key
from api.http.responses import JSON
from api.http.routes import Plain
from api.operations import documents, make
from api.operations.bodies import (
    CancelBody,
    ControlBody,
    ItemsQuery,
    LimitsChange,
    NewOperation,
    OperationsQuery,
    RetryBody,
    UndoBody,
)
from api.operations.shapes import ItemPage, Operation, OperationPage, example
from api.services import Front, front_of
from schema import paths
from schema.errors import IdempotencyConflict, NotFound
from schema.ids import MountId
from schema.operations.control import Control, Steered, refused, steer
from schema.operations.operation import OperationState
from schema.principals import Principal
from schema.store import operations as store
from schema.store.operations import OperationFilter

if TYPE_CHECKING:
    from schema.store.connection import Connection

router = APIRouter(route_class=Plain, tags=["operations"])

_OPERATION = [openapi.path_id("The operation", openapi.COMMAND_ID)]
_ACCEPTED: dict[int, openapi.Success] = {202: ("As it stands now", Operation)}
_REFUSALS = ("NOT_FOUND", "WRONG_STATE", "IDEMPOTENCY_CONFLICT", "PAYLOAD_TOO_LARGE", "REQUEST_TOO_SLOW")
_LIMITS = openapi.body_of(LimitsChange, {"options": {"filesPerSecond": 20}})
_STREAM_SECONDS = 0.25
_STREAM_BEAT = 20.0


@router.post(
    "/v1/operations",
    status_code=202,
    operation_id="createOperation",
    summary="Change a tree",
    responses=openapi.answers(_ACCEPTED, "BACKEND_NOT_FOUND", "INVALID_PATH", "FORBIDDEN", *_REFUSALS),
    openapi_extra={"requestBody": openapi.body_of(NewOperation, example())},
)
async def create(request: Request) -> Response:
    """Copy, move, delete or describe a whole subtree, or what a selection takes of it. First its plan is made: every item,
    with its conflicts. With `planOnly` it waits then, to be looked at and applied; otherwise it runs. The same request under
    the same key joins the operation that is there."""
    principal = await admit(request, "write")
    front = front_of(request)
    body = await read_json(request, NewOperation)
    operation = await make.operation_of(front, principal, body)
    key = read_key(request.headers, body.idempotency_key)
    asked = body.model_dump(mode="json", exclude={"idempotency_key"})
    async with front.services.pool.connection() as connection:
        id, new = await make.create(connection, operation, key, asked)
        shown = await _document(connection, id, principal)
    if new:
        front.services.drive(operation.mount_id, id, 1, True)
    return _answer(shown, 202)


@router.get(
    "/v1/operations",
    operation_id="listOperations",
    summary="The operations",
    responses=openapi.answers({200: ("A page of operations", OperationPage)}),
    openapi_extra={"parameters": openapi.query_of(OperationsQuery)},
)
async def listed(request: Request) -> Response:
    """Of the caller's tenant, the newest first."""
    principal = await admit(request, "read")
    query = read_query(OperationsQuery, request.query_params)
    asked = OperationFilter(
        states=query.state,
        kinds=query.kind,
        mount=None if query.backend_mount_id is None else MountId(query.backend_mount_id),
        principal=query.principal,
        path=None if query.path is None else paths.parse(query.path, allow_root=True),
        before=query.cursor,
    )
    async with front_of(request).services.pool.connection() as connection:
        ids = await store.listed(connection, principal.tenant, asked, query.limit)
        shown = [await _document(connection, id, principal) for id in ids]
    following = ids[-1] if len(ids) == query.limit else None
    return _json({"operations": shown, "pagination": {"limit": query.limit, "nextCursor": following}})


@router.get(
    "/v1/operations/{id}",
    operation_id="getOperation",
    summary="An operation",
    responses=openapi.answers({200: ("The operation", Operation)}, "NOT_FOUND"),
    openapi_extra={"parameters": _OPERATION},
)
async def show(request: Request) -> Response:
    """With its plan, its progress, and what went wrong."""
    principal = await admit(request, "read")
    async with front_of(request).services.pool.connection() as connection:
        return _answer(await _document(connection, _id(request), principal), 200)


@router.get(
    "/v1/operations/{id}/items",
    operation_id="listOperationItems",
    summary="The items of an operation",
    responses=openapi.answers({200: ("A page of items", ItemPage)}, "NOT_FOUND"),
    openapi_extra={"parameters": [*_OPERATION, *openapi.query_of(ItemsQuery)]},
)
async def items(request: Request) -> Response:
    """In the order of the plan: what is to be done, what was done, what failed and why."""
    principal = await admit(request, "read")
    query, id = read_query(ItemsQuery, request.query_params), _id(request)
    async with front_of(request).services.pool.connection() as connection:
        await _document(connection, id, principal)
        found = await store.items(
            connection, id, states=query.state, codes=query.code, limit=query.limit,
            after=-1 if query.cursor is None else query.cursor,
        )  # fmt: skip
    following = str(found[-1].item) if len(found) == query.limit else None
    page = {"limit": query.limit, "nextCursor": following}
    return _json({"items": [documents.item(one) for one in found], "pagination": page})


@router.get(
    "/v1/operations/{id}/stream",
    operation_id="followOperation",
    summary="Follow an operation",
    responses=openapi.answers({200: "Server-sent events: the operation, whenever it has changed"}, "NOT_FOUND"),
    openapi_extra={"parameters": _OPERATION},
)
async def stream(request: Request) -> Response:
    """At most four times a second, until it has ended."""
    principal = await admit(request, "read")
    front, id = front_of(request), _id(request)
    async with front.services.pool.connection() as connection:
        await _document(connection, id, principal)
    return StreamingResponse(
        _followed(front, id, principal), media_type="text/event-stream", headers={"cache-control": "no-store"}
    )


async def _followed(front: Front, id: str, principal: Principal) -> AsyncIterator[bytes]:
    told, quiet = b"", 0.0
    while True:
        async with front.services.pool.connection() as connection:
            shown = await _document(connection, id, principal)
        text = orjson.dumps({**shown, "progress": {**shown["progress"], "etaSeconds": None}})
        if text != told:
            yield b"event: operation\ndata: %b\n\n" % orjson.dumps(shown)
            told, quiet = text, 0.0
        elif quiet >= _STREAM_BEAT:
            yield b": heartbeat\n\n"
            quiet = 0.0
        if OperationState(shown["state"]).ended:
            return
        await asyncio.sleep(_STREAM_SECONDS)
        quiet += _STREAM_SECONDS


@router.post(
    "/v1/operations/{id}/apply",
    status_code=202,
    operation_id="applyOperation",
    summary="Run a plan",
    responses=openapi.answers(_ACCEPTED, *_REFUSALS),
    openapi_extra={"parameters": _OPERATION, "requestBody": openapi.body_of(ControlBody, {})},
)
async def apply(request: Request) -> Response:
    """Exactly this plan. An item that has changed since is skipped."""
    return await _steered(request, await admit(request, "write"), Control.APPLY, await read_json(request, ControlBody))


@router.post(
    "/v1/operations/{id}/pause",
    status_code=202,
    operation_id="pauseOperation",
    summary="Pause",
    responses=openapi.answers(_ACCEPTED, *_REFUSALS),
    openapi_extra={"parameters": _OPERATION, "requestBody": openapi.body_of(ControlBody, {})},
)
async def pause(request: Request) -> Response:
    """`want` says so at once; the state is `paused` when nothing is in flight any more."""
    return await _steered(request, await admit(request, "write"), Control.PAUSE, await read_json(request, ControlBody))


@router.post(
    "/v1/operations/{id}/resume",
    status_code=202,
    operation_id="resumeOperation",
    summary="Go on",
    responses=openapi.answers(_ACCEPTED, *_REFUSALS),
    openapi_extra={"parameters": _OPERATION, "requestBody": openapi.body_of(ControlBody, {})},
)
async def resume(request: Request) -> Response:
    """After a pause, where it stopped."""
    return await _steered(request, await admit(request, "write"), Control.RESUME, await read_json(request, ControlBody))


@router.post(
    "/v1/operations/{id}/cancel",
    status_code=202,
    operation_id="cancelOperation",
    summary="Cancel",
    responses=openapi.answers(_ACCEPTED, *_REFUSALS),
    openapi_extra={"parameters": _OPERATION, "requestBody": openapi.body_of(CancelBody, {"rollback": True})},
)
async def cancel(request: Request) -> Response:
    """What is done stays; with `rollback` it is put back, the newest first."""
    principal = await admit(request, "write")
    body = await read_json(request, CancelBody)
    return await _steered(request, principal, Control.ROLLBACK if body.rollback else Control.CANCEL, body)


@router.post(
    "/v1/operations/{id}/retry",
    status_code=202,
    operation_id="retryOperation",
    summary="Try again what failed",
    responses=openapi.answers(_ACCEPTED, *_REFUSALS),
    openapi_extra={"parameters": _OPERATION, "requestBody": openapi.body_of(RetryBody, {"items": [17]})},
)
async def retry(request: Request) -> Response:
    """All items that failed, or those in `items`."""
    principal = await admit(request, "write")
    body = await read_json(request, RetryBody)
    return await _steered(request, principal, Control.RETRY, body, body.items)


@router.post(
    "/v1/operations/{id}/undo",
    status_code=202,
    operation_id="undoOperation",
    summary="Undo",
    responses=openapi.answers({202: ("The operation that puts it back", Operation)}, *_REFUSALS),
    openapi_extra={"parameters": _OPERATION, "requestBody": openapi.body_of(UndoBody, {"planOnly": True})},
)
async def undo(request: Request) -> Response:
    """A new operation that puts back what this one has done, newest first. What was changed since is left, and listed. An
    undo can be undone."""
    principal = await admit(request, "write")
    front, id = front_of(request), _id(request)
    body = await read_json(request, UndoBody)
    key = read_key(request.headers, body.idempotency_key)
    async with front.services.pool.connection() as connection, connection.transaction():
        original = await make.locked(connection, id, principal.tenant)
        known = await store.of_key(connection, principal.tenant, principal.name, key) if key else None
        if known is None:
            operation = make.undo_of(principal, original, plan_only=body.plan_only)
        else:
            operation = await make.locked(connection, known[0], principal.tenant)
        made, new = await make.create(connection, operation, key, {"undo": id, "planOnly": body.plan_only})
        shown = await _document(connection, made, principal)
    if new:
        front.services.drive(operation.mount_id, made, 1, True)
    return _answer(shown, 202)


@router.patch(
    "/v1/operations/{id}",
    operation_id="limitOperation",
    summary="Change the limits",
    responses=openapi.answers({200: ("As it stands now", Operation)}, *_REFUSALS),
    openapi_extra={"parameters": _OPERATION, "requestBody": _LIMITS},
)
async def limit(request: Request) -> Response:
    """Of an operation that has not ended. Only the options that are sent change; null takes a limit away."""
    principal = await admit(request, "write")
    front, id = front_of(request), _id(request)
    told = (await read_json(request, LimitsChange)).options
    changes: dict[str, Any] = {name: getattr(told, name) for name in told.model_fields_set}
    if changes.get("concurrency", 1) is None:
        del changes["concurrency"]
    async with front.services.pool.connection() as connection, connection.transaction():
        operation = await make.locked(connection, id, principal.tenant)
        if operation.state.ended:
            raise refused(operation, Control.LIMIT)
        await store.change_limits(connection, id, replace(operation.options, **changes))
        shown = await _document(connection, id, principal)
    front.services.drive(operation.mount_id, id, operation.turn, operation.state is OperationState.PLANNING)
    return _answer(shown, 200)


async def _steered(
    request: Request, principal: Principal, control: Control, body: ControlBody, chosen: list[int] | None = None
) -> Response:
    """What is asked for stands in the row before it is answered; the same key again is answered alike."""
    front, id = front_of(request), _id(request)
    key = read_key(request.headers, body.idempotency_key)
    async with front.services.pool.connection() as connection, connection.transaction():
        operation = await make.locked(connection, id, principal.tenant)
        steered: Steered | None = None
        if not await _heard_before(connection, id, key, control):
            steered = steer(operation, control)
            await store.steer(connection, id, steered, chosen)
        shown = await _document(connection, id, principal)
    if steered is not None and steered.state.moves:
        front.services.drive(operation.mount_id, id, steered.turn, False)
    return _answer(shown, 202)


async def _heard_before(connection: Connection, id: str, key: str | None, control: Control) -> bool:
    """Raises IdempotencyConflict: under this key something else was asked for."""
    if key is None:
        return False
    before = await store.heard_of(connection, id, key, control)
    if before not in (None, control):
        raise IdempotencyConflict()
    return before is not None


def _id(request: Request) -> str:
    """Raises NotFound."""
    id: str = request.path_params["id"].lower()
    if not re.fullmatch(UUID, id):
        raise NotFound("There is no such operation.")
    return id


async def _document(connection: Connection, id: str, principal: Principal) -> dict[str, Any]:
    """Raises NotFound."""
    row = await store.document(connection, id, principal.tenant)
    if row is None:
        raise NotFound("There is no such operation.")
    return documents.document(row)


def _answer(shown: dict[str, Any], status: int) -> Response:
    answer = _json(shown)
    answer.status_code = status
    if status == 202:
        answer.headers["location"] = f"/v1/operations/{shown['id']}"
    return answer


def _json(value: object) -> Response:
    return Response(orjson.dumps({"data": value}), media_type=JSON)
