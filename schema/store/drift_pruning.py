"""Prune what drift leaves behind: looks, closed findings, reconciliations by hand, and what a look that is over has read."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, LiteralString

from schema.sql import load
from schema.store import looks

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("drift_pruning")

KINDS = (SQL["prune_looks"], SQL["prune_findings"], SQL["prune_jobs"])


async def prune(connection: Connection, kind: LiteralString, keep: timedelta, limit: int) -> int:
    """How many of one of the `KINDS` are gone now; fewer than `limit`: no older ones are left."""
    cursor = await connection.execute(kind, {"keep": keep.total_seconds(), "limit": limit})
    return cursor.rowcount


async def give_up_looks(connection: Connection, keep: timedelta, limit: int) -> int:
    """Looks that were never ended. As many as are over now."""
    cursor = await connection.execute(SQL["give_up_looks"], {"keep": keep.total_seconds(), "limit": limit})
    return cursor.rowcount


async def forget_readings(connection: Connection) -> int:
    """What looks have read that are over, or gone. A look throws it away itself; this is for those whose process died then."""
    cursor = await connection.execute(SQL["readings"])
    left = [row["look"] for row in await cursor.fetchall()]
    for look in left:
        await looks.forget_reading(connection, look)
    return len(left)
