"""Approvals as clients read them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from api.http.shapes import EXACT_PATH, CursorPagination, JsonObject, Shape
from schema.paths import NodePath

StateName = Literal["waiting", "approved", "done", "rejected", "expired", "failed"]


class Vote(Shape):
    by: str
    yes: bool
    reason: str | None
    at: datetime


class Approval(Shape):
    """`version`: the state of the subject that was seen, and is agreed to. `subject`: as it was then."""

    id: int
    tenant: str
    act: str
    subject: JsonObject
    version: str
    backend_mount_id: int | None
    path: str | None
    path_b64: str = EXACT_PATH
    reason: str
    requester: str
    approvers: list[str]
    needed: int
    votes: list[Vote]
    state: StateName
    code: str | None
    created_at: datetime
    expires_at: datetime
    reminded_at: datetime | None
    ended_at: datetime | None


class WaitingAct(Shape):
    approval: Approval


WAITS = "A policy has it wait for other people; nothing is done yet", WaitingAct
"""The answer 202 of what one of several people asks for"""


class ApprovalPage(Shape):
    approvals: list[Approval]
    pagination: CursorPagination


def document(row: Mapping[str, Any]) -> dict[str, Any]:
    path = None if row["path"] is None else NodePath(bytes(row["path"]))
    exact = {} if path is None or path.b64 is None else {"pathB64": path.b64}
    return {
        "id": row["id"], "tenant": row["tenant"], "act": row["act"], "subject": row["shown"], "version": row["version"],
        "backendMountId": row["mount_id"], "path": None if path is None else path.text, **exact, "reason": row["reason"],
        "requester": row["requester"], "approvers": row["approvers"], "needed": row["needed"], "votes": row["votes"],
        "state": row["state"], "code": row["code"], "createdAt": row["created_at"], "expiresAt": row["expires_at"],
        "remindedAt": row["reminded_at"], "endedAt": row["ended_at"],
    }  # fmt: skip
