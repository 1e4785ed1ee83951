"""Read the journal, and how commands stand. As JSON text, rendered by the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schema.commands import Status
from schema.ids import CommandId, MountId, NodeId
from schema.paths import NodePath
from schema.sql import load

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

    Connection = AsyncConnection[DictRow]

SQL = load("journal")
_FORWARD = SQL["entries"] + "\n" + SQL["oldest_first"] + "\n" + SQL["page"] + " ORDER BY j.id"
_BACK = SQL["entries"] + "\n" + SQL["newest_first"] + "\n" + SQL["page"] + " ORDER BY j.id DESC"


@dataclass(frozen=True, slots=True)
class Asked:
    """Which entries; all of it at once, None asks for nothing."""

    mount: MountId | None = None
    path: NodePath | None = None
    node: NodeId | None = None
    principal: str | None = None
    kinds: Sequence[str] | None = None
    outcomes: Sequence[str] | None = None
    command: CommandId | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """`items` are the elements of a JSON array without its brackets. `last` is where the next page goes on."""

    items: str
    last: int | None


async def entries(
    connection: Connection,
    tenant: str,
    asked: Asked,
    *,
    limit: int,
    after: int | None = None,
    oldest_first: bool = False,
) -> Page:
    values = {
        "tenant": tenant,
        "mount": asked.mount,
        "path": asked.path and asked.path.raw,
        "node": asked.node,
        "principal": asked.principal,
        "kinds": asked.kinds,
        "outcomes": asked.outcomes,
        "command": asked.command,
        "after": after,
        "limit": limit,
    }
    cursor = await connection.execute(_FORWARD if oldest_first else _BACK, values, prepare=False)
    rows = await cursor.fetchall()
    return Page(",".join(row["document"] for row in rows), rows[-1]["id"] if len(rows) == limit else None)


@dataclass(frozen=True, slots=True)
class Standing:
    """A command as its principal reads it: JSON text."""

    principal: str
    status: Status | None
    """None: it waits in a queue, and is not recorded yet."""
    document: str


async def command(connection: Connection, command: CommandId, tenant: str) -> Standing | None:
    cursor = await connection.execute(SQL["command"], {"id": command, "tenant": tenant})
    row = await cursor.fetchone()
    return Standing(row["principal"], Status(row["status"]), row["document"]) if row else None
