"""The events of projects on their way into the hot store: how far they are, and the next of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL = load("project_feed")


async def take(connection: Connection) -> int | None:
    """The position, held until the transaction ends. None: another process holds it."""
    row = await (await connection.execute(SQL["take"])).fetchone()
    return None if row is None else row["position"]


async def page(connection: Connection, after: int, limit: int) -> list[DictRow]:
    return await (await connection.execute(SQL["page"], {"after": after, "limit": limit})).fetchall()


async def move(connection: Connection, position: int) -> None:
    await connection.execute(SQL["move"], {"position": position})
