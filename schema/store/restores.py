"""What a restore plans from: what was deleted, and with what; what is kept of it; as it is now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import orjson

from schema.ids import MountId, NodeId
from schema.nodes import NodeKind, NodeState
from schema.operations.planning import Occupant
from schema.operations.rewind import Since
from schema.operations.selection import PlannedNode
from schema.paths import NodePath
from schema.sql import load
from schema.store.past import PastNode

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL = load("restores")


@dataclass(frozen=True, slots=True)
class KeptNode:
    """A node as it is now, and what is kept of it."""

    id: NodeId
    kind: NodeKind
    version: int
    gone: bool
    path: NodePath | None
    """Where a living one lies"""
    size: int
    nodes: int
    latest: int | None
    """The newest older version whose content is kept"""
    with_it: bool
    """It is deleted, and what it was then is kept"""
    outdone: bool
    """Another one was deleted later under its name, and is kept"""
    left: str | None
    """The command that deleted it"""
    parent: NodePath | None
    """Where the directory of a deleted one lay, if that is deleted, too ..."""
    parent_left: str | None
    """... and what deleted it"""


@dataclass(frozen=True, slots=True)
class BuriedPage:
    """What went along with a directory; paths are counted from it. `after`: where to go on; None: there is no more."""

    nodes: list[PlannedNode]
    after: tuple[bytes, bytes] | None


async def gone_at(connection: Connection, mount: MountId, path: NodePath) -> PlannedNode | None:
    """The node that was deleted last at a path."""
    values = {"mount": mount, "path": path.raw, "parent": path.parent.as_directory, "name": path.name}
    row = await (await connection.execute(SQL["gone_at"], values)).fetchone()
    return None if row is None else _deleted(row, bytes(row["path"]), row["modified"])


async def buried(connection: Connection, top: NodeId, after: tuple[bytes, bytes], limit: int) -> BuriedPage:
    directory, name = after
    values = {"top": top, "directory": directory, "name": name, "limit": limit}
    rows = await (await connection.execute(SQL["buried"], values)).fetchall()
    nodes = [_deleted(row, bytes(row["path"])[len(bytes(row["low"])) :], row["modified"]) for row in rows]
    if not rows:
        return BuriedPage([], None)
    # Behind the last row there may be more, in its directory or in those after the 200 that one look takes.
    return BuriedPage(nodes, (bytes(rows[-1]["directory"]), bytes(rows[-1]["name"])))


async def kept_now(connection: Connection, nodes: Iterable[NodeId]) -> dict[NodeId, KeptNode]:
    rows = await (await connection.execute(SQL["kept_now"], {"nodes": list(nodes)})).fetchall()
    return {
        NodeId(row["id"]): KeptNode(
            NodeId(row["id"]), NodeKind(row["kind"]), row["version"], row["gone"],
            None if row["place"] is None else NodePath(bytes(row["place"])), int(row["size"] or 0), int(row["nodes"] or 1),
            row["latest"], row["with_it"], row["outdone"], row["left"],
            None if row["parent"] is None else NodePath(bytes(row["parent"])[:-1]), row["parent_left"],
        )
        for row in rows
    }  # fmt: skip


async def since(
    connection: Connection, nodes: Sequence[PastNode]
) -> dict[NodeId, tuple[Since, tuple[NodeId, Occupant] | None]]:
    """How nodes of an earlier time are now. And another node that was deleted along with the directory which this one lay in, under
    its name."""
    asked = [{"id": one.id, "parent": one.parent, "name": one.name.hex()} for one in nodes]
    cursor = await connection.execute(SQL["since"], {"nodes": orjson.dumps(asked).decode()})
    found = {}
    for row in await cursor.fetchall():
        now = Since(
            path=NodePath(bytes(row["place"])), version=row["version"], gone=row["gone"], left=row["left"],
            kept=row["kept"] is not False, size=int(row["size"]), metadata=row["metadata"], nodes=int(row["nodes"]),
            sha256=None if row["sha256"] is None else bytes(row["sha256"]),
        )  # fmt: skip
        found[NodeId(row["id"])] = now, _rival(row)
    return found


def _rival(row: DictRow) -> tuple[NodeId, Occupant] | None:
    if row["rival"] is None:
        return None
    id = NodeId(row["rival"])
    return id, Occupant(NodeKind(row["rival_kind"]), row["rival_version"], id, row["rival_size"])


async def were(
    connection: Connection, nodes: Iterable[NodeId], base: NodeId, at: datetime
) -> dict[NodeId, tuple[bytes | None, bool]]:
    """Where nodes lay below a directory at a time, and whether they were at all."""
    values = {"nodes": list(nodes), "base": base, "at": at}
    rows = await (await connection.execute(SQL["were"], values)).fetchall()
    return {NodeId(row["id"]): (None if row["path"] is None else bytes(row["path"]), row["was"]) for row in rows}


def _deleted(row: DictRow, path: bytes, at: datetime) -> PlannedNode:
    return PlannedNode(
        id=NodeId(row["id"]), kind=NodeKind(row["kind"]), state=NodeState.DELETED, version=row["version"],
        path=NodePath(path), size=row.get("size", 0), modified=at,
    )  # fmt: skip
