"""Tenants: the administrators of the first one make others, and suspend them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access import acts
from api.access.admission import admit
from api.access.approval_shapes import WAITS
from api.access.bodies import NewTenant, TenantFields, TenantsQuery
from api.access.issuing import tenant_of
from api.access.keyed import keyed, made_before
from api.access.second_person import carries_out, second_person
from api.access.shapes import Tenant, TenantPage
from api.http import openapi, responses
from api.http.body import read_json
from api.http.exports import exported
from api.http.fields import read_query
from api.http.routes import Plain
from api.services import front_of
from schema.access.acts import ActKind
from schema.access.approvals import ApprovalAct
from schema.errors import ChildrenExist, InvalidRequest, NotFound
from schema.principals import Principal
from schema.store import tenants
from schema.store.approvals import Matter

if TYPE_CHECKING:
    from schema.store.connection import Connection

router = APIRouter(route_class=Plain, tags=["access"])

_CHANGES = openapi.body_of(TenantFields, {"state": "suspended", "reads": True})
_PARAMETERS = [openapi.path_id("The tenant's name", "main") | {"schema": {"type": "string"}}]


@router.post(
    "/v1/tenants",
    status_code=201,
    operation_id="createTenant",
    summary="Make a tenant",
    responses=openapi.answers({201: ("The tenant", Tenant)}, "FORBIDDEN", "IDEMPOTENCY_CONFLICT", "PAYLOAD_TOO_LARGE"),
    openapi_extra=openapi.keyed(openapi.body_of(NewTenant, {"id": "research", "displayName": "Research"})),
)
async def create(request: Request) -> Response:
    """Mounts, tokens and all they do belong to a tenant, and do not exist for any other. Its first token is made with
    POST /v1/tokens and its name as `tenant`."""
    principal = await _operator(request)
    body = await read_json(request, NewTenant)
    asked = keyed(request, principal, body)
    async with front_of(request).services.pool.connection() as connection, connection.transaction():
        if await made_before(connection, asked) is not None:
            return responses.data(await _document(connection, body.id), 201)
        suspended = _suspended(body.state, body.reads)
        if not await tenants.create(connection, body.id, body.display_name, suspended, body.requests_per_second):
            raise InvalidRequest(
                f"There is, or was, a tenant {body.id!r}; the journal names it. Choose another name.",
                fields=[{"field": "id", "message": "taken"}],
            )
        shown = await _document(connection, body.id)
        await acts.record(
            connection, request, principal, ActKind.CREATE_TENANT, acts.ActDetails(after=json.loads(shown))
        )
    return responses.data(shown, 201)


@router.get(
    "/v1/tenants",
    operation_id="listTenants",
    summary="The tenants",
    responses=openapi.listed("A page of tenants", TenantPage, "FORBIDDEN"),
    openapi_extra={"parameters": openapi.list_of(TenantsQuery)},
)
@exported("tenants", Tenant, 100)
async def listed(request: Request) -> Response:
    """By name."""
    await _operator(request)
    query = read_query(TenantsQuery, request.query_params)
    async with front_of(request).services.pool.connection() as connection:
        page = await tenants.listed(connection, after=query.cursor, limit=query.limit + 1)
    shown = page[: query.limit]
    following = json.dumps(shown[-1][0]) if len(page) > query.limit else "null"
    items = ",".join(document for _, document in shown)
    return responses.data(f'{{"tenants":[{items}],"pagination":{{"limit":{query.limit},"nextCursor":{following}}}}}')


@router.get(
    "/v1/tenants/{id}",
    operation_id="getTenant",
    summary="A tenant",
    responses=openapi.answers({200: ("The tenant", Tenant)}, "NOT_FOUND", "FORBIDDEN"),
    openapi_extra={"parameters": _PARAMETERS},
)
async def show(request: Request) -> Response:
    """Its state, and how many mounts and tokens it has."""
    await _operator(request)
    async with front_of(request).services.pool.connection() as connection:
        return responses.data(await _document(connection, request.path_params["id"]))


@router.patch(
    "/v1/tenants/{id}",
    operation_id="updateTenant",
    summary="Suspend a tenant, or let it go on",
    responses=openapi.answers(
        {200: ("As it is now", Tenant), 202: WAITS}, "NOT_FOUND", "FORBIDDEN", "PAYLOAD_TOO_LARGE"
    ),
    openapi_extra={"parameters": _PARAMETERS, "requestBody": _CHANGES},
)
async def change(request: Request) -> Response:
    """Only the fields that are sent change. What a suspended tenant has under way ends; nothing new begins. With `reads` its tokens
    go on reading. It holds in every process within a second. The first tenant can not be suspended."""
    principal = await _operator(request)
    name, body = request.path_params["id"], await read_json(request, TenantFields)
    async with front_of(request).services.pool.connection() as connection, connection.transaction():
        before = json.loads(await _document(connection, name))
        if name == principal.tenant and body.state == "suspended":
            raise InvalidRequest("You would lock yourself out: this tenant looks after the others.")
        if carries_out(request) or (body.state == "suspended" and before["state"] != "suspended"):
            matter = Matter(subject=f"tenant/{name}", version=str(before["updatedAt"]), shown=before)
            await second_person(connection, request, principal, ApprovalAct.SUSPEND_TENANT, matter, body)
        await tenants.change(connection, name, _changes(body, before))
        shown = await _document(connection, name)
        await acts.record(
            connection,
            request,
            principal,
            ActKind.UPDATE_TENANT,
            acts.ActDetails(before=before, after=json.loads(shown)),
        )
    return responses.data(shown)


@router.delete(
    "/v1/tenants/{id}",
    status_code=204,
    operation_id="removeTenant",
    summary="Remove a tenant",
    responses=openapi.answers({202: WAITS, 204: "Removed"}, "NOT_FOUND", "FORBIDDEN", "CHILDREN_EXIST"),
    openapi_extra={"parameters": _PARAMETERS},
)
async def remove(request: Request) -> Response:
    """Refused while it owns anything: mounts, tokens that hold, projects, webhooks, quotas of its own, approvals that wait. The
    answer says what. What was done in it stays in the journal, and its name is not given to another one."""
    principal = await _operator(request)
    name = request.path_params["id"]
    async with front_of(request).services.pool.connection() as connection, connection.transaction():
        before = json.loads(await _document(connection, name))
        if name == principal.tenant:
            raise InvalidRequest("You would lock yourself out: this tenant looks after the others.")
        await tenants.lock(connection, name)
        if owned := await tenants.belongings(connection, name):
            told = ", ".join(f"{count} {kind}" for kind, count in owned.items())
            raise ChildrenExist(
                f"The tenant {name!r} owns {told}. Remove its mounts, projects, webhooks and quotas, revoke its tokens, and let "
                "its approvals end first; GET /v1/tenants/{id}/export keeps what is known of it.",
                tenant=name, owns=owned,
            )  # fmt: skip
        matter = Matter(subject=f"tenant/{name}", version=str(before["updatedAt"]), shown=before)
        await second_person(connection, request, principal, ApprovalAct.REMOVE_TENANT, matter)
        await tenants.remove(connection, name)
        await acts.record(connection, request, principal, ActKind.REMOVE_TENANT, acts.ActDetails(before=before))
    return Response(status_code=204)


async def _operator(request: Request) -> Principal:
    principal = await admit(request, "tokens")
    tenant_of(principal, "")
    return principal


def _changes(body: TenantFields, before: dict[str, Any]) -> dict[str, Any]:
    sent = body.model_fields_set
    state = body.state if "state" in sent else before["state"]
    reads = body.reads if "reads" in sent else before["reads"]
    named = {name: getattr(body, name) for name in ("display_name", "requests_per_second") if name in sent}
    return named | {"suspended": _suspended(state, reads)}


def _suspended(state: str, reads: bool) -> str | None:
    if state == "active":
        return None
    return "changes" if reads else "all"


async def _document(connection: Connection, name: str) -> str:
    """Raises NotFound."""
    found = await tenants.listed(connection, only=name)
    if not found:
        raise NotFound("There is no such tenant.")
    return found[0][1]
