"""Approvals: what waits for a yes, and saying it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from api.access import acts
from api.access.acts import ActDetails
from api.access.admission import admit
from api.access.approval_shapes import Approval, ApprovalPage, StateName, document
from api.access.keyed import keyed, made_before
from api.http import openapi
from api.http.body import read_json
from api.http.exports import exported
from api.http.fields import Id, JsonBody, Query, Short, read_query
from api.http.ids import read_token_id
from api.http.responses import JSON
from api.http.routes import Plain
from api.services import Front, front_of
from schema.access.acts import ActKind
from schema.access.approvals import ApprovalState
from schema.errors import Forbidden, NotFound, Unavailable, from_code
from schema.faults import areach
from schema.principals import Principal
from schema.store import approvals as store
from schema.store.approvals import LockedApproval
from workflows.access.start import carry_out_approval, wait_for_approval

if TYPE_CHECKING:
    from schema.store.connection import Connection

router = APIRouter(route_class=Plain, tags=["access"])


class ApprovalAnswer(JsonBody):
    reason: Short | None = None


class ApprovalsQuery(Query):
    state: StateName | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 25
    cursor: Id | None = None


_PARAMETERS = [openapi.path_id("The approval")]
_BODY = openapi.body_of(ApprovalAnswer, {"reason": "Agreed in the meeting of Monday."})
_REFUSALS = ("NOT_FOUND", "FORBIDDEN", "WRONG_STATE", "IDEMPOTENCY_CONFLICT")
_ANSWER_SECONDS = 10.0
"""So long the last yes waits for what it has started"""


@router.get(
    "/v1/approvals",
    operation_id="listApprovals",
    summary="What waits for a yes",
    responses=openapi.listed("A page of approvals", ApprovalPage),
    openapi_extra={"parameters": openapi.list_of(ApprovalsQuery)},
)
@exported("approvals", Approval, 100)
async def listed(request: Request) -> Response:
    """The newest first: those that the principal has asked for, or may answer; all of the tenant for those that may read its
    audit. A page can be short: go on until `nextCursor` is null."""
    principal = await admit(request, "read")
    query = read_query(ApprovalsQuery, request.query_params)
    async with front_of(request).services.pool.connection() as connection:
        page = await store.listed(
            connection, principal.tenant, before=query.cursor, state=query.state, limit=query.limit + 1
        )
    rows = page[: query.limit]
    following = str(rows[-1]["id"]) if len(page) > query.limit else None
    shown = [document(row) for row in rows if _concerns(principal, row)]
    return _data({"approvals": shown, "pagination": {"limit": query.limit, "nextCursor": following}})


@router.get(
    "/v1/approvals/{id}",
    operation_id="getApproval",
    summary="An approval",
    responses=openapi.answers({200: ("The approval", Approval)}, "NOT_FOUND"),
    openapi_extra={"parameters": _PARAMETERS},
)
async def show(request: Request) -> Response:
    """What was asked for, by whom and why, in which state it was seen, who may say yes, who did, and what became of it."""
    principal = await admit(request, "read")
    async with front_of(request).services.pool.connection() as connection:
        return _data(await _shown(connection, principal, read_token_id(request)))


@router.post(
    "/v1/approvals/{id}/approve",
    operation_id="approve",
    summary="Say yes",
    responses=openapi.answers({200: ("As it is now", Approval)}, *_REFUSALS, "VERSION_CONFLICT"),
    openapi_extra=openapi.keyed(_BODY, *_PARAMETERS),
)
async def approve(request: Request) -> Response:
    """One of the group, and never the one that has asked, whatever token is used. After the last yes that is needed a workflow does
    what was asked for, once, with the rights that its requester has then; where the subject has changed since it was asked for,
    that is refused as `VERSION_CONFLICT` and nothing is done. A refusal that can pass leaves it approved, and it is tried again
    until its time is over. An answer that says `approved` came before the end: read it again."""
    principal = await admit(request, "read")
    front, id, body = front_of(request), read_token_id(request), await read_json(request, ApprovalAnswer)
    asked = keyed(request, principal, body)
    async with front.services.pool.connection() as connection, connection.transaction():
        found = await _votable(connection, principal, id)
        if await made_before(connection, asked) is not None:
            return _data(await _shown(connection, principal, id))
        found.standing.check_vote(principal.name, yes=True)
        await _check_token(connection, principal, found)
        await store.vote(connection, id, principal.name, principal.token_id, yes=True, reason=body.reason)
        enough = found.standing.enough(principal.name)
        if enough and found.standing.state is ApprovalState.WAITING:
            await store.become(connection, id, ApprovalState.APPROVED)
        await _record(connection, request, principal, ActKind.APPROVE, found, body.reason)
    try:
        if enough:
            await _carried_out(front, id)
    finally:
        _tell(front, id)
    async with front.services.pool.connection() as connection:
        return _data(await _shown(connection, principal, id))


@router.post(
    "/v1/approvals/{id}/reject",
    operation_id="reject",
    summary="Say no",
    responses=openapi.answers({200: ("As it is now", Approval)}, *_REFUSALS),
    openapi_extra=openapi.keyed(_BODY, *_PARAMETERS),
)
async def reject(request: Request) -> Response:
    """One no is enough: nothing is done. The one that has asked can take it back like this."""
    principal = await admit(request, "read")
    front, id, body = front_of(request), read_token_id(request), await read_json(request, ApprovalAnswer)
    asked = keyed(request, principal, body)
    async with front.services.pool.connection() as connection, connection.transaction():
        found = await _votable(connection, principal, id)
        if await made_before(connection, asked) is not None:
            return _data(await _shown(connection, principal, id))
        found.standing.check_vote(principal.name, yes=False)
        await store.vote(connection, id, principal.name, principal.token_id, yes=False, reason=body.reason)
        await store.become(connection, id, ApprovalState.REJECTED)
        await _record(connection, request, principal, ActKind.REJECT, found, body.reason)
        shown = await _shown(connection, principal, id)
    _tell(front, id)
    return _data(shown)


def _tell(front: Front, approval: int) -> None:
    """Somebody has answered: there are events, and what waits looks again."""
    front.services.announce()
    front.services.start(wait_for_approval, approval=approval)


async def _carried_out(front: Front, approval: int) -> None:
    """Raises what its route has refused it with. Where it takes long, or Temporal is away, the workflow goes on without this
    request."""
    await areach("approval.agreed")
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            done = await front.services.carry(carry_out_approval, approval=approval)
    except (TimeoutError, Unavailable):
        return
    if done.code is not None:
        raise from_code(done.code, done.message)


async def _check_token(connection: Connection, principal: Principal, found: LockedApproval) -> None:
    """Whoever makes tokens could say yes in the name of others. Raises Forbidden."""
    if await store.token_made_by(connection, principal.token_id) == found.standing.requester:
        raise Forbidden(
            f"{found.standing.requester!r} has asked for this, and has made your token. Use one that somebody else made."
        )


async def _record(
    connection: Connection, request: Request, principal: Principal, kind: ActKind, found: LockedApproval,
    reason: str | None,
) -> None:  # fmt: skip
    told = {"approvalId": found.id, "act": found.act, "requester": found.standing.requester, "reason": reason}
    await acts.record(connection, request, principal, kind, ActDetails(payload=told), mount=found.mount)


async def _votable(connection: Connection, principal: Principal, id: int) -> LockedApproval:
    """Raises NotFound."""
    await _shown(connection, principal, id)
    found = await store.lock(connection, id, principal.tenant)
    assert found is not None, "approvals stay"
    return found


def _concerns(principal: Principal, row: Mapping[str, Any]) -> bool:
    everybody = principal.access.everywhere("audit")
    return everybody or principal.name == row["requester"] or principal.name in row["approvers"]


async def _shown(connection: Connection, principal: Principal, id: int) -> dict[str, Any]:
    """Raises NotFound."""
    found = await store.listed(connection, principal.tenant, only=id)
    if not found or not _concerns(principal, found[0]):
        raise NotFound("There is no such approval.")
    return document(found[0])


def _data(shown: object) -> Response:
    return Response(orjson.dumps({"data": shown}), media_type=JSON)
