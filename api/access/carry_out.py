"""An approved act, done: what was asked for is sent through its route again, as its requester, whose rights are those of now.

The route says in its own transaction that the approval is done, so it is done once, however often this is tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import orjson
from fastapi import FastAPI
from starlette.types import Message

from activities.access.carry_out import CarriedOut
from api.access.admission import ACTS_AS
from api.access.second_person import PERMIT, Permit
from api.services import Front
from schema.access.approvals import ApprovalState
from schema.errors import BY_CODE, FilestoreError, Forbidden, from_code
from schema.principals import Principal
from schema.store import approvals as store
from schema.store import tokens
from schema.store.approvals import LockedApproval
from workflows.access.start import wait_for_approval

if TYPE_CHECKING:
    from schema.store.connection import Connection


async def carry_out(app: FastAPI, id: int) -> CarriedOut:
    """Where it is approved and its time is not over. A refusal that can pass leaves it approved, another one ends it."""
    front = cast(Front, app.state.front)
    async with front.services.pool.connection() as connection:
        found = await store.found(connection, id)
    if found is None:
        return CarriedOut("gone")
    if not found.standing.open:
        return CarriedOut(found.standing.state, found.code)
    refused = await _refusal(app, front, found)
    async with front.services.pool.connection() as connection, connection.transaction():
        state = await _state(connection, found, refused)
    front.services.announce()
    front.services.start(wait_for_approval, approval=id)
    if refused is None or state is ApprovalState.DONE:
        return CarriedOut(state)
    return CarriedOut(state, refused.code, refused.message)


async def _state(connection: Connection, found: LockedApproval, refused: FilestoreError | None) -> ApprovalState:
    """What has become of it: of two that do it at once, one is refused."""
    now = await store.lock(connection, found.id, found.tenant)
    assert now is not None, "approvals stay"
    if refused is None or not now.standing.open or _passes(refused):
        return now.standing.state
    await store.become(connection, found.id, ApprovalState.FAILED, refused.code)
    return ApprovalState.FAILED


def _passes(refused: FilestoreError) -> bool:
    return refused.code == "FORBIDDEN" or BY_CODE.get(refused.code, FilestoreError).retryable


async def _refusal(app: FastAPI, front: Front, found: LockedApproval) -> FilestoreError | None:
    try:
        answer = await _send(app, found, await _requester(front, found))
    except FilestoreError as refused:
        return refused
    return None if answer.code is None else from_code(answer.code, answer.message)


async def _requester(front: Front, approval: LockedApproval) -> Principal:
    """Raises Forbidden: its token does not hold any more."""
    name, token = approval.standing.requester, approval.token
    access = None
    if token:
        async with front.services.pool.connection() as connection:
            if (await tokens.standing(connection, [token])).get(token) is not None:
                access = await tokens.load_access(connection, token)
    if access is None or not token:
        raise Forbidden(
            f"The token with which {name!r} has asked for this does not hold any more. {name!r} can ask again and do it: "
            "your yes stays.",
        )  # fmt: skip
    return Principal(name, approval.tenant, token, access)


@dataclass(frozen=True, slots=True)
class _Answer:
    """Of the route."""

    status: int
    body: bytes

    @property
    def code(self) -> str | None:
        if self.status < 400:
            return None
        return self._of_error("code") or "INTERNAL_SERVER_ERROR"

    @property
    def message(self) -> str | None:
        return self._of_error("message")

    def _of_error(self, name: str) -> str | None:
        try:
            return str(orjson.loads(self.body)["error"][name])
        except (ValueError, KeyError, TypeError):
            return None


async def _send(app: FastAPI, approval: LockedApproval, requester: Principal) -> _Answer:
    asked = approval.request
    body = b"" if asked["body"] is None else orjson.dumps(asked["body"])
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": asked["method"], "scheme": "http",
        "path": asked["path"], "raw_path": asked["path"].encode(), "query_string": asked["query"].encode(), "root_path": "",
        "headers": [(b"content-type", b"application/json"), (b"accept", b"application/json")], "client": None, "server": None,
        "state": {}, ACTS_AS: requester, PERMIT: Permit(approval.id),
    }  # fmt: skip
    answered: list[Message] = []
    received = False

    async def receive() -> Message:
        nonlocal received
        if received:
            return {"type": "http.disconnect"}
        received = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        answered.append(message)

    await app(scope, receive, send)
    status = next(one["status"] for one in answered if one["type"] == "http.response.start")
    return _Answer(status, b"".join(one.get("body", b"") for one in answered))
