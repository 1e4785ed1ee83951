"""What a copy takes as a whole: directories with all that they hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from schema.ids import MountId, NodeId
from schema.operations.subtrees import FLAT_MOST, NODES_MOST, Subtree
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("subtrees")


async def weigh(connection: Connection, mount: MountId, directories: Sequence[NodeId]) -> dict[NodeId, Subtree]:
    if not directories:
        return {}
    values = {"mount": mount, "ids": list(directories), "most": NODES_MOST, "flat": FLAT_MOST}
    rows = await (await connection.execute(SQL["weigh"], values)).fetchall()
    return {NodeId(row["id"]): Subtree(int(row["nodes"]), int(row["size"]), row["flat"], row["plain"]) for row in rows}
