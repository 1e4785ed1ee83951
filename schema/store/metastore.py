"""The Metastore as it follows the feed: its cursor, pages of events, and records brought to what their nodes are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from schema.consumers.following import Following
from schema.ids import NodeId
from schema.metastore.changes import FEED, RecordAuthor
from schema.metastore.records import DEFAULT_NAMESPACE
from schema.sql import load
from schema.store import record_entries

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("metastore")

PAGE_BYTES = 16 * 2**20
"""An event carries its node's metadata: a page ends with the event that makes it larger than this."""


@dataclass(frozen=True, slots=True)
class Cursor:
    position: int
    scanned: int | None
    """Up to this node all are taken in; None: it follows the events"""
    scan_last: int | None
    pruned: int
    """Up to this position events are gone"""
    last: int


@dataclass(frozen=True, slots=True)
class RecordPage:
    """`items`: the nodes that events tell of, for `sync`. `trees`: directories that are to be taken in with all below them."""

    last: int | None
    items: Sequence[dict[str, Any]]
    trees: Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class TreeRest:
    """A directory that is taken in page by page, and the name that the next page comes after."""

    id: int
    directory: NodeId
    origin: NodeId | None
    buried: datetime | None
    after: bytes | None
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class TreeChild:
    id: NodeId
    name: bytes
    directory: bool
    origin: NodeId | None


async def take_cursor(connection: Connection) -> Cursor | None:
    """Until the transaction ends. None: another consumer has it."""
    row = await (await connection.execute(SQL["cursor"])).fetchone()
    return None if row is None else Cursor(**row)


async def await_cursor(connection: Connection) -> None:
    await connection.execute(SQL["await_cursor"])


async def page(connection: Connection, after: int, limit: int) -> RecordPage:
    values = {"after": after, "limit": limit, "bytes": PAGE_BYTES}
    row = await (await connection.execute(SQL["page"], values)).fetchone()
    assert row is not None
    return RecordPage(row["last"], json.loads(row["items"]), json.loads(row["trees"]))


async def queue_trees(connection: Connection, trees: Sequence[dict[str, Any]]) -> None:
    await connection.execute(SQL["queue_trees"], {"trees": json.dumps(trees)})


async def next_tree(connection: Connection) -> TreeRest | None:
    row = await (await connection.execute(SQL["tree"])).fetchone()
    return None if row is None else TreeRest(**{**row, "facts": json.loads(row["facts"])})


async def children(connection: Connection, tree: TreeRest, limit: int) -> list[TreeChild]:
    query = SQL["living"] if tree.buried is None else SQL["buried"]
    values = {
        "directory": tree.directory,
        "origin": tree.origin,
        "buried": tree.buried,
        "after": tree.after,
        "limit": limit,
    }
    rows = await (await connection.execute(query, values)).fetchall()
    return [TreeChild(row["id"], row["name"], row["directory"], row["origin"]) for row in rows]


async def go_on(connection: Connection, tree: int, after: bytes | None) -> None:
    """The directory is taken in up to this name; None: all of it is."""
    await connection.execute(SQL["done"] if after is None else SQL["go_on"], {"id": tree, "after": after})


async def scan(connection: Connection, after: int, last: int, limit: int) -> list[NodeId]:
    rows = await (await connection.execute(SQL["scan"], {"after": after, "last": last, "limit": limit})).fetchall()
    return [NodeId(row["id"]) for row in rows]


async def begin_scan(connection: Connection) -> None:
    await connection.execute(SQL["begin_scan"])


async def rescan(connection: Connection) -> None:
    await connection.execute(SQL["rescan"])


async def move(connection: Connection, position: int, scanned: int | None, records: int) -> None:
    await connection.execute(SQL["move"], {"position": position, "scanned": scanned, "records": records})


async def look(connection: Connection, problem: str | None = None) -> None:
    await connection.execute(SQL["look"], {"problem": problem})


async def sync(connection: Connection, items: Sequence[dict[str, Any]]) -> None:
    """Bring the records of these nodes to what the nodes are. Only under the cursor."""
    if not items:
        return
    await connection.execute(SQL["hold"], {"nodes": [item["node"] for item in items]})
    await connection.execute(SQL["sync"], {"items": json.dumps(items), "namespace": DEFAULT_NAMESPACE})
    if carried := [item for item in items if item.get("origin") is not None]:
        rows = await (await connection.execute(SQL["carry"], {"items": json.dumps(carried)})).fetchall()
        await record_entries.tell(connection, [NodeId(row["node"]) for row in rows], RecordAuthor(principal=FEED))


async def state(connection: Connection) -> Following:
    row = await (await connection.execute(SQL["state"])).fetchone()
    assert row is not None
    return Following(**row)
