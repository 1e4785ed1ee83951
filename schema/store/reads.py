"""How reads are carried out that may take long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("reads")


async def one_process(connection: Connection) -> None:
    """What follows in this transaction takes one processor of the server."""
    await connection.execute(SQL["one_process"])
