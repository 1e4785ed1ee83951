"""What an undo by selection reads of directories: what keeps them, and what one command made below them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schema.ids import CommandId, MountId, NodeId
from schema.nodes import NodeKind
from schema.operations.undo import TreeNode
from schema.paths import NodePath
from schema.sql import load
from schema.store.undo import Taken, rows_of, with_taken

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("undo_trees")
_STRANGERS_MOST = 1000
"""Of the directories of one page so many are listed: any one of them keeps its directory"""
BEFORE_ALL = (NodeKind.DIRECTORY, b"")


@dataclass(frozen=True, slots=True)
class ForeignNode:
    """A node that something outside of the selection has changed last."""

    node: NodeId
    kind: NodeKind
    version: int
    size: int
    mount: MountId
    path: NodePath
    directory: NodeId
    foreign: bool
    """The selection has never changed it"""


async def strangers(connection: Connection, taken: Taken, directories: Collection[NodeId]) -> list[ForeignNode]:
    """What lies in these directories, and keeps them."""
    if not directories:
        return []
    values = taken.values() | {"directories": sorted(directories), "limit": _STRANGERS_MOST}
    return [
        ForeignNode(
            NodeId(row["node"]), NodeKind(row["kind"]), row["version"], row["size"], MountId(row["mount_id"]),
            NodePath(bytes(row["path"])), NodeId(row["directory"]), row["foreign"],
        )
        for row in await rows_of(connection, with_taken(SQL["strangers"]), values)
    ]  # fmt: skip


async def above(connection: Connection, directories: Collection[NodeId]) -> set[NodeId]:
    """These, and all directories above them."""
    if not directories:
        return set()
    found = await rows_of(connection, SQL["above"], {"directories": sorted(directories)})
    return {NodeId(row["id"]) for row in found}


async def made_in(
    connection: Connection, command: CommandId, directory: NodeId, after: tuple[NodeKind, bytes], limit: int
) -> list[TreeNode]:
    """The next of what the command made in a directory."""
    values = {"command": command, "directory": directory, "kind": after[0], "name": after[1], "limit": limit}
    return [
        TreeNode(
            node=NodeId(row["node"]), kind=NodeKind(row["kind"]), version=row["version"], name=bytes(row["name"]),
            size=row["size"], gone=row["gone"],
        )
        for row in await rows_of(connection, SQL["made_in"], values)
    ]  # fmt: skip
