"""Signs of life of the worker processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("workers")


@dataclass(frozen=True, slots=True)
class SignOfLife:
    silent_seconds: float
    """Since the worker was heard of"""
    connected: bool
    """To Temporal, when it was heard of"""


async def beat(connection: Connection, process: str, host: str, *, connected: bool) -> None:
    await connection.execute(SQL["beat"], {"process": process, "host": host, "connected": connected})
    await connection.execute(SQL["clear"])


async def leave(connection: Connection, process: str) -> None:
    await connection.execute(SQL["leave"], {"process": process})


async def latest(connection: Connection, host: str) -> SignOfLife | None:
    """Of the worker that was heard of last; None where there is none."""
    row = await (await connection.execute(SQL["latest"], {"host": host})).fetchone()
    return None if row is None else SignOfLife(row["silent_seconds"], row["connected"])
