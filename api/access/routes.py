"""Tokens: make one, look at them, change what one may do, rotate and revoke it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access import acts, issuing
from api.access.admission import admit
from api.access.bodies import NewTokenBody, OfTenantQuery, RotationBody, TokenChanges, TokensQuery
from api.access.keyed import keep, keyed, made_before
from api.access.shapes import IssuedToken, Token, TokenPage
from api.http import openapi, responses
from api.http.body import read_json
from api.http.exports import exported
from api.http.fields import read_query
from api.http.ids import read_token_id
from api.http.routes import Plain
from api.services import front_of
from schema.access.acts import ActKind
from schema.errors import InvalidRequest, NotFound, WrongState
from schema.principals import Principal, TokenLimits
from schema.store import tokens
from schema.store.request_keys import KeyedRequest
from schema.store.tokens import NewToken

if TYPE_CHECKING:
    from schema.store.connection import Connection

router = APIRouter(route_class=Plain, tags=["access"])

_PARAMETERS = [openapi.path_id("The token"), *openapi.query_of(OfTenantQuery)]
_REFUSALS = ("NOT_FOUND", "FORBIDDEN", "PAYLOAD_TOO_LARGE")
_KEYED = ("WRONG_STATE", "IDEMPOTENCY_CONFLICT", *_REFUSALS)
_CHANGES = openapi.body_of(TokenChanges, {"description": "reports, read only"})
_EXAMPLE: dict[str, Any] = {
    "principal": "reports",
    "scopes": ["filestore:read"],
    "grants": [{"backendMountId": 1, "pattern": "reports", "effect": "allow", "scopes": ["filestore:write"]}],
}


@router.post(
    "/v1/tokens",
    status_code=201,
    operation_id="createToken",
    summary="Make a token",
    responses=openapi.answers({201: ("The token, shown this once", IssuedToken)}, "BACKEND_NOT_FOUND", *_KEYED),
    openapi_extra=openapi.keyed(openapi.body_of(NewTokenBody, _EXAMPLE)),
)
async def create(request: Request) -> Response:
    """With no grant that allows something its scopes hold on every mount of the tenant; with one, each grant says what holds at its
    place. It can be given nothing that the asker may not do. Only its SHA-256 is kept: what the answer shows can not be shown
    again. The same request under the same key is answered with the same token, whose secret is another one then."""
    principal = await admit(request, "tokens")
    front, body = front_of(request), await read_json(request, NewTokenBody)
    tenant, grants = issuing.tenant_of(principal, body.tenant), issuing.grants_of(body.grants)
    issuing.check_giving(principal, body.scopes, grants)
    _refuse_past(body.expires_at)
    new = NewToken(
        principal=body.principal, scopes=body.scopes, tenant=tenant, grants=grants, description=body.description,
        expires_at=body.expires_at, limits=TokenLimits(body.requests_per_second, body.uploads_max), created_by=principal.name,
    )  # fmt: skip
    async with front.services.pool.connection() as connection, connection.transaction():
        await issuing.check_tenant(connection, tenant)
        await issuing.check_mounts(connection, tenant, grants)
        asked = keyed(request, principal, body)
        known = await made_before(connection, asked)
        if known is not None:
            return await _again(connection, request, principal, tenant, asked, known, 201)
        id, token = await tokens.issue(connection, new)
        await keep(connection, asked, _made(id, token))
        shown = await _document(connection, id, tenant)
        await acts.record(
            connection,
            request,
            principal,
            ActKind.CREATE_TOKEN,
            acts.ActDetails(after=json.loads(shown)),
            tenant=tenant,
        )
    return _issued(shown, token, 201)


@router.get(
    "/v1/tokens",
    operation_id="listTokens",
    summary="The tokens",
    responses=openapi.listed("A page of tokens", TokenPage),
    openapi_extra={"parameters": openapi.list_of(TokensQuery)},
)
@exported("tokens", Token, 100)
async def listed(request: Request) -> Response:
    """The newest first, and never a token itself."""
    principal = await admit(request, "tokens")
    query = read_query(TokensQuery, request.query_params)
    tenant = issuing.tenant_of(principal, query.tenant)
    async with front_of(request).services.pool.connection() as connection:
        page = await tokens.listed(
            connection,
            tenant,
            before=query.cursor,
            principal=query.principal,
            revoked=query.revoked,
            limit=query.limit + 1,
        )
    shown = page[: query.limit]
    following = f'"{shown[-1][0]}"' if len(page) > query.limit else "null"
    items = ",".join(document for _, document in shown)
    return responses.data(f'{{"tokens":[{items}],"pagination":{{"limit":{query.limit},"nextCursor":{following}}}}}')


@router.get(
    "/v1/tokens/{id}",
    operation_id="getToken",
    summary="A token",
    responses=openapi.answers({200: ("The token", Token)}, "NOT_FOUND"),
    openapi_extra={"parameters": _PARAMETERS},
)
async def show(request: Request) -> Response:
    """What it may do, until when, and when it was last used."""
    principal = await admit(request, "tokens")
    tenant = issuing.tenant_of(principal, read_query(OfTenantQuery, request.query_params).tenant)
    async with front_of(request).services.pool.connection() as connection:
        return responses.data(await _document(connection, read_token_id(request), tenant))


@router.patch(
    "/v1/tokens/{id}",
    operation_id="updateToken",
    summary="Change what a token may do",
    responses=openapi.answers({200: ("As it is now", Token)}, "BACKEND_NOT_FOUND", *_REFUSALS),
    openapi_extra={"parameters": _PARAMETERS, "requestBody": _CHANGES},
)
async def change(request: Request) -> Response:
    """Only the fields that are sent change; grants are replaced as a whole. It holds in every process within a second."""
    principal = await admit(request, "tokens")
    tenant = issuing.tenant_of(principal, read_query(OfTenantQuery, request.query_params).tenant)
    id, body = read_token_id(request), await read_json(request, TokenChanges)
    changes = body.model_dump(mode="json", include=body.model_fields_set - {"grants"})
    if "scopes" in changes and body.scopes is None:
        raise InvalidRequest(
            "A token has scopes. Send an empty list for none.", fields=[{"field": "scopes", "message": "null"}]
        )
    _refuse_past(body.expires_at)
    grants = issuing.grants_of(body.grants or []) if "grants" in body.model_fields_set else None
    async with front_of(request).services.pool.connection() as connection, connection.transaction():
        found = await issuing.changeable(connection, principal, id, tenant)
        issuing.check_giving(principal, body.scopes or [], grants or [])
        await issuing.check_mounts(connection, tenant, grants or [])
        before = json.loads(await _document(connection, found.id, tenant))
        await tokens.change(connection, id, changes, grants)
        shown = await _document(connection, id, tenant)
        await acts.record(
            connection,
            request,
            principal,
            ActKind.UPDATE_TOKEN,
            acts.ActDetails(before=before, after=json.loads(shown)),
            tenant=tenant,
        )
    return responses.data(shown)


@router.post(
    "/v1/tokens/{id}/rotate",
    operation_id="rotateToken",
    summary="Give a token another secret",
    responses=openapi.answers({200: ("The new token, shown this once", IssuedToken)}, *_KEYED),
    openapi_extra=openapi.keyed(openapi.body_of(RotationBody, {"graceSeconds": 3600}), *_PARAMETERS),
)
async def rotate(request: Request) -> Response:
    """It stays the same token, with its id, its grants and its place in the journal. The old secret holds for `graceSeconds` more,
    so that programs can be changed one by one; the one before that ends now. The same request under the same key is this rotation:
    the answer has another new secret then, and the old one holds as long as the first answer said."""
    principal = await admit(request, "tokens")
    tenant = issuing.tenant_of(principal, read_query(OfTenantQuery, request.query_params).tenant)
    id, body = read_token_id(request), await read_json(request, RotationBody)
    async with front_of(request).services.pool.connection() as connection, connection.transaction():
        found = await issuing.changeable(connection, principal, id, tenant)
        asked = keyed(request, principal, body)
        if (known := await made_before(connection, asked)) is not None:
            return await _again(connection, request, principal, tenant, asked, known, 200)
        token = await tokens.rotate(connection, found.id, body.grace_seconds)
        if token is None:
            raise WrongState("The token is revoked. Make a new one.", state="revoked")
        await keep(connection, asked, _made(id, token))
        shown = await _document(connection, id, tenant)
        await acts.record(
            connection,
            request,
            principal,
            ActKind.ROTATE_TOKEN,
            acts.ActDetails(after=json.loads(shown)),
            tenant=tenant,
        )
    return _issued(shown, token, 200)


@router.post(
    "/v1/tokens/{id}/revoke",
    operation_id="revokeToken",
    summary="End a token",
    responses=openapi.answers({200: ("As it is now", Token)}, "NOT_FOUND"),
    openapi_extra={"parameters": _PARAMETERS},
)
async def revoke(request: Request) -> Response:
    """It holds nowhere any more within a second, and what it has waiting is refused. Revoking it again changes nothing."""
    principal = await admit(request, "tokens")
    tenant = issuing.tenant_of(principal, read_query(OfTenantQuery, request.query_params).tenant)
    id = read_token_id(request)
    async with front_of(request).services.pool.connection() as connection, connection.transaction():
        ended = await tokens.revoke(connection, id, tenant=tenant)
        shown = await _document(connection, id, tenant)
        if ended:
            await acts.record(
                connection,
                request,
                principal,
                ActKind.REVOKE_TOKEN,
                acts.ActDetails(after=json.loads(shown)),
                tenant=tenant,
            )
    return responses.data(shown)


async def _document(connection: Connection, id: int, tenant: str) -> str:
    """Raises NotFound."""
    found = await tokens.listed(connection, tenant, only=id)
    if not found:
        raise NotFound("There is no such token.")
    return found[0][1]


def _made(id: int, token: str) -> str:
    """What is kept under the key of a request."""
    return f"{id} {tokens.hint(token)}"


async def _again(
    connection: Connection, request: Request, principal: Principal, tenant: str, asked: KeyedRequest | None, made: str,
    status: int,
) -> Response:  # fmt: skip
    """Asked for under the same key: the answer with its secret was lost, and the secret is nowhere. It becomes another one, unless
    another one came since. Raises WrongState, NotFound."""
    id, lost = int(made.split()[0]), made.split()[1]
    token = await tokens.renew(connection, id, lost)
    if token is None:
        raise WrongState(
            "The token has another secret since, or is revoked. Rotate it under a fresh key, or make a new one."
        )
    await keep(connection, asked, _made(id, token))
    shown = await _document(connection, id, tenant)
    told = acts.ActDetails(after=json.loads(shown))
    await acts.record(connection, request, principal, ActKind.ROTATE_TOKEN, told, tenant=tenant)
    return _issued(shown, token, status)


def _issued(shown: str, token: str, status: int) -> Response:
    answer = responses.data(f'{shown[:-1]},"token":"{token}"}}', status)
    answer.headers["cache-control"] = "no-store"
    return answer


def _refuse_past(moment: datetime | None) -> None:
    if moment is not None and moment <= datetime.now(UTC):
        raise InvalidRequest("expiresAt lies in the past.", fields=[{"field": "expiresAt", "message": "in the past"}])
