"""Freezes: made, lifted, listed, and looked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from schema.freezes import Freeze
from schema.ids import MountId
from schema.locks import Lock
from schema.sql import load
from schema.store import begin

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL = load("freezes")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFreeze:
    tenant: str | None
    """None: all tenants"""
    principal: str
    mount: MountId | None
    """None: all mounts of the tenant"""
    reason: str
    until: datetime | None
    key: str

    @property
    def scope(self) -> dict[str, Any]:
        return {"tenant": self.tenant, "mount": self.mount}


async def create(connection: Connection, new: NewFreeze) -> tuple[int, bool] | None:
    """Its id, and whether it is new. In the caller's transaction, which waits for every `begin` and every `check` on these mounts:
    what begins after it sees the freeze. None: the key names another freeze."""
    mounts = await _mounts(connection, new.scope)
    await begin.lock_mounts(connection, mounts)
    for mount in mounts:
        await connection.execute(SQL["alone"], {"lock": Lock.FREEZE, "mount": mount})
    values = new.scope | {"principal": new.principal, "key": new.key, "reason": new.reason, "until": new.until}
    row = await (await connection.execute(SQL["create"], values)).fetchone()
    if row is not None:
        return row["id"], True
    known = await (await connection.execute(SQL["of_key"], values)).fetchone()
    assert known is not None
    same = (known["mount_id"], known["reason"], known["until"]) == (new.mount, new.reason, new.until)
    return (known["id"], False) if same else None


async def lift(
    connection: Connection, id: int, tenant: str | None, principal: str
) -> tuple[MountId | None, list[MountId]] | None:
    """The mount of its scope, and all on which it has held. None: it had ended before, is of another tenant, or was never there."""
    values = {"id": id, "tenant": tenant, "principal": principal}
    row = await (await connection.execute(SQL["lift"], values)).fetchone()
    if row is None:
        return None
    return row["mount_id"], await _mounts(connection, {"tenant": tenant, "mount": row["mount_id"]})


async def of_mounts(connection: Connection, tenant: str, mounts: Sequence[MountId]) -> Freeze | None:
    """One of them is enough."""
    row = await (await connection.execute(SQL["of_mounts"], {"tenant": tenant, "mounts": list(mounts)})).fetchone()
    return None if row is None else Freeze.of_json(row["facts"])


async def check(connection: Connection, tenant: str, mount: MountId) -> None:
    """For what changes a mount and is no command, in its transaction: no freeze begins before that ends. Raises Frozen."""
    await connection.execute(SQL["shared"], {"lock": Lock.FREEZE, "mount": mount})
    freeze = await of_mounts(connection, tenant, [mount])
    if freeze is not None:
        raise freeze.refusal()


async def listed(
    connection: Connection, tenant: str | None, *, past: bool, before: int | None, limit: int, id: int | None = None
) -> list[DictRow]:
    """Those that bind a tenant; None: all."""
    values = {"tenant": tenant, "past": past, "before": before, "limit": limit, "id": id}
    return await (await connection.execute(SQL["listed"], values)).fetchall()


async def tenants(connection: Connection) -> list[str]:
    return [row["name"] for row in await (await connection.execute(SQL["tenants"])).fetchall()]


async def waiting(connection: Connection, mounts: Sequence[MountId]) -> list[tuple[MountId, str, int]]:
    """Operations that go on now: mount, id, turn."""
    rows = await (await connection.execute(SQL["waiting"], {"mounts": list(mounts)})).fetchall()
    return [(MountId(row["mount_id"]), row["id"], row["turn"]) for row in rows]


async def _mounts(connection: Connection, scope: Mapping[str, Any]) -> list[MountId]:
    return [MountId(row["id"]) for row in await (await connection.execute(SQL["mounts"], scope)).fetchall()]
