"""What the archive of the journal is written from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schema.locks import Lock
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("archive")


@dataclass(frozen=True, slots=True)
class ArchiveState:
    settled: int
    """Up to this entry the journal is complete"""
    position: int
    migration: int
    last_node: int


@dataclass(frozen=True, slots=True)
class ArchivedEntries:
    """`last`: the last of them; None: there are none."""

    last: int | None
    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class ComparedVersions:
    """Of so many nodes so many were different from their latest versions. `last`: the last of them; None: there was none."""

    last: int | None
    looked: int
    different: int


async def lock(connection: Connection) -> bool:
    row = await (await connection.execute(SQL["lock"], {"lock": Lock.ARCHIVE})).fetchone()
    return bool(row and row["mine"])


async def unlock(connection: Connection) -> None:
    await connection.execute(SQL["unlock"], {"lock": Lock.ARCHIVE})


async def state(connection: Connection) -> ArchiveState:
    row = await (await connection.execute(SQL["state"])).fetchone()
    assert row is not None
    return ArchiveState(**row)


async def tenants(connection: Connection) -> list[str]:
    return [row["text"] for row in await (await connection.execute(SQL["tenants"])).fetchall()]


async def mounts(connection: Connection) -> list[str]:
    return [row["text"] for row in await (await connection.execute(SQL["mounts"])).fetchall()]


async def rules(connection: Connection) -> list[tuple[str, str]]:
    """Kind and row of what people have laid down: as few as they are."""
    return [(row["kind"], row["text"]) for row in await (await connection.execute(SQL["rules"])).fetchall()]


async def entries(connection: Connection, after: int, last: int, limit: int) -> ArchivedEntries:
    values = {"after": after, "last": last, "limit": limit}
    rows = await (await connection.execute(SQL["entries"], values)).fetchall()
    return ArchivedEntries(rows[-1]["id"] if rows else None, [row["text"] for row in rows])


async def versions(connection: Connection, after: int, last: int) -> list[str]:
    """Those that entries behind `after` made, up to `last`."""
    cursor = await connection.execute(SQL["versions"], {"after": after, "last": last})
    return [row["text"] for row in await cursor.fetchall()]


async def differences(connection: Connection, after: int, limit: int) -> ComparedVersions:
    row = await (await connection.execute(SQL["differences"], {"after": after, "limit": limit})).fetchone()
    assert row is not None
    return ComparedVersions(**row)
