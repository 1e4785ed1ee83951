"""Directories that a copy takes as one item: where nothing lies at their target, and what they hold is not too much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from schema.nodes import NodeKind
from schema.operations.operation import Operation
from schema.operations.planning import Occupant, Planner
from schema.operations.selection import PlannedNode
from schema.operations.subtrees import Subtree, goes_whole, may_go_whole
from schema.paths import NodePath
from schema.store import subtrees as store

if TYPE_CHECKING:
    from schema.ids import NodeId
    from schema.store.connection import Connection


class WholeTrees:
    """Of one page. `inside`: what lies below this path has gone with its directory, on an earlier page or on this one."""

    def __init__(self, subtrees: Mapping[NodeId, Subtree], inside: bytes) -> None:
        self._subtrees, self.inside = subtrees, inside

    def add(self, planner: Planner, node: PlannedNode, occupants: Mapping[NodePath, Occupant]) -> bool:
        """Whether it is planned, by itself or with its directory."""
        if self.inside and node.path.raw.startswith(self.inside):
            return True
        subtree = self._subtrees.get(node.id)
        target = planner.target_of(node)
        if subtree is None or not goes_whole(subtree) or target is None or target in occupants:
            return False
        planner.add(replace(node, nodes=subtree.nodes, size=subtree.size), occupants, whole=True)
        self.inside = node.path.as_directory
        return True

    def skipped(self, after: tuple[bytes, bytes] | None) -> tuple[bytes, bytes] | None:
        """Where the look goes on: behind what has gone with its directory."""
        if after is None or not self.inside or not after[0].startswith(self.inside):
            return after
        return self.inside[:-1] + b"0", b""


async def whole_trees(
    connection: Connection, operation: Operation, nodes: Sequence[PlannedNode], inside: bytes
) -> WholeTrees:
    if not may_go_whole(operation):
        return WholeTrees({}, b"")
    directories = [node.id for node in nodes if node.kind is NodeKind.DIRECTORY and node.path.raw]
    return WholeTrees(await store.weigh(connection, operation.mount_id, directories), inside)
