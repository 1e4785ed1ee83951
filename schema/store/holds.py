"""Read and write holds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from schema.access.holds import HoldInForce, Taking
from schema.ids import MountId
from schema.paths import NodePath
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("holds")


@dataclass(frozen=True, slots=True)
class HoldRow:
    """As lists have it. `document`: as clients read it, as JSON text."""

    id: int
    mount: MountId
    path: NodePath
    document: str


@dataclass(frozen=True, slots=True)
class LockedHold:
    id: int
    mount: MountId
    path: NodePath
    kind: str
    until: datetime | None
    released: bool
    runs: bool
    """Its time is not over."""
    locked: bool
    """Its objects are locked in the bucket, or are to be."""


async def in_the_way(connection: Connection, takings: Sequence[Taking]) -> dict[int, HoldInForce]:
    """By their place in `takings`: the hold on what one of them would take."""
    items = [
        {"n": n, "mount": one.mount, "path": one.path.raw.hex(), "above": one.path.ancestor_lengths(), "tree": one.tree}
        for n, one in enumerate(takings)
    ]
    cursor = await connection.execute(SQL["in_the_way"], {"items": json.dumps(items)})
    return {
        row["n"]: HoldInForce(
            row["id"], row["kind"], NodePath(bytes(row["path"])), row["reason"], row["until"], row["created_by"]
        )
        for row in await cursor.fetchall()
    }


async def taken_now(connection: Connection, mount: MountId, path: NodePath) -> bool:
    """A command that runs may be taking away something there. The lock of `begin` is held: no other one begins."""
    values = {
        "mount": mount, "path": path.raw, "above": [one.raw for one in path.ancestors()], "low": path.as_directory,
        "high": path.raw + b"0" if path.raw else b"\xff" * 256,
    }  # fmt: skip
    row = await (await connection.execute(SQL["taken_now"], values)).fetchone()
    return bool(row and row["taken"])


async def on_mount(connection: Connection, mount: MountId) -> bool:
    row = await (await connection.execute(SQL["on_mount"], {"mount": mount})).fetchone()
    return bool(row and row["held"])


async def create(
    connection: Connection,
    tenant: str,
    mount: MountId,
    path: NodePath,
    kind: str,
    reason: str,
    until: datetime | None,
    by: str,
) -> int:
    values: dict[str, Any] = {
        "tenant": tenant, "mount": mount, "path": path.raw, "kind": kind, "reason": reason, "until": until, "by": by,
    }  # fmt: skip
    row = await (await connection.execute(SQL["create"], values)).fetchone()
    assert row is not None
    return int(row["id"])


async def lock(connection: Connection, id: int, tenant: str) -> LockedHold | None:
    row = await (await connection.execute(SQL["lock"], {"id": id, "tenant": tenant})).fetchone()
    if row is None:
        return None
    return LockedHold(
        row["id"], MountId(row["mount_id"]), NodePath(bytes(row["path"])), row["kind"], row["until"],
        row["released_at"] is not None, row["runs"], row["lock_state"] is not None,
    )  # fmt: skip


async def release(connection: Connection, id: int, by: str) -> None:
    await connection.execute(SQL["release"], {"id": id, "by": by})


async def extend(connection: Connection, id: int, until: datetime) -> None:
    await connection.execute(SQL["extend"], {"id": id, "until": until})


async def listed(
    connection: Connection,
    tenant: str,
    *,
    only: int | None = None,
    mount: MountId | None = None,
    before: int | None = None,
    ended: bool = True,
    limit: int = 1,
) -> list[HoldRow]:
    values = {"tenant": tenant, "only": only, "mount": mount, "before": before, "ended": ended, "limit": limit}
    cursor = await connection.execute(SQL["list"], values)
    return [
        HoldRow(row["id"], MountId(row["mount_id"]), path := NodePath(bytes(row["path"])), _with(row["document"], path))
        for row in await cursor.fetchall()
    ]


def _with(document: str, path: NodePath) -> str:
    told = {"path": path.text} | ({} if path.b64 is None else {"pathB64": path.b64})
    return f"{document[:-1]},{json.dumps(told)[1:]}"
