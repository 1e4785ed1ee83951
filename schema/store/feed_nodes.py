"""All nodes in pages, and the position of the feed that goes on from them without a gap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schema.ids import MountId, NodeId
from schema.paths import NodePath
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("feed_nodes")


@dataclass(frozen=True, slots=True)
class FeedStart:
    """Nodes up to `last` are in the pages; what was made or changed since has events after `after`."""

    after: int
    last: NodeId


@dataclass(frozen=True, slots=True)
class FeedNode:
    id: NodeId
    mount: MountId
    path: NodePath
    document: str
    """JSON"""


@dataclass(frozen=True, slots=True)
class FeedNodes:
    """`looked`: the last node that was looked at, wanted or not; None: there are no more."""

    nodes: Sequence[FeedNode]
    looked: NodeId | None


async def begin(connection: Connection) -> FeedStart:
    row = await (await connection.execute(SQL["begin"])).fetchone()
    assert row is not None
    return FeedStart(row["after"], NodeId(row["last"]))


async def page(
    connection: Connection, tenant: str, mount: MountId | None, *, after: NodeId, last: NodeId, limit: int
) -> FeedNodes:
    values = {"tenant": tenant, "mount": mount, "after": after, "last": last, "limit": limit}
    rows = await (await connection.execute(SQL["page"], values)).fetchall()
    nodes = [
        FeedNode(NodeId(row["id"]), MountId(row["mount_id"]), NodePath(bytes(row["path"])), row["document"])
        for row in rows
        if row["id"] is not None
    ]
    return FeedNodes(nodes, rows[0]["looked"])
