"""How the nodes of a subtree become items, page by page. Pure: what lies at the targets is told.

Directories come before what they hold, in the order of their paths' bytes: what is below one is in one piece. So the plan
remembers only the directories above the place it has reached, however large the tree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from schema.ids import MountId, NodeId
from schema.nodes import NodeKind, NodeState
from schema.operations.operation import ItemKind, ItemState, Operation, OperationItem, OperationKind
from schema.operations.selection import PlannedNode
from schema.operations.tagging import NodeRecord, planned
from schema.paths import NAME_MAX, PATH_MAX, NodePath


@dataclass(frozen=True, slots=True)
class Occupant:
    """What lies at a target now."""

    kind: NodeKind
    version: int
    node: NodeId | None = None
    size: int = 0
    item: int | None = None
    """Nothing lies there yet: this item of the same plan goes there"""


@dataclass(slots=True)
class Planner:
    """Makes the items of one page. `next_item` and `made` go on from page to page."""

    operation: Operation
    root: NodePath
    """What the targets are relative to: the operation's path, or the directory of one of the selected paths"""
    next_item: int
    made: dict[bytes, int | None] = field(default_factory=dict)
    """Of the target directories above the place that was reached: the item that makes it; None: it is there already"""
    items: list[OperationItem] = field(default_factory=list)
    goes: dict[NodePath, Occupant] = field(default_factory=dict)
    """Where items of this page make something appear"""
    records: Mapping[NodeId, NodeRecord] = field(default_factory=dict)
    """What is said of the nodes of this page, where that is to be changed"""

    def targets_of(self, node: PlannedNode) -> list[NodePath]:
        """Whose occupants `add` asks for."""
        target = self.target_of(node)
        return [] if target is None else [target, *(p for p in target.ancestors() if self._inside(p))]

    def target_of(self, node: PlannedNode) -> NodePath | None:
        operation = self.operation
        if operation.kind not in (OperationKind.COPY, OperationKind.MOVE) or operation.target_path is None:
            return None
        relative = node.path.raw[len(self.root.raw) :].lstrip(b"/")
        base = operation.target_path
        return base if not relative else NodePath(base.raw + b"/" + relative if base.raw else relative)

    def add(self, node: PlannedNode, occupants: Mapping[NodePath, Occupant], *, whole: bool) -> None:
        """`whole`: with everything below it, as one item."""
        match self.operation.kind:
            case OperationKind.DELETE:
                self._put(ItemKind.DELETE, node)
            case OperationKind.DESCRIBE:
                self._put(ItemKind.DESCRIBE, node)
            case OperationKind.VERIFY:
                if node.kind is NodeKind.FILE:
                    self._put(ItemKind.VERIFY, node)
            case OperationKind.TAG:
                if node.id in self.records:
                    self._append(planned(self.operation, node, self.records[node.id], self._number()))
            case OperationKind.MOVE | OperationKind.COPY:
                self._appear(node, occupants, whole=whole)
            case _:
                raise AssertionError("this kind is not planned from the nodes of a subtree")

    def _appear(self, node: PlannedNode, occupants: Mapping[NodePath, Occupant], *, whole: bool) -> None:
        target = self.target_of(node)
        assert target is not None
        if len(target.raw) > PATH_MAX:
            return self._refused(node, target, "INVALID_PATH", f"The target would have more than {PATH_MAX} bytes.")
        needs = self._directory(target.parent, occupants)
        if node.kind is NodeKind.DIRECTORY and not whole:
            self._directory(target, occupants)
            return
        kind = ItemKind.MOVE if self.operation.kind is OperationKind.MOVE else ItemKind.COPY
        there = self._at(target, occupants)
        if there is None:
            self._put(kind, node, target=target, needs=needs)
        else:
            self._conflict(kind, node, target, there, occupants, needs)

    def _conflict(
        self, kind: ItemKind, node: PlannedNode, target: NodePath, there: Occupant,
        occupants: Mapping[NodePath, Occupant], needs: int | None,
    ) -> None:  # fmt: skip
        match self.operation.options.on_conflict:
            case "overwrite" if there.item is not None:
                self._refused(node, target, "NODE_EXISTS", f"Item {there.item} of this plan goes there already.")
            case "overwrite" if there.kind is node.kind is NodeKind.FILE and kind is ItemKind.MOVE:
                # In two steps, so that both can be put back: the file at the target goes to the trash first.
                old = PlannedNode(
                    id=there.node or NodeId(0), kind=there.kind, state=NodeState.ACTIVE, version=there.version, path=target,
                    size=there.size,
                )  # fmt: skip
                self._put(ItemKind.DELETE, old, mount=self.operation.target_mount)
                self._put(kind, node, target=target, needs=self.items[-1].item)
            case "overwrite" if there.kind is node.kind is NodeKind.FILE:
                self._put(kind, node, target=target, needs=needs, target_version=there.version)
            case "overwrite":
                message = f"There is a {there.kind} at the target: only a file can be replaced, and only by a file."
                self._refused(node, target, "NOT_A_DIRECTORY", message)
            case "rename" if free := free_name(target, {**occupants, **self.goes}):
                self._put(kind, node, target=free, needs=needs)
            case "skip":
                self._refused(node, target, "NODE_EXISTS", "It is left as it is.", ItemState.SKIPPED)
            case _:
                self._refused(node, target, "NODE_EXISTS", "Something lies at the target already.")

    def _directory(self, path: NodePath, occupants: Mapping[NodePath, Occupant]) -> int | None:
        """The item that makes this directory of the target; None when it is there, or is not ours to make."""
        if not self._inside(path):
            return None
        self._leave_behind(path)
        if path.raw in self.made:
            return self.made[path.raw]
        needs = self._directory(path.parent, occupants)
        there = self._at(path, occupants)
        if there is not None and there.kind is NodeKind.DIRECTORY:
            self.made[path.raw] = there.item
            return there.item
        number = self._number()
        item = OperationItem(
            item=number,
            kind=ItemKind.MKDIR,
            path=path,
            node_kind=NodeKind.DIRECTORY,
            needs=needs,
            nodes=1,
            mount=self.operation.target_mount,
        )
        if there is not None:
            message = f"There is a {there.kind} where this directory should be."
            item = replace(item, state=ItemState.FAILED, code="NODE_EXISTS", message=message)
        self._append(item)
        self.made[path.raw] = number
        return number

    def _leave_behind(self, path: NodePath) -> None:
        """Only what is above this place is remembered."""
        for known in list(self.made):
            if path.raw != known and not path.raw.startswith(known + b"/"):
                del self.made[known]

    def _inside(self, path: NodePath) -> bool:
        """A directory that a copy of a tree has to make where it is missing."""
        base = self.operation.target_path
        return base is not None and (path == base or path.is_below(base))

    def _refused(
        self, node: PlannedNode, target: NodePath, code: str, message: str, state: ItemState = ItemState.FAILED
    ) -> None:
        kind = ItemKind.MOVE if self.operation.kind is OperationKind.MOVE else ItemKind.COPY
        self._put(kind, node, target=target, state=state, code=code, message=message)

    def _put(
        self,
        kind: ItemKind,
        node: PlannedNode,
        *,
        target: NodePath | None = None,
        needs: int | None = None,
        target_version: int | None = None,
        state: ItemState = ItemState.PENDING,
        code: str | None = None,
        message: str | None = None,
        mount: MountId | None = None,
    ) -> None:
        self._append(
            OperationItem(
                item=self._number(), kind=kind, path=node.path, target=target, node_id=node.id, node_kind=node.kind,
                version=node.version, target_version=target_version, size=node.size, nodes=node.nodes, needs=needs,
                state=state, code=code, message=message, mount=mount,
                target_mount=self.operation.target_mount if target is not None else None,
            )
        )  # fmt: skip

    def _append(self, item: OperationItem) -> None:
        self.items.append(item)
        if item.kind not in (ItemKind.DELETE, ItemKind.TAG) and item.state is ItemState.PENDING:
            at = item.target or item.path
            self.goes[at] = Occupant(item.node_kind, item.version or 0, size=item.size, item=item.item)

    def _at(self, place: NodePath, occupants: Mapping[NodePath, Occupant]) -> Occupant | None:
        return self.goes.get(place) or occupants.get(place)

    def _number(self) -> int:
        self.next_item += 1
        return self.next_item - 1


