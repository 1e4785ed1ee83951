"""Keys of requests that make something and are no commands: such a request that is sent again makes nothing more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from schema.errors import IdempotencyConflict
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("request_keys")


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    tenant: str
    principal: str
    key: str
    hash: bytes
    """SHA-256 of what was asked for, without its secrets"""

    @property
    def name(self) -> dict[str, str]:
        return {"tenant": self.tenant, "principal": self.principal, "key": self.key}


async def take(connection: Connection, asked: KeyedRequest) -> str | None:
    """None: the key is new, and taken once the caller's transaction has ended. Else what was made under it; a request whose
    transaction goes on is waited for. Raises IdempotencyConflict."""
    row = await (await connection.execute(SQL["take"], asked.name | {"hash": asked.hash})).fetchone()
    return None if row is not None else await find(connection, asked)


async def find(connection: Connection, asked: KeyedRequest) -> str | None:
    """What was made under the key. None: nothing yet. Raises IdempotencyConflict."""
    row = await (await connection.execute(SQL["find"], asked.name)).fetchone()
    if row is None:
        return None
    if bytes(row["hash"]) != asked.hash:
        raise IdempotencyConflict()
    made: str = row["made"]
    return made


async def keep(connection: Connection, asked: KeyedRequest, made: str) -> None:
    """The id of what it made, in the transaction that made it."""
    await connection.execute(SQL["keep"], asked.name | {"made": made})


async def forget(connection: Connection, keep: timedelta, limit: int) -> int:
    """How many that are older are gone now."""
    return (await connection.execute(SQL["forget"], {"keep": keep.total_seconds(), "limit": limit})).rowcount
