"""A directory that one command made, or brought back, with all that it held, and in which something else lies now: it is taken back
node by node, what a directory holds before the directory."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from schema.ids import CommandId, MountId, NodeId
from schema.nodes import NodeKind
from schema.operations.operation import OperationItem
from schema.operations.undo import TreeNode, taken_apart
from schema.operations.undo_changes import JournalChange
from schema.paths import NodePath
from schema.store import undo as store
from schema.store import undo_trees as tree_store
from schema.store.undo import Taken

if TYPE_CHECKING:
    from schema.store.connection import Connection

_AT_ONCE = 200


def begin(change: JournalChange) -> dict[str, Any]:
    """The place of a walk that has not begun: in the directory of this change."""
    top = TreeNode(node=change.node, kind=change.node_kind, version=change.version, name=change.place.name)
    return {"command": change.command, "mount": change.mount, "above": [_frame(top, change.place)]}


@dataclass(slots=True)
class TreeWalk:
    connection: Connection
    taken: Taken
    passed: Collection[int]
    place: Mapping[str, Any]
    """The directories that are open, the innermost last, each with what was read of it; none: it is over"""
    found: list[tuple[TreeNode, NodePath]] = field(default_factory=list)

    async def page(self, limit: int) -> list[OperationItem]:
        """About so many, without numbers."""
        above = [dict(frame) for frame in self.place["above"]]
        while above and len(self.found) < limit:
            await self._step(above)
        self.place = {**self.place, "above": above}
        runs = await store.runs(self.connection, self.taken, {node.node for node, _ in self.found})
        mount = MountId(self.place["mount"])
        named = None if mount == self.taken.mounts[0] else mount
        items = [taken_apart(node, path, named, runs.get(node.node), self.passed) for node, path in self.found]
        return [one for one in items if one is not None]

    async def _step(self, above: list[dict[str, Any]]) -> None:
        """Into the next directory, or out of this one."""
        frame = above[-1]
        after = (NodeKind(frame["kind"]), bytes.fromhex(frame["after"]))
        command, path = CommandId(self.place["command"]), NodePath(bytes.fromhex(frame["path"]))
        page = await tree_store.made_in(self.connection, command, NodeId(frame["node"]), after, _AT_ONCE)
        for node in page:
            frame["kind"], frame["after"] = node.kind, node.name.hex()
            if node.kind is NodeKind.DIRECTORY:
                above.append(_frame(node, path.child(node.name)))
                return
            self.found.append((node, path.child(node.name)))
        if len(page) < _AT_ONCE:
            above.pop()
            top = TreeNode(
                node=NodeId(frame["node"]), kind=NodeKind.DIRECTORY, version=frame["version"], name=path.name
            )
            self.found.append((top, path))


def _frame(node: TreeNode, path: NodePath) -> dict[str, Any]:
    kind, name = tree_store.BEFORE_ALL
    return {"node": node.node, "version": node.version, "path": path.raw.hex(), "kind": kind, "after": name.hex()}