RENAMES = 20
"""How many names `rename` tries."""


_ENDING_MAX = 64
"""A longer one is no ending, but part of the name."""


def alternatives(path: NodePath) -> list[NodePath]:
    """Names beside this one, as desktops give them: `a (1).txt`. What makes a name too long is cut off before the number."""
    stem, dot, ending = path.name.rpartition(b".")
    if not stem or len(ending) > _ENDING_MAX:
        stem, dot, ending = path.name, b"", b""
    rests = [b" (%d)" % number + dot + ending for number in range(1, RENAMES + 1)]
    return [path.parent.child(_cut(stem, NAME_MAX - len(rest)) + rest) for rest in rests]


def _cut(name: bytes, most: int) -> bytes:
    """So many bytes of it, and no part of a character."""
    if len(name) <= most:
        return name
    while most > 0 and name[most] & 0xC0 == 0x80:
        most -= 1
    return name[:most]


def topmost(paths: Sequence[NodePath]) -> list[NodePath]:
    """Each of them that is not below another one, once, in their order."""
    distinct = dict.fromkeys(paths)
    return [path for path in distinct if distinct.keys().isdisjoint(path.ancestors())]


def free_name(path: NodePath, occupants: Mapping[NodePath, Occupant]) -> NodePath | None:
    """The first of them where nothing lies."""
    return next((one for one in alternatives(path) if one not in occupants), None)
