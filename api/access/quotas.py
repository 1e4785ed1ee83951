"""Quotas: how much there may be in a tenant, on a mount, below a path, by a principal; and how much there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access import acts
from api.access.acts import ActDetails
from api.access.admission import admit, check_everywhere
from api.access.approval_shapes import WAITS
from api.access.bodies import OfTenantQuery
from api.access.issuing import OPERATORS, tenant_of
from api.access.keyed import keep, keyed, made_before
from api.access.quota_bodies import NewQuotaBody, QuotaChanges, QuotasQuery
from api.access.quota_shapes import Quota, QuotaPage
from api.access.second_person import carries_out, second_person
from api.http import openapi
from api.http.body import read_json
from api.http.exports import exported
from api.http.fields import read_query
from api.http.ids import read_token_id
from api.http.responses import JSON
from api.http.routes import Plain
from api.services import Front, front_of
from schema import paths
from schema.access.acts import ActKind
from schema.access.approvals import ApprovalAct
from schema.access.quotas import Limit, QuotaScope
from schema.errors import Forbidden, InvalidRequest, NotFound
from schema.ids import MountId
from schema.paths import ROOT, NodePath
from schema.principals import Principal, authorise, readable
from schema.store import quotas as store
from schema.store.approvals import Matter
from schema.store.quotas import LockedQuota, NewQuota

if TYPE_CHECKING:
    from schema.store.connection import Connection

router = APIRouter(route_class=Plain, tags=["access"])

_PARAMETERS = [openapi.path_id("The quota"), *openapi.query_of(OfTenantQuery)]
_CREATE_REFUSALS = ("BACKEND_NOT_FOUND", "INVALID_PATH", "FORBIDDEN", "IDEMPOTENCY_CONFLICT")
_EXAMPLE = {"backendMountId": 1, "path": "scratch", "maxBytes": 10**12, "softBytes": 8 * 10**11}
_CHANGES = openapi.body_of(QuotaChanges, {"maxBytes": 2 * 10**12})


@router.post(
    "/v1/quotas",
    status_code=201,
    operation_id="createQuota",
    summary="Set a quota",
    responses=openapi.answers({201: ("The quota", Quota)}, *_CREATE_REFUSALS),
    openapi_extra=openapi.keyed(openapi.body_of(NewQuotaBody, _EXAMPLE)),
)
async def create(request: Request) -> Response:
    """For all of the tenant, a mount, what lies below a path, or what a principal has put there. It holds for what begins from the
    answer on, and counts what is there already, which may be more. What would pass `maxBytes` or `maxNodes` is refused as
    `QUOTA_EXCEEDED`; passing `softBytes` or `softNodes` is told by an event. With `trash` what the trash keeps counts, too. The
    same request under the same key makes no other."""
    principal = await admit(request, "mounts")
    front, body = front_of(request), await read_json(request, NewQuotaBody)
    tenant, scope = tenant_of(principal, body.tenant), _scope(body)
    await _authorise(front, principal, tenant, scope)
    limits = Limit(body.max_bytes, body.max_nodes), Limit(body.soft_bytes, body.soft_nodes)
    _check_limits(*limits)
    new = NewQuota(
        tenant=tenant, scope=scope, most=limits[0], soft=limits[1], trash=body.trash, operators=tenant != principal.tenant,
        by=principal.name,
    )  # fmt: skip
    asked = keyed(request, principal, body)
    async with front.services.pool.connection() as connection, connection.transaction():
        if (known := await made_before(connection, asked)) is not None:
            return _answer(await _shown(connection, principal, tenant, int(known)), 201)
        id = await store.create(connection, new)
        await keep(connection, asked, id)
        shown = await _shown(connection, principal, tenant, id)
        details = ActDetails(after=_told(shown))
        await acts.record(
            connection, request, principal, ActKind.CREATE_QUOTA, details, tenant=tenant, mount=scope.mount
        )
    return _answer(shown, 201)


@router.get(
    "/v1/quotas",
    operation_id="listQuotas",
    summary="The quotas",
    responses=openapi.listed("A page of quotas", QuotaPage, "BACKEND_NOT_FOUND", "FORBIDDEN"),
    openapi_extra={"parameters": openapi.list_of(QuotasQuery)},
)
@exported("quotas", Quota, 100)
async def listed(request: Request) -> Response:
    """The newest first, each with how much there is now. A page can be short where the token may not read all places: go on until
    `nextCursor` is null."""
    principal = await admit(request, "read")
    front, query = front_of(request), read_query(QuotasQuery, request.query_params)
    tenant = tenant_of(principal, query.tenant)
    mount = None if query.backend_mount_id is None else MountId(query.backend_mount_id)
    if mount is not None:
        await front.mounts.get(mount, tenant)
        if tenant == principal.tenant:
            authorise(principal, "read", mount)
    async with front.services.pool.connection() as connection:
        page = await store.listed(connection, tenant, mount=mount, before=query.cursor, limit=query.limit + 1)
    rows = page[: query.limit]
    following = str(rows[-1]["id"]) if len(page) > query.limit else None
    shown = [_document(row) for row in rows if _seen(principal, row)]
    return _answer({"quotas": shown, "pagination": {"limit": query.limit, "nextCursor": following}}, 200)


@router.get(
    "/v1/quotas/{id}",
    operation_id="getQuota",
    summary="A quota",
    responses=openapi.answers({200: ("The quota", Quota)}, "NOT_FOUND"),
    openapi_extra={"parameters": _PARAMETERS},
)
async def show(request: Request) -> Response:
    """How much it allows, how much there is, how much running commands have reserved, and the most that was seen."""
    principal = await admit(request, "read")
    tenant = tenant_of(principal, read_query(OfTenantQuery, request.query_params).tenant)
    async with front_of(request).services.pool.connection() as connection:
        return _answer(await _shown(connection, principal, tenant, read_token_id(request)), 200)


@router.patch(
    "/v1/quotas/{id}",
    operation_id="updateQuota",
    summary="Change a quota",
    responses=openapi.answers({200: ("As it is now", Quota), 202: WAITS}, "NOT_FOUND", "FORBIDDEN"),
    openapi_extra={"parameters": _PARAMETERS, "requestBody": _CHANGES},
)
async def change(request: Request) -> Response:
    """Only the fields that are sent change; null takes a limit away. What it is about stays. A limit below what there is takes
    nothing away: nothing more comes until there is less."""
    principal = await admit(request, "mounts")
    front, id, body = front_of(request), read_token_id(request), await read_json(request, QuotaChanges)
    tenant = tenant_of(principal, read_query(OfTenantQuery, request.query_params).tenant)
    async with front.services.pool.connection() as connection, connection.transaction():
        found = await _changeable(front, connection, principal, tenant, id)
        before = await _shown(connection, principal, tenant, id)
        most, soft = _changed(found, body)
        _check_limits(most, soft)
        if carries_out(request) or raises(found.most, most):
            matter = _matter(found, before)
            await second_person(connection, request, principal, ApprovalAct.RAISE_QUOTA, matter, body)
        await store.change(connection, id, most, soft)
        shown = await _shown(connection, principal, tenant, id)
        details = ActDetails(before=_told(before), after=_told(shown))
        await acts.record(
            connection, request, principal, ActKind.UPDATE_QUOTA, details, tenant=tenant, mount=found.scope.mount
        )
    return _answer(shown, 200)


@router.delete(
    "/v1/quotas/{id}",
    operation_id="removeQuota",
    summary="Take a quota away",
    responses=openapi.answers({200: ("As it was", Quota), 202: WAITS}, "NOT_FOUND", "FORBIDDEN"),
    openapi_extra={"parameters": _PARAMETERS},
)
async def remove(request: Request) -> Response:
    """From the answer on it refuses nothing."""
    principal = await admit(request, "mounts")
    front, id = front_of(request), read_token_id(request)
    tenant = tenant_of(principal, read_query(OfTenantQuery, request.query_params).tenant)
    async with front.services.pool.connection() as connection, connection.transaction():
        found = await _changeable(front, connection, principal, tenant, id)
        shown = await _shown(connection, principal, tenant, id)
        await second_person(connection, request, principal, ApprovalAct.RAISE_QUOTA, _matter(found, shown))
        await store.remove(connection, id)
        details = ActDetails(before=_told(shown))
        await acts.record(
            connection, request, principal, ActKind.REMOVE_QUOTA, details, tenant=tenant, mount=found.scope.mount
        )
    return _answer(shown, 200)


def raises(was: Limit, now: Limit) -> bool:
    """Whether more may be there than before."""
    pairs = ((was.bytes, now.bytes), (was.nodes, now.nodes))
    return any(old is not None and (new is None or new > old) for old, new in pairs)


def _matter(found: LockedQuota, shown: Mapping[str, Any]) -> Matter:
    return Matter(
        subject=f"quota/{found.id}",
        version=str(found.version),
        shown=shown,
        mount=found.scope.mount,
        path=found.scope.path,
    )


def _scope(body: NewQuotaBody) -> QuotaScope:
    """Raises InvalidRequest, InvalidPath."""
    mount = None if body.backend_mount_id is None else MountId(body.backend_mount_id)
    path: NodePath | None = None
    if body.path is not None or body.path_b64 is not None:
        path = paths.decode(body.path, body.path_b64, allow_root=True)
    if path == ROOT:
        path = None
    if path is not None and (mount is None or body.principal is not None):
        raise InvalidRequest("A quota of a path names its backendMountId, and no principal.", field="path")
    return QuotaScope(mount, path, body.principal)


async def _authorise(front: Front, principal: Principal, tenant: str, scope: QuotaScope) -> None:
    """Raises BackendNotFound, NodeNotFound, Forbidden."""
    if scope.mount is not None:
        await front.mounts.get(scope.mount, tenant)
    if tenant != principal.tenant:
        return  # an operator
    if scope.mount is None:
        check_everywhere(principal, "mounts")
    else:
        authorise(principal, "mounts", scope.mount, scope.path or ROOT)


def _check_limits(most: Limit, soft: Limit) -> None:
    if all(limit is None for limit in (*most, *soft)):
        raise InvalidRequest(
            "A quota limits something: send maxBytes, maxNodes, softBytes or softNodes.", field="maxBytes"
        )


def _changed(found: LockedQuota, body: QuotaChanges) -> tuple[Limit, Limit]:
    sent = body.model_fields_set

    def of(name: str, now: int | None) -> int | None:
        return getattr(body, name) if name in sent else now

    return (
        Limit(of("max_bytes", found.most.bytes), of("max_nodes", found.most.nodes)),
        Limit(of("soft_bytes", found.soft.bytes), of("soft_nodes", found.soft.nodes)),
    )


async def _changeable(front: Front, connection: Connection, principal: Principal, tenant: str, id: int) -> LockedQuota:
    """Raises NotFound, Forbidden."""
    found = await store.lock(connection, id, tenant)
    if found is None or not _visible(principal, found.tenant, found.scope):
        raise NotFound("There is no such quota.")
    await _authorise(front, principal, tenant, found.scope)
    if found.operators and principal.tenant != OPERATORS:
        raise Forbidden(f"Administrators of the tenant {OPERATORS!r} have set this quota. Ask them.", quotaId=id)
    return found


def _seen(principal: Principal, row: Mapping[str, Any]) -> bool:
    path = None if row["path"] is None else NodePath(bytes(row["path"]))
    mount = None if row["mount_id"] is None else MountId(row["mount_id"])
    return _visible(principal, row["tenant"], QuotaScope(mount, path, row["principal"]))


def _visible(principal: Principal, tenant: str, scope: QuotaScope) -> bool:
    """What is about all of the tenant is shown to tokens that may read all of it, and to the principal that it is about."""
    if tenant != principal.tenant:
        return True  # an operator: tenant_of has said so
    if scope.mount is not None:
        return readable(principal, scope.mount, scope.path)
    return scope.principal == principal.name or principal.access.everywhere("read")


async def _shown(connection: Connection, principal: Principal, tenant: str, id: int) -> dict[str, Any]:
    """Raises NotFound."""
    found = await store.listed(connection, tenant, only=id)
    if not found or not _seen(principal, found[0]):
        raise NotFound("There is no such quota.")
    return _document(found[0])


def _document(row: Mapping[str, Any]) -> dict[str, Any]:
    path = None if row["path"] is None else NodePath(bytes(row["path"]))
    exact = {} if path is None or path.b64 is None else {"pathB64": path.b64}
    return {
        "id": row["id"], "tenant": row["tenant"], "backendMountId": row["mount_id"],
        "path": None if path is None else path.text, **exact, "principal": row["principal"],
        "maxBytes": row["max_bytes"], "maxNodes": row["max_nodes"], "softBytes": row["soft_bytes"],
        "softNodes": row["soft_nodes"], "trash": row["trash"], "usedBytes": row["bytes"], "usedNodes": row["nodes"],
        "reservedBytes": row["reserved_bytes"], "reservedNodes": row["reserved_nodes"],
        "peakBytes": row["peak_bytes"], "peakNodes": row["peak_nodes"], "softSince": row["soft_since"],
        "version": row["version"], "createdBy": row["created_by"], "createdAt": row["created_at"],
        "updatedAt": row["updated_at"],
    }  # fmt: skip


def _told(shown: Mapping[str, Any]) -> dict[str, Any]:
    """For the journal: as JSON has it."""
    found: dict[str, Any] = orjson.loads(orjson.dumps(shown))
    return found


def _answer(shown: object, status: int) -> Response:
    return Response(orjson.dumps({"data": shown}), status, media_type=JSON)
