"""Freeze a mount, or all of a tenant: nothing is changed there until the freeze is lifted. Reads go on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access import acts
from api.access.admission import admit, check_everywhere
from api.freezes.bodies import FreezesQuery, NewFreezeBody
from api.freezes.shapes import FreezePage, FreezeShape
from api.http import openapi
from api.http.body import read_json
from api.http.exports import exported
from api.http.fields import read_query
from api.http.ids import read_freeze_id
from api.http.keys import read_key
from api.http.responses import JSON
from api.http.routes import Plain
from api.services import front_of
from schema.access.acts import ActKind
from schema.errors import Forbidden, IdempotencyConflict, InvalidRequest, NotFound, WrongState
from schema.ids import MountId, new_command_id
from schema.paths import ROOT
from schema.principals import Principal, authorise, readable
from schema.store import freezes as store
from schema.store.freezes import NewFreeze
from workflows.operations.start import drive

if TYPE_CHECKING:
    from schema.store.connection import Connection

router = APIRouter(route_class=Plain, tags=["freezes"])

_REFUSALS = ("BACKEND_NOT_FOUND", "FORBIDDEN", "IDEMPOTENCY_CONFLICT")
_OPERATORS = (
    "Operators have frozen all tenants. Only they lift it, on a host of the service: python -m workers.freeze lift ID."
)
_NAMES = openapi.headers("Idempotency-Key", "X-Correlation-Id")
_BODY = openapi.body_of(
    NewFreezeBody, {"scope": {"backendMountId": 1}, "reason": "The array is rebuilt.", "until": "2026-12-01T06:00:00Z"}
)


@router.post(
    "/v1/freeze",
    status_code=201,
    operation_id="freeze",
    summary="Freeze a mount, or all",
    responses=openapi.answers({201: ("The freeze", FreezeShape)}, *_REFUSALS),
    openapi_extra={"parameters": _NAMES, "requestBody": _BODY},
)
async def freeze(request: Request) -> Response:
    """From the answer on no change begins in the scope, in whatever process: it is refused as `FROZEN` with the reason, and
    operations wait. What has begun before ends: `inFlight` counts it. Reads go on. It holds across restarts, until it is lifted or
    `until` has come."""
    principal = await admit(request, "mounts")
    front, body = front_of(request), await read_json(request, NewFreezeBody)
    if body.until is not None and body.until <= datetime.now(UTC):
        raise InvalidRequest("The end lies in the past.", fields=[{"field": "until", "message": "in the past"}])
    mount = None if body.scope.backend_mount_id is None else MountId(body.scope.backend_mount_id)
    if mount is not None:
        await front.mounts.get(mount, principal.tenant)
    _authorise(principal, mount)
    key = read_key(request.headers, body.idempotency_key)
    new = NewFreeze(
        tenant=principal.tenant, principal=principal.name, mount=mount, reason=body.reason, until=body.until,
        key=key or str(new_command_id()),
    )  # fmt: skip
    async with front.services.pool.connection() as connection:
        async with connection.transaction():
            made = await store.create(connection, new)
            if made is None:
                raise IdempotencyConflict()
            if made[1]:
                told = acts.ActDetails(payload={"freezeId": made[0], "reason": body.reason})
                await acts.record(connection, request, principal, ActKind.FREEZE, told, mount=mount)
        shown = await _shown(connection, made[0], principal)
    front.mounts.forget()
    return _answer(shown, 201 if made[1] else 200)


@router.get(
    "/v1/freeze",
    operation_id="listFreezes",
    summary="The freezes",
    responses=openapi.listed("A page of freezes", FreezePage),
    openapi_extra={"parameters": openapi.list_of(FreezesQuery)},
)
@exported("freezes", FreezeShape, 100)
async def listed(request: Request) -> Response:
    """Those that hold, the newest first; with `past` all that ever were. A page can be short where the token may not read all
    mounts: go on until `nextCursor` is null."""
    principal = await admit(request, "read")
    query = read_query(FreezesQuery, request.query_params)
    async with front_of(request).services.pool.connection() as connection:
        rows = await store.listed(connection, principal.tenant, past=query.past, before=query.cursor, limit=query.limit)
    following = str(rows[-1]["id"]) if len(rows) == query.limit else None
    page = {"limit": query.limit, "nextCursor": following}
    shown = [_document(row) for row in rows if _seen(principal, row["mount_id"])]
    return _answer({"freezes": shown, "pagination": page}, 200)


@router.delete(
    "/v1/freeze/{id}",
    operation_id="liftFreeze",
    summary="Lift a freeze",
    responses=openapi.answers({200: ("The freeze", FreezeShape)}, "NOT_FOUND", "FORBIDDEN", "WRONG_STATE"),
    openapi_extra={"parameters": [openapi.path_id("The freeze"), *openapi.headers("X-Correlation-Id")]},
)
async def lift(request: Request) -> Response:
    """Changes are taken again, and the operations that waited go on."""
    principal = await admit(request, "mounts")
    front, id = front_of(request), read_freeze_id(request)
    async with front.services.pool.connection() as connection:
        async with connection.transaction():
            scope = (await _shown(connection, id, principal))["scope"]
            if "everywhere" in scope:
                raise Forbidden(_OPERATORS, freezeId=id)
            _authorise(principal, scope.get("backendMountId"))
            lifted = await store.lift(connection, id, principal.tenant, principal.name)
            if lifted is not None:
                told = acts.ActDetails(payload={"freezeId": id})
                await acts.record(connection, request, principal, ActKind.LIFT_FREEZE, told, mount=lifted[0])
        shown = await _shown(connection, id, principal)
        if lifted is None:
            raise WrongState("The freeze has ended before. GET /v1/freeze lists those that hold.", freezeId=id)
        waiting = await store.waiting(connection, lifted[1])
    front.mounts.forget()
    for mount, operation, turn in waiting:
        front.services.start(drive, mount=mount, id=operation, turn=turn, plans=False)
    return _answer(shown, 200)


def _authorise(principal: Principal, mount: MountId | None) -> None:
    """A freeze is about a whole mount, or about every mount. Raises BackendNotFound, NodeNotFound, Forbidden."""
    if mount is not None:
        authorise(principal, "mounts", mount, ROOT)
    else:
        check_everywhere(principal, "mounts")


def _seen(principal: Principal, mount: MountId | None) -> bool:
    return mount is None or readable(principal, mount)


async def _shown(connection: Connection, id: int, principal: Principal) -> dict[str, Any]:
    """Raises NotFound."""
    rows = await store.listed(connection, principal.tenant, past=True, before=None, limit=1, id=id)
    if not rows or not _seen(principal, rows[0]["mount_id"]):
        raise NotFound("There is no such freeze.")
    return _document(rows[0])


def _document(row: Mapping[str, Any]) -> dict[str, Any]:
    scope: dict[str, Any] = {"backendMountId": row["mount_id"]}
    if row["mount_id"] is None:
        scope = {"all": True} if row["tenant"] is not None else {"all": True, "everywhere": True}
    return {
        "id": row["id"], "scope": scope, "reason": row["reason"],
        "until": row["until"], "holds": row["holds"], "inFlight": row["in_flight"], "principal": row["principal"],
        "createdAt": row["created_at"], "liftedAt": row["lifted_at"], "liftedBy": row["lifted_by"],
    }  # fmt: skip


def _answer(shown: object, status: int) -> Response:
    return Response(orjson.dumps({"data": shown}), status, media_type=JSON)
