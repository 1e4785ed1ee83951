"""Which nodes had a name, and which commands took them along without being theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

from schema.ids import MountId, NodeId
from schema.paths import NodePath
from schema.sql import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schema.store.connection import Connection, DictRow

SQL = load("lineage")

NODES_MAX = 100
"""Nodes of one name of which the history is told: those that had it last."""
CARRIERS_MAX = 1000
COMMANDS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Lineage:
    """What to look for in the journal: nodes, directories that had them below (from when to when), and commands."""

    mounts: Sequence[MountId]
    nodes: Sequence[NodeId]
    carriers: Sequence[tuple[NodeId, str, str]]
    """The times are texts: the first and the last can be infinite."""
    commands: Sequence[str]

    def values(self) -> dict[str, Any]:
        return {
            "mounts": self.mounts,
            "nodes": self.nodes,
            "carriers": [node for node, _, _ in self.carriers],
            "borne_since": [since for _, since, _ in self.carriers],
            "borne_until": [until for _, _, until in self.carriers],
            "commands": self.commands,
        }


async def of_place(connection: Connection, tenant: str, mount: MountId | None, place: NodePath) -> Lineage:
    """Of the nodes that are or were at a path, on one mount or on all of the tenant."""
    mounts = await _mounts(connection, tenant, mount)
    values = {"mounts": mounts, "names": place.raw.split(b"/") if place.raw else [], "most": NODES_MAX}
    nodes = [NodeId(row["id"]) for row in await _rows(connection, SQL["named"], values)]
    return await _lineage(connection, tenant, mounts, nodes)


async def of_node(connection: Connection, tenant: str, mount: MountId | None, node: NodeId) -> Lineage:
    return await _lineage(connection, tenant, await _mounts(connection, tenant, mount), [node])


async def _lineage(connection: Connection, tenant: str, mounts: Sequence[MountId], nodes: Sequence[NodeId]) -> Lineage:
    asked = {"tenant": tenant, "mounts": mounts, "nodes": nodes, "most": CARRIERS_MAX + len(nodes)}
    up = await _rows(connection, SQL["carriers"], asked)
    known = [row["id"] for row in up if row["level"] == 0]
    turns = await _rows(connection, SQL["turns"], {"nodes": known, "most": COMMANDS_MAX})
    carriers = [(NodeId(row["id"]), row["since"], row["until"]) for row in up if row["level"] > 0]
    return Lineage(mounts, nodes, carriers, [row["command"] for row in turns])


async def _mounts(connection: Connection, tenant: str, mount: MountId | None) -> list[MountId]:
    return [MountId(row["id"]) for row in await _rows(connection, SQL["mounts"], {"tenant": tenant, "mount": mount})]


async def _rows(connection: Connection, query: LiteralString, values: dict[str, Any]) -> list[DictRow]:
    # Planned with these very values, as the page that follows is.
    return await (await connection.execute(query, values, prepare=False)).fetchall()
