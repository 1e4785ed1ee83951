"""Read the versions of a node: what it was, until when, and where the bytes of an older version are now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from schema.ids import CommandId, NodeId
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("snapshots")
_PAGE = SQL["page_of"] + "\n" + SQL["where_kept"] + "\n" + SQL["newest_first"]
_ONE = SQL["one_of"] + "\n" + SQL["where_kept"] + "\n" + SQL["what_ended_it"]


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """One version as clients read it."""

    version: int
    command: CommandId
    entry: int | None
    """The journal entry of that command"""
    parent: NodeId | None
    name: bytes
    kind: str
    state: str
    size: int
    sha256: bytes | None
    metadata: str
    """JSON"""
    valid_from: datetime
    valid_to: datetime | None
    available: bool
    """Its bytes can be read."""
    until: datetime | None


@dataclass(frozen=True, slots=True)
class KeptContent:
    """A version's content, and where it is: at `place` in the trash, or (`live`) what the node has now, or nowhere."""

    name: bytes
    state: str
    size: int
    sha256: bytes | None
    checksum: str | None
    mime_type: str | None
    modified: datetime
    live: bool
    place: bytes | None
    until: datetime | None
    identity: Sequence[int | str | None] | None
    """Which file lies at `place`: the facts of an executor's Identity; None: the record does not say."""
    moving: bool
    """A command is at it: what is kept may not have arrived at its place, or may have just left it."""


async def page(connection: Connection, node: NodeId, *, limit: int, before: int | None = None) -> list[SnapshotRow]:
    """Newest first; `before`: only versions below this one."""
    cursor = await connection.execute(_PAGE, {"node": node, "limit": limit, "before": before})
    return [
        SnapshotRow(
            row["version"], CommandId(row["command_id"]), row["entry"],
            None if row["parent_id"] is None else NodeId(row["parent_id"]), bytes(row["name"]), row["kind"],
            row["state"], row["size_bytes"], row["sha256"] and bytes(row["sha256"]), row["metadata"],
            row["valid_from"], row["valid_to"], row["available"], row["until"],
        )
        for row in await cursor.fetchall()
    ]  # fmt: skip


async def content(connection: Connection, node: NodeId, version: int) -> KeptContent | None:
    """None: there is no such version."""
    cursor = await connection.execute(_ONE, {"node": node, "version": version})
    row = await cursor.fetchone()
    if row is None:
        return None
    return KeptContent(
        bytes(row["name"]), row["state"], row["size_bytes"], row["sha256"] and bytes(row["sha256"]), row["checksum"],
        row["mime_type"], row["since"], row["live"], row["place"] and bytes(row["place"]), row["until"],
        row["identity"], row["moving"],
    )  # fmt: skip
