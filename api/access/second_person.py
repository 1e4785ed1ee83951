"""Acts that wait for other people: asked for in the transaction that would do one, and done as they were asked for.

A route calls `second_person` when all else is checked, in its transaction. Without a policy it goes on. With one it goes on only
where enough people have said yes to this very thing in this very state; otherwise its transaction is taken back, what was asked
for is written down, and the answer is 202. After the last yes a workflow has the request sent through the same route again
(carry_out.py), as its requester, whose rights are looked at anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

import orjson
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from api.access import acts
from api.access.acts import ActDetails
from api.access.approval_policies import Policies
from api.access.approval_shapes import document
from api.http.errors import refusal
from api.http.responses import JSON
from api.services import front_of
from schema.access.acts import ActKind
from schema.access.approvals import ApprovalAct, ApprovalPolicy, ApprovalState
from schema.errors import InvalidRequest, VersionConflict, WrongState
from schema.principals import Principal
from schema.store import approvals as store
from schema.store.approvals import Matter, NewApproval
from workflows.access.start import wait_for_approval

if TYPE_CHECKING:
    from schema.store.connection import Connection

REASON = "x-filestore-reason"
_REASON_MAX = 1000
_QUERY = {"tenant", "forget"}
PERMIT = "filestore.permit"
"""In the scope of a request that the service sends to itself: the approval that it carries out"""


@dataclass(frozen=True, slots=True)
class Permit:
    """An approval that a request carries out."""

    id: int


class ApprovalNeeded(Exception):
    """Raised out of the transaction of a route: nothing of it stays."""

    def __init__(self, new: NewApproval, principal: Principal) -> None:
        super().__init__(new.act)
        self.new, self.principal = new, principal


def waits_for_others(request: Request, principal: Principal, act: ApprovalAct) -> bool:
    """Raises Unavailable."""
    return _policy(request, principal, act) is not None


def carries_out(request: Request) -> bool:
    """Whether it is sent for an approval. Then a route calls `second_person`, whatever the act has become: it is done once."""
    return PERMIT in request.scope


async def second_person(
    connection: Connection, request: Request, principal: Principal, act: ApprovalAct, matter: Matter,
    body: BaseModel | None = None,
) -> None:  # fmt: skip
    """`body`: as it was read, for when it is done. Raises ApprovalNeeded, VersionConflict, Forbidden, InvalidRequest,
    Unavailable."""
    permit = cast("Permit | None", request.scope.get(PERMIT))
    if permit is not None:
        return await _use(connection, permit, principal, act, matter)
    policy = _policy(request, principal, act)
    if policy is None:
        return
    waiting = await store.open_one(connection, principal.tenant, principal.name, act, matter)
    if waiting is not None and waiting[1] is ApprovalState.APPROVED:
        return await store.become(connection, waiting[0], ApprovalState.DONE)
    policy.check_group(principal.name)
    told = None if body is None else body.model_dump(mode="json", by_alias=True, exclude_unset=True)
    raise ApprovalNeeded(
        NewApproval(
            tenant=principal.tenant, act=act, matter=matter, reason=_reason(request), requester=principal.name,
            token=principal.token_id, policy=policy,
            request={
                "method": request.method, "path": request.url.path, "query": _query(request), "body": told,
            },
        ),
        principal,
    )  # fmt: skip


async def _use(connection: Connection, permit: Permit, principal: Principal, act: ApprovalAct, matter: Matter) -> None:
    """Raises VersionConflict: it is about another state of the thing than this."""
    found = await store.lock(connection, permit.id, principal.tenant)
    if found is None or found.standing.state is not ApprovalState.APPROVED or found.standing.over:
        raise WrongState("This was done before, or its time is over.")
    if (found.act, found.subject, found.version) != (act, matter.subject, matter.version):
        raise VersionConflict(
            "It is not any more what was agreed to: it has changed since it was asked for. Ask again."
        )
    await store.become(connection, permit.id, ApprovalState.DONE)


def _policy(request: Request, principal: Principal, act: ApprovalAct) -> ApprovalPolicy | None:
    policies = cast(Policies, request.app.state.approval_policies)
    return policies.policy(principal.tenant, act)


def _query(request: Request) -> str:
    """What these routes read of it. What else a client has put there may be a secret, and is kept nowhere."""
    return urlencode([(name, value) for name, value in request.query_params.multi_items() if name in _QUERY])


def _reason(request: Request) -> str:
    reason = request.headers.get(REASON, "").strip()
    if not reason or len(reason) > _REASON_MAX or not reason.isprintable():
        raise InvalidRequest(
            f"This waits for a yes of other people. Say why in the header X-Filestore-Reason (up to {_REASON_MAX} characters).",
            field=REASON,
        )
    return reason


def install(app: FastAPI, policies: Policies) -> None:
    app.state.approval_policies = policies

    async def needed(request: Request, error: Exception) -> Response:
        assert isinstance(error, ApprovalNeeded)
        new = error.new
        async with front_of(request).services.pool.connection() as connection, connection.transaction():
            id = await store.ask(connection, new)
            if id is None:
                waiting = await store.open_one(connection, new.tenant, new.requester, new.act, new.matter)
                if waiting is None:  # its time is over, and that was not noted yet
                    return refusal(request, WrongState("What you have asked for is over. Ask again in a moment."))
                id = waiting[0]
            row = (await store.listed(connection, new.tenant, only=id))[0]
            shown = document(row)
            details = ActDetails(payload={"approvalId": id, "act": new.act}, after=_told(shown))
            await acts.record(
                connection, request, error.principal, ActKind.REQUEST_APPROVAL, details, mount=new.matter.mount
            )
        front_of(request).services.announce()
        front_of(request).services.start(wait_for_approval, approval=id)
        return Response(orjson.dumps({"data": {"approval": shown}}), 202, media_type=JSON)

    app.add_exception_handler(ApprovalNeeded, needed)


def _told(shown: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(orjson.dumps(shown))
    return found
