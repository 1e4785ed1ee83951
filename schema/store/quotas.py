"""Read and write quotas, and look how much there is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from schema.access.quotas import NOTHING, Amount, Limit, QuotaRoom, QuotaScope
from schema.commands.command import Command
from schema.commands.intents import Intent
from schema.ids import MountId
from schema.locks import Lock
from schema.paths import NodePath
from schema.sql import load
from schema.store.rollups import hold_fold

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL = load("quotas")
PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class NewQuota:
    tenant: str
    scope: QuotaScope
    most: Limit
    soft: Limit
    trash: bool
    operators: bool
    by: str


@dataclass(frozen=True, slots=True)
class LockedQuota:
    id: int
    tenant: str
    scope: QuotaScope
    most: Limit
    soft: Limit
    trash: bool
    operators: bool
    version: int


async def room(connection: Connection, items: Sequence[tuple[int, Command, Intent]]) -> list[QuotaRoom]:
    """The quotas that stand in the way of what these commands would add. The locks of their mounts are held; those of quotas of
    all mounts are taken here, and what is read then is newer than they are. `items`: each with its number in the list."""
    told = [
        {
            "n": n, "tenant": command.tenant, "mount": command.runs_on, "principal": command.principal,
            "path": (command.node_path if command.runs_on == command.mount_id else command.appears_at).raw.hex(),
            "intent": intent.to_json(),
        }
        for n, command, intent in items
    ]  # fmt: skip
    tenants = sorted({command.tenant for _, command, _ in items})
    await connection.execute(SQL["lock"], {"lock": Lock.QUOTA, "tenants": tenants})
    cursor = await connection.execute(SQL["room"], {"items": orjson.dumps(told).decode()})
    return [_room(row) for row in await cursor.fetchall()]


async def room_at(
    connection: Connection, tenant: str, mount: MountId, path: NodePath, principal: str
) -> list[QuotaRoom]:
    """For something that is not a command yet. It holds nothing: `begin` decides."""
    values = {"tenant": tenant, "mount": mount, "path": path.raw, "principal": principal}
    return [_room(row) for row in await (await connection.execute(SQL["room_at"], values)).fetchall()]


async def size_at(connection: Connection, mount: MountId, path: NodePath) -> int | None:
    """None: no file lives there."""
    values = {"mount": mount, "parent": path.parent.as_directory, "name": path.name}
    row = await (await connection.execute(SQL["size_at"], values)).fetchone()
    return None if row is None else int(row["size_bytes"])


async def planned(connection: Connection, operation: str) -> Amount:
    row = await (await connection.execute(SQL["planned"], {"id": operation})).fetchone()
    return NOTHING if row is None else Amount(row["bytes"], row["nodes"])


async def note(connection: Connection, rooms: Collection[QuotaRoom], mount: MountId, *, clears: bool = False) -> None:
    """What is new of quotas. `mount`: where it was seen, for the event of a quota of all mounts. `clears`: that a soft limit is
    not passed any more is believed; what commands have reserved passes one for a moment."""
    items = [
        {
            "id": room.id, "bytes": room.used.bytes, "nodes": room.used.nodes, "soft": room.soft_passed, "mount": mount,
            "path": "" if room.scope.path is None else room.scope.path.text,
            "path_b64": None if room.scope.path is None else room.scope.path.b64,
        }
        for room in rooms if room.news(clears=clears)
    ]  # fmt: skip
    if items:
        await connection.execute(SQL["note"], {"items": orjson.dumps(items).decode(), "clears": clears})


async def look(connection: Connection) -> int:
    """Note what is new of all quotas, a page each transaction: what was found on the storage passed no `begin`."""
    after = looked = 0
    while True:
        async with connection.transaction():
            rows = await (await connection.execute(SQL["uses"], {"after": after, "limit": PAGE})).fetchall()
            for row in rows:
                mount = MountId(row["mount_id"]) if row["mount_id"] else await _some_mount(connection, row["tenant"])
                if mount is not None:
                    await note(connection, [_room(_NOTHING_RESERVED | row)], mount, clears=True)
        looked += len(rows)
        if len(rows) < PAGE:
            return looked
        after = rows[-1]["id"]


@dataclass(frozen=True, slots=True)
class QuotaSeen:
    """For the metrics."""

    id: int
    tenant: str
    used: Amount
    most: Limit
    soft: bool
    """A soft limit is passed"""


async def seen(connection: Connection) -> list[QuotaSeen]:
    """A page of them, the oldest."""
    rows = await (await connection.execute(SQL["uses"], {"after": 0, "limit": PAGE})).fetchall()
    return [
        QuotaSeen(
            row["id"], row["tenant"], Amount(row["bytes"], row["nodes"]), Limit(row["max_bytes"], row["max_nodes"]),
            Limit(row["soft_bytes"], row["soft_nodes"]).passed(Amount(row["bytes"], row["nodes"])) is not None,
        )
        for row in rows
    ]  # fmt: skip


_NOTHING_RESERVED = {"reserved_bytes": 0, "reserved_nodes": 0}


async def _some_mount(connection: Connection, tenant: str) -> MountId | None:
    row = await (await connection.execute(SQL["some_mount"], {"tenant": tenant})).fetchone()
    return None if row is None else MountId(row["id"])


def _room(row: DictRow) -> QuotaRoom:
    claims = {int(n): Amount(*claim) for n, claim in row.get("claims", {}).items()}
    return QuotaRoom(
        row["id"], _scope(row), Limit(row["max_bytes"], row["max_nodes"]), Limit(row["soft_bytes"], row["soft_nodes"]),
        Amount(row["bytes"], row["nodes"]), Amount(row["reserved_bytes"], row["reserved_nodes"]),
        Amount(row["peak_bytes"], row["peak_nodes"]), row["soft"], claims,
    )  # fmt: skip


def _scope(row: DictRow) -> QuotaScope:
    return QuotaScope(
        None if row["mount_id"] is None else MountId(row["mount_id"]),
        None if row["path"] is None else NodePath(bytes(row["path"])),
        row["principal"],
    )


async def create(connection: Connection, new: NewQuota) -> int:
    """In a transaction. One that counts what the trash keeps of a path or a principal counts what lies there already."""
    path = None if new.scope.path is None else new.scope.path.raw
    values: dict[str, Any] = {
        "tenant": new.tenant, "mount": new.scope.mount, "path": path, "of": new.scope.principal, "trash": new.trash,
        "operators": new.operators, "by": new.by, **_limits(new.most, new.soft),
    }  # fmt: skip
    counts_kept = new.trash and (new.scope.path is not None or new.scope.principal is not None)
    if counts_kept:
        await connection.execute(SQL["lock_kept"])
    row = await (await connection.execute(SQL["create"], values)).fetchone()
    assert row is not None
    if counts_kept:
        await count_kept(connection, row["id"])
    return int(row["id"])


async def count_kept(connection: Connection, id: int) -> None:
    """What the trash keeps already, for a quota of a path or a principal that no transaction knows yet."""
    await connection.execute(SQL["keep"], {"id": id})


async def lock(connection: Connection, id: int, tenant: str) -> LockedQuota | None:
    row = await (await connection.execute(SQL["lock_one"], {"id": id, "tenant": tenant})).fetchone()
    if row is None:
        return None
    return LockedQuota(
        row["id"], row["tenant"], _scope(row), Limit(row["max_bytes"], row["max_nodes"]),
        Limit(row["soft_bytes"], row["soft_nodes"]), row["trash"], row["operators"], row["version"],
    )  # fmt: skip


async def change(connection: Connection, id: int, most: Limit, soft: Limit) -> None:
    await connection.execute(SQL["change"], {"id": id, **_limits(most, soft)})


async def remove(connection: Connection, id: int) -> None:
    """In a transaction."""
    await connection.execute(SQL["lock_kept"])
    await hold_fold(connection)
    await connection.execute(SQL["remove"], {"id": id})


async def listed(
    connection: Connection, tenant: str, *, only: int | None = None, mount: MountId | None = None,
    before: int | None = None, limit: int = 1,
) -> list[DictRow]:  # fmt: skip
    values = {"tenant": tenant, "only": only, "mount": mount, "before": before, "limit": limit}
    return await (await connection.execute(SQL["list"], values)).fetchall()


def _limits(most: Limit, soft: Limit) -> dict[str, int | None]:
    return {
        "max_bytes": most.bytes, "max_nodes": most.nodes, "soft_bytes": soft.bytes, "soft_nodes": soft.nodes,
    }  # fmt: skip
