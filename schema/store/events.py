"""The event feed as rows: positions, what Redis has not had, and how far behind it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from schema.sql import load

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

    Connection = AsyncConnection[DictRow]

SQL = load("events")


@dataclass(frozen=True, slots=True)
class Event:
    position: int
    type: str
    data: str
    """JSON, as it was written in the transaction of its command"""


@dataclass(frozen=True, slots=True)
class Lag:
    unpositioned: int
    oldest_seconds: float | None
    unpublished: int
    position: int


async def lock_feed(connection: Connection) -> bool:
    """Take the publisher's lock for this session; False while somebody else publishes."""
    row = await (await connection.execute(SQL["lock_feed"])).fetchone()
    return bool(row and row["mine"])


async def unlock_feed(connection: Connection) -> None:
    await connection.execute(SQL["unlock_feed"])


async def give_positions(connection: Connection, limit: int) -> int:
    """How many events got one."""
    return (await connection.execute(SQL["give_positions"], {"limit": limit})).rowcount


async def unpublished(connection: Connection, limit: int) -> list[Event]:
    cursor = await connection.execute(SQL["unpublished"], {"limit": limit})
    return [Event(row["position"], row["type"], row["data"]) for row in await cursor.fetchall()]


async def published(connection: Connection, position: int) -> None:
    await connection.execute(SQL["published"], {"position": position})


async def after(connection: Connection, position: int, limit: int) -> list[Event]:
    cursor = await connection.execute(SQL["after"], {"after": position, "limit": limit})
    return [Event(row["position"], row["type"], row["data"]) for row in await cursor.fetchall()]


async def lag(connection: Connection) -> Lag:
    row = await (await connection.execute(SQL["lag"])).fetchone()
    assert row is not None
    return Lag(row["unpositioned"], row["oldest_seconds"], row["unpublished"], row["position"])
