"""Prune what is kept no longer: old events, and old commands with their keys. A page at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from schema.ids import FIRST_COMMAND_ID, CommandId
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("retention")


@dataclass(frozen=True, slots=True)
class PrunedPage:
    """`last`: where the next page goes on; None: this was the last one."""

    gone: int
    last: CommandId | None


async def prune_events(connection: Connection, keep: timedelta, limit: int) -> int:
    """How many events are gone now; fewer than `limit`: no older ones are left."""
    values = {"keep": keep.total_seconds(), "limit": limit}
    row = await (await connection.execute(SQL["prune_events"], values)).fetchone()
    assert row is not None
    return int(row["gone"])


async def prune_operations(connection: Connection, keep: timedelta, limit: int) -> int:
    """How many rows are gone now; 0: no older operation is left."""
    values = {"keep": keep.total_seconds(), "limit": limit}
    row = await (await connection.execute(SQL["prune_operations"], values)).fetchone()
    assert row is not None
    return int(row["gone"])


async def prune_commands(
    connection: Connection, keep: timedelta, limit: int, *, below: CommandId, after: CommandId = FIRST_COMMAND_ID
) -> PrunedPage:
    """`below`: no command with a higher id is looked at. It saves time; what ended too late stays whatever its id."""
    values = {"keep": keep.total_seconds(), "limit": limit, "below": below, "after": after}
    row = await (await connection.execute(SQL["prune_commands"], values)).fetchone()
    assert row is not None
    return PrunedPage(row["gone"], CommandId(row["last"]) if row["looked"] == limit else None)
