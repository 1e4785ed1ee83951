"""What lies there now: the largest and oldest files, and what lies there more than once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

from schema.ids import MountId
from schema.paths import NodePath
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("inventory")

LARGEST = SQL["files"] + "\n" + SQL["largest"]
OLDEST = SQL["files"] + "\n" + SQL["oldest"]
DUPLICATES = SQL["files"] + "\n" + SQL["duplicates"]


async def inventory(
    connection: Connection, query: LiteralString, tenant: str, mount: MountId | None, path: NodePath | None, limit: int
) -> list[dict[str, Any]]:
    """`query`: one of those above."""
    below = path is not None and path.raw != b""
    low = path.as_directory if path is not None and below else None
    values = {
        "tenant": tenant,
        "mount": mount,
        "low": low,
        "high": None if low is None else low[:-1] + b"0",
        "limit": limit,
    }
    return await (await connection.execute(query, values)).fetchall()
