"""Read and write tenants."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, LiteralString

from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("tenants")


async def create(
    connection: Connection, name: str, display_name: str | None, suspended: str | None, rate: float | None = None
) -> bool:
    """False: there is, or was, one of this name."""
    values = {"name": name, "display_name": display_name, "suspended": suspended, "requests_per_second": rate}
    return await (await connection.execute(SQL["put"], values)).fetchone() is not None


async def change(connection: Connection, name: str, changes: Mapping[str, Any]) -> bool:
    """False: there is none of this name."""
    values = {"name": name, "changes": json.dumps(dict(changes))}
    return await (await connection.execute(SQL["change"], values)).fetchone() is not None


async def lock(connection: Connection, name: str) -> bool:
    """Hold it still until the transaction ends. False: there is none."""
    return await (await connection.execute(SQL["lock"], {"name": name})).fetchone() is not None


async def was_removed(connection: Connection, name: str) -> bool:
    row = await (await connection.execute(SQL["was_removed"], {"name": name})).fetchone()
    return bool(row and row["was"])


async def belongings(connection: Connection, name: str) -> dict[str, int]:
    """What stands in the way of its end: how many of each kind, up to a hundred. Empty: nothing."""
    row = await (await connection.execute(SQL["belongings"], {"name": name})).fetchone()
    return {kind: count for kind, count in (row or {}).items() if count}


async def remove(connection: Connection, name: str) -> None:
    """It is held still, and owns nothing. What was done in it stays in the journal."""
    await connection.execute(SQL["drop_quotas"], {"name": name})
    await connection.execute(SQL["remove"], {"name": name})


EXPORTED: Mapping[str, LiteralString] = {
    "mounts": SQL["export_mounts"],
    "tokens": SQL["export_tokens"],
    "holds": SQL["export_holds"],
    "quotas": SQL["export_quotas"],
    "nodes": SQL["export_nodes"],
    "journal": SQL["export_journal"],
}
"""What is exported of a tenant, in this order"""
EXPORT_PAGE = 500


async def exported(connection: Connection, section: str, tenant: str, after: int) -> list[tuple[int, str]]:
    """A page: id and line, by id."""
    values = {"tenant": tenant, "after": after, "limit": EXPORT_PAGE}
    cursor = await connection.execute(EXPORTED[section], values)
    return [(row["id"], row["line"]) for row in await cursor.fetchall()]


async def listed(
    connection: Connection, *, only: str | None = None, after: str | None = None, limit: int = 1
) -> list[tuple[str, str]]:
    """Name and document, as JSON text."""
    cursor = await connection.execute(SQL["list"], {"only": only, "after": after, "limit": limit})
    return [(row["name"], row["document"]) for row in await cursor.fetchall()]
