"""Holds: what is at a path, and all below it, is not taken away until the hold ends, by administrators neither."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from api.access import acts
from api.access.acts import ActDetails
from api.access.admission import admit
from api.access.approval_shapes import WAITS
from api.access.keyed import keep, keyed, made_before
from api.access.second_person import second_person
from api.http import openapi, responses
from api.http.body import read_json
from api.http.exports import exported
from api.http.fields import Id, JsonBody, Moment, Query, Short, Text, read_query
from api.http.ids import read_token_id
from api.http.routes import Plain
from api.http.shapes import EXACT_PATH, CursorPagination, Shape
from api.services import front_of
from schema import paths
from schema.access.acts import ActKind
from schema.access.approvals import ApprovalAct
from schema.access.object_locks import LockState, check_lockable
from schema.errors import ContentHeld, InvalidRequest, NodeNotFound, NotFound, PathBusy, WrongState
from schema.ids import MountId, NodeId
from schema.mounts import Mount
from schema.paths import NodePath
from schema.principals import Principal, authorise, readable
from schema.store import begin, holds, nodes, object_locks
from schema.store.approvals import Matter
from schema.store.holds import HoldRow, LockedHold
from workflows.access.start import keep_object_locks

if TYPE_CHECKING:
    from schema.store.connection import Connection

router = APIRouter(route_class=Plain, tags=["access"])

Kind = Literal["legal", "retain", "protect"]


class NewHold(JsonBody):
    """On a path and all below it, or on a node."""

    backend_mount_id: Id
    path: Text | None = None
    path_b64: Text | None = Field(None, alias="pathB64")
    node_id: Id | None = None
    kind: Kind = "protect"
    reason: Annotated[Short, Field(min_length=1)]
    until: Moment | None = None
    object_lock: bool | None = None


class HoldChanges(JsonBody):
    until: Moment


class HoldsQuery(Query):
    backend_mount_id: Id | None = None
    ended: Annotated[bool, Field(description="Those that ended, too")] = False
    limit: Annotated[int, Field(ge=1, le=100)] = 25
    cursor: Id | None = None


class HoldLocks(Shape):
    """How far its objects are locked in the bucket. `objects`: versions that are."""

    state: LockState
    objects: int
    problem: str | None


class ContentHold(Shape):
    id: int
    backend_mount_id: int
    path: str
    path_b64: str = EXACT_PATH
    kind: Kind
    reason: str
    until: datetime | None
    by: str
    created_at: datetime
    released_by: str | None
    released_at: datetime | None
    in_force: bool
    object_lock: HoldLocks | None


class HoldPage(Shape):
    holds: list[ContentHold]
    pagination: CursorPagination


_PARAMETERS = [openapi.path_id("The hold")]
_CHANGES = openapi.body_of(HoldChanges, {"until": "2031-01-01T00:00:00Z"})
_CREATE_REFUSALS = ("IDEMPOTENCY_CONFLICT", "BACKEND_NOT_FOUND", "NODE_NOT_FOUND", "INVALID_PATH", "PATH_BUSY")
_EXAMPLE = {"backendMountId": 1, "path": "contracts", "kind": "legal", "reason": "case 2026/17"}


@router.post(
    "/v1/holds",
    status_code=201,
    operation_id="createHold",
    summary="Hold what is at a path",
    responses=openapi.answers({201: ("The hold", ContentHold)}, *_CREATE_REFUSALS),
    openapi_extra=openapi.keyed(openapi.body_of(NewHold, _EXAMPLE)),
)
async def create(request: Request) -> Response:
    """From the answer on nothing at the path or below it is deleted, overwritten or moved, by whatever command of whatever
    token: 423 `HELD`. New content may come. `legal` and `protect` end when they are released, or at `until`; `retain` ends at
    `until` and is not released before. While a command takes something away there: 409, try again. The same request under the same
    key makes no other."""
    principal = await admit(request, "mounts")
    front, body = front_of(request), await read_json(request, NewHold)
    mount = await front.mounts.get(MountId(body.backend_mount_id), principal.tenant)
    asked = keyed(request, principal, body)
    async with front.services.pool.connection() as connection, connection.transaction():
        path = await _path(connection, principal, mount.id, body)
        authorise(principal, "mounts", mount.id, path)
        if (known := await made_before(connection, asked)) is not None:
            return responses.data((await _row(connection, principal, int(known))).document, 201)
        _check_until(body)
        await begin.lock_mounts(connection, {mount.id})
        if await holds.taken_now(connection, mount.id, path):
            raise PathBusy("A command takes something away there. Try again when it has ended.")
        id = await holds.create(
            connection, principal.tenant, mount.id, path, body.kind, body.reason, body.until, principal.name
        )
        await keep(connection, asked, id)
        locks = await _locks(connection, mount, body)
        if locks:
            await object_locks.begin(connection, id)
        shown = (await _row(connection, principal, id)).document
        details = ActDetails(after=json.loads(shown))
        await acts.record(connection, request, principal, ActKind.CREATE_HOLD, details, mount=mount.id)
    if locks:
        front.services.start(keep_object_locks, mount=mount.id)
    return responses.data(shown, 201)


@router.get(
    "/v1/holds",
    operation_id="listHolds",
    summary="The holds",
    responses=openapi.listed("A page of holds", HoldPage, "BACKEND_NOT_FOUND"),
    openapi_extra={"parameters": openapi.list_of(HoldsQuery)},
)
@exported("holds", ContentHold, 100)
async def listed(request: Request) -> Response:
    """The newest first. A page can be short where the token may not read all places: go on until `nextCursor` is null."""
    principal = await admit(request, "read")
    front, query = front_of(request), read_query(HoldsQuery, request.query_params)
    mount = None if query.backend_mount_id is None else MountId(query.backend_mount_id)
    if mount is not None:
        await front.mounts.get(mount, principal.tenant)
        authorise(principal, "read", mount)
    async with front.services.pool.connection() as connection:
        page = await holds.listed(
            connection, principal.tenant, mount=mount, before=query.cursor, ended=query.ended, limit=query.limit + 1
        )
    shown = page[: query.limit]
    following = f'"{shown[-1].id}"' if len(page) > query.limit else "null"
    items = ",".join(one.document for one in shown if readable(principal, one.mount, one.path))
    return responses.data(f'{{"holds":[{items}],"pagination":{{"limit":{query.limit},"nextCursor":{following}}}}}')


@router.get(
    "/v1/holds/{id}",
    operation_id="getHold",
    summary="A hold",
    responses=openapi.answers({200: ("The hold", ContentHold)}, "NOT_FOUND"),
    openapi_extra={"parameters": _PARAMETERS},
)
async def show(request: Request) -> Response:
    """Also after its end."""
    principal = await admit(request, "read")
    async with front_of(request).services.pool.connection() as connection:
        return responses.data((await _row(connection, principal, read_token_id(request))).document)


@router.patch(
    "/v1/holds/{id}",
    operation_id="extendHold",
    summary="Hold for longer",
    responses=openapi.answers({200: ("As it is now", ContentHold)}, "NOT_FOUND", "WRONG_STATE"),
    openapi_extra={"parameters": _PARAMETERS, "requestBody": _CHANGES},
)
async def extend(request: Request) -> Response:
    """`until` can only become later."""
    principal = await admit(request, "mounts")
    id, body = read_token_id(request), await read_json(request, HoldChanges)
    async with front_of(request).services.pool.connection() as connection, connection.transaction():
        found = await _locked(connection, principal, id)
        if found.until is None or body.until <= found.until:
            raise InvalidRequest("A hold can only hold for longer. Send a later time.", field="until")
        await holds.extend(connection, id, body.until)
        if found.locked:
            await object_locks.begin(connection, id)
        shown = (await _row(connection, principal, id)).document
        details = ActDetails(after=json.loads(shown))
        await acts.record(connection, request, principal, ActKind.EXTEND_HOLD, details, mount=found.mount)
    return responses.data(shown)


@router.delete(
    "/v1/holds/{id}",
    operation_id="releaseHold",
    summary="Release a hold",
    responses=openapi.answers({200: ("As it is now", ContentHold), 202: WAITS}, "NOT_FOUND", "WRONG_STATE", "HELD"),
    openapi_extra={"parameters": _PARAMETERS},
)
async def release(request: Request) -> Response:
    """What it held can be taken away again, unless another one holds it. One that retains ends at its time alone."""
    principal = await admit(request, "mounts")
    id = read_token_id(request)
    async with front_of(request).services.pool.connection() as connection, connection.transaction():
        found = await _locked(connection, principal, id)
        if found.kind == "retain" and found.runs:
            raise ContentHeld(f"This hold retains until {found.until}, and is not released before. Wait until then.")
        seen = json.loads((await _row(connection, principal, id)).document)
        matter = Matter(
            subject=f"hold/{id}",
            version=f"{found.kind} until {found.until}",
            shown=seen,
            mount=found.mount,
            path=found.path,
        )
        await second_person(connection, request, principal, ApprovalAct.RELEASE_HOLD, matter)
        await holds.release(connection, id, principal.name)
        await object_locks.wake(connection, id)
        shown = (await _row(connection, principal, id)).document
        details = ActDetails(after=json.loads(shown))
        await acts.record(connection, request, principal, ActKind.RELEASE_HOLD, details, mount=found.mount)
    return responses.data(shown)


async def _locks(connection: Connection, mount: Mount, body: NewHold) -> bool:
    """Whether the objects are locked in the bucket as well. Raises NotSupported where they have to be, and the bucket would not
    keep them."""
    if body.object_lock is False:
        return False
    proof, _ = await object_locks.proof(connection, mount.id)
    if body.object_lock:
        check_lockable(proof, body.kind)
    return proof is not None and proof.enforces(body.kind)


async def _path(connection: Connection, principal: Principal, mount: MountId, body: NewHold) -> NodePath:
    """Raises NodeNotFound, InvalidPath, InvalidRequest."""
    by_path = body.path is not None or body.path_b64 is not None
    if by_path == (body.node_id is not None):
        raise InvalidRequest("Name what is held by path (or pathB64), or by nodeId.", field="path")
    if body.node_id is None:
        return paths.decode(body.path, body.path_b64, allow_root=True)
    found = await nodes.by_id(connection, NodeId(body.node_id), principal.tenant)
    if found is None or found.mount != mount or not readable(principal, mount, found.path):
        raise NodeNotFound(nodeId=body.node_id, backendMountId=mount)
    return found.path


def _check_until(body: NewHold) -> None:
    if body.kind == "retain" and body.until is None:
        raise InvalidRequest("A hold that retains needs `until`.", field="until")
    if body.until is not None and body.until <= datetime.now(UTC):
        raise InvalidRequest("`until` lies in the past.", field="until")


async def _locked(connection: Connection, principal: Principal, id: int) -> LockedHold:
    """Raises NotFound, Forbidden, WrongState."""
    found = await holds.lock(connection, id, principal.tenant)
    if found is None or not readable(principal, found.mount, found.path):
        raise NotFound("There is no such hold.")
    authorise(principal, "mounts", found.mount, found.path)
    if found.released or not found.runs:
        raise WrongState("The hold has ended.")
    return found


async def _row(connection: Connection, principal: Principal, id: int) -> HoldRow:
    """Raises NotFound."""
    found = await holds.listed(connection, principal.tenant, only=id)
    if not found or not readable(principal, found[0].mount, found[0].path):
        raise NotFound("There is no such hold.")
    return found[0]
