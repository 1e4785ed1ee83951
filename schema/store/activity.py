"""What the Timestore takes in: pages of the feed, and the same rows told by the journal alone."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schema.locks import Lock
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("activity")
PAGE_BYTES = 64 * 2**20
"""Of events, as JSON"""
ENTRIES = 20_000
"""Entries of the journal read in one go"""

Row = tuple[Any, ...]
"""Position, type, tenant, mount, time, data"""


@dataclass(frozen=True, slots=True)
class Ahead:
    last: int
    lag_seconds: float | None


def page(after: int, limit: int) -> str:
    """What reads the events after a position, with their position, type, tenant, mount, time and data."""
    return SQL["page"] % {"after": after, "limit": limit, "bytes": PAGE_BYTES}


async def ahead(connection: Connection, position: int) -> Ahead:
    row = await (await connection.execute(SQL["ahead"], {"position": position})).fetchone()
    assert row is not None
    return Ahead(row["last"], row["lag_seconds"])


async def gone(connection: Connection) -> int:
    """Up to this position events are not kept any more."""
    row = await (await connection.execute(SQL["gone"])).fetchone()
    assert row is not None
    return int(row["position"])


async def lock(connection: Connection) -> bool:
    """For this session; False while another one has it."""
    row = await (await connection.execute(SQL["lock"], {"lock": Lock.TIMESTORE})).fetchone()
    return bool(row and row["mine"])


async def unlock(connection: Connection) -> None:
    await connection.execute(SQL["unlock"], {"lock": Lock.TIMESTORE})


async def hold(connection: Connection) -> None:
    """Wait for the lock of those that take events in."""
    await connection.execute(SQL["hold"], {"lock": Lock.TIMESTORE})


async def journal(connection: Connection, position: int) -> AsyncGenerator[list[Row]]:
    """The rows of all entries whose events come at or before a position. One snapshot of the database."""
    async with connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        rows = await (await connection.execute(SQL["untold"], {"position": position})).fetchall()
        untold, after = [row["entry"] for row in rows], 0
        while found := await _entries(connection, after, untold):
            after = found[-1]["entry"]
            yield [tuple(row.values())[:-1] for row in found]


async def _entries(connection: Connection, after: int, untold: list[int]) -> list[dict[str, Any]]:
    values = {"after": after, "untold": untold, "limit": ENTRIES}
    return await (await connection.execute(SQL["journal"], values)).fetchall()
