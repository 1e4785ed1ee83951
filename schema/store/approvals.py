"""Read and write approvals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from schema.access.approvals import ApprovalAct, ApprovalPolicy, ApprovalStanding, ApprovalState
from schema.events import EventType
from schema.ids import MountId
from schema.paths import NodePath
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL = load("approvals")


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """What an act is about: which thing, in which state it was seen, and how clients read it."""

    subject: str
    version: str
    shown: Mapping[str, Any]
    mount: MountId | None = None
    path: NodePath | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewApproval:
    tenant: str
    act: ApprovalAct
    matter: Matter
    request: Mapping[str, Any]
    reason: str
    requester: str
    token: int
    policy: ApprovalPolicy


@dataclass(frozen=True, slots=True)
class LockedApproval:
    id: int
    tenant: str
    act: ApprovalAct
    subject: str
    version: str
    request: Mapping[str, Any]
    token: int | None
    standing: ApprovalStanding
    mount: MountId | None
    code: str | None = None
    """Why it has failed"""


async def ask(connection: Connection, new: NewApproval) -> int | None:
    """None: the same waits already."""
    matter = new.matter
    values = {
        "tenant": new.tenant, "act": new.act, "subject": matter.subject, "version": matter.version, "mount": matter.mount,
        "path": None if matter.path is None else matter.path.raw, "shown": orjson.dumps(matter.shown).decode(),
        "request": orjson.dumps(new.request).decode(), "reason": new.reason, "requester": new.requester, "token": new.token,
        "approvers": list(new.policy.group), "needed": new.policy.needed, "expires": new.policy.expires_seconds,
        "remind": new.policy.remind_seconds,
    }  # fmt: skip
    row = await (await connection.execute(SQL["ask"], values)).fetchone()
    if row is None:
        return None
    await tell(connection, row["id"], EventType.APPROVAL_REQUESTED, matter.path)
    return int(row["id"])


async def open_one(
    connection: Connection, tenant: str, requester: str, act: ApprovalAct, matter: Matter
) -> tuple[int, ApprovalState] | None:
    values = {
        "tenant": tenant, "requester": requester, "act": act, "subject": matter.subject, "version": matter.version,
    }  # fmt: skip
    row = await (await connection.execute(SQL["open"], values)).fetchone()
    return None if row is None else (row["id"], ApprovalState(row["state"]))


async def lock(connection: Connection, id: int, tenant: str) -> LockedApproval | None:
    row = await (await connection.execute(SQL["lock"], {"id": id, "tenant": tenant})).fetchone()
    if row is None:
        return None
    standing = ApprovalStanding(
        row["requester"], tuple(row["approvers"]), row["needed"], ApprovalState(row["state"]), row["over"], row["yes"]
    )
    return LockedApproval(
        row["id"], row["tenant"], ApprovalAct(row["act"]), row["subject"], row["version"], row["request"], row["token_id"],
        standing, None if row["mount_id"] is None else MountId(row["mount_id"]), row["code"],
    )  # fmt: skip


async def found(connection: Connection, id: int) -> LockedApproval | None:
    """Of whatever tenant it is; not held still."""
    row = await (await connection.execute(SQL["tenant"], {"id": id})).fetchone()
    return None if row is None else await lock(connection, id, row["tenant"])


async def agreed(connection: Connection) -> list[int]:
    """Those that something should do: what was to do it did not, or was refused by what can pass."""
    return [row["id"] for row in await (await connection.execute(SQL["agreed"])).fetchall()]


async def token_made_by(connection: Connection, token: int) -> str | None:
    row = await (await connection.execute(SQL["made_by"], {"token": token})).fetchone()
    return None if row is None else row["created_by"]


async def vote(connection: Connection, id: int, principal: str, token: int, *, yes: bool, reason: str | None) -> None:
    values = {"id": id, "principal": principal, "token": token, "yes": yes, "reason": reason}
    await connection.execute(SQL["vote"], values)


async def become(connection: Connection, id: int, state: ApprovalState, code: str | None = None) -> None:
    await connection.execute(SQL["become"], {"id": id, "state": state, "code": code})
    kind = _EVENTS.get(state)
    if kind is not None:
        await tell(connection, id, kind, None)


_EVENTS = {
    ApprovalState.APPROVED: EventType.APPROVAL_APPROVED,
    ApprovalState.REJECTED: EventType.APPROVAL_REJECTED,
    ApprovalState.EXPIRED: EventType.APPROVAL_EXPIRED,
}


async def tell(connection: Connection, id: int, kind: EventType, path: NodePath | None) -> None:
    await connection.execute(SQL["tell"], {"id": id, "type": kind, "shown": "" if path is None else path.text})


async def pass_time(connection: Connection, id: int) -> bool:
    """One whose time is over expires, and one that waits for long is told of again. Whether there is something to tell."""
    async with connection.transaction():
        if (await connection.execute(SQL["expire"], {"id": id})).rowcount:
            await tell(connection, id, EventType.APPROVAL_EXPIRED, None)
            return True
        if (await connection.execute(SQL["remind"], {"id": id})).rowcount:
            await tell(connection, id, EventType.APPROVAL_REMINDED, None)
            return True
    return False


async def moment(connection: Connection, id: int) -> tuple[str, bool, float] | None:
    """How it stands, whether it is over, and in how many seconds the time does something to it again."""
    row = await (await connection.execute(SQL["moment"], {"id": id})).fetchone()
    return None if row is None else (row["state"], row["over"], row["seconds"])


async def overdue(connection: Connection, seconds: float) -> list[int]:
    """Those that the time should have done something to: no workflow looks after them."""
    cursor = await connection.execute(SQL["overdue"], {"seconds": seconds})
    return [row["id"] for row in await cursor.fetchall()]


async def listed(
    connection: Connection, tenant: str, *, only: int | None = None, before: int | None = None,
    state: str | None = None, limit: int = 1,
) -> Sequence[DictRow]:  # fmt: skip
    values = {"tenant": tenant, "only": only, "before": before, "state": state, "limit": limit}
    return await (await connection.execute(SQL["list"], values)).fetchall()
