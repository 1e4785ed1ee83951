"""How what the trash keeps becomes items that bring it back. Pure: what is kept, and what lies where it goes, is told.

What went last comes back first, so that a directory is there again before what had left it earlier. A name is taken once: of two
files that were deleted under one name only the later one comes back; what an earlier directory held goes into the later one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from schema.ids import NodeId
from schema.nodes import NodeKind
from schema.operations.operation import ItemKind, ItemState, Operation, OperationItem
from schema.operations.planning import Occupant, alternatives, free_name
from schema.paths import NodePath

Key = TypeVar("Key")
_REMEMBERED = 500
"""The directories that a plan makes and remembers. One that it forgets is made once more, which changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Returnable:
    """Something that is kept, and would come back."""

    node: NodeId
    kind: NodeKind
    path: NodePath
    """Where it lay"""
    version: int
    """Of the node, as it is now"""
    content_version: int | None = None
    """The node lives: this older content would be its newest"""
    size: int = 0
    nodes: int = 1
    expired: bool = False
    outdone: bool = False
    """Something that was deleted later comes back under this name"""
    left: str | None = None
    """The command that deleted it"""
    parent_left: str | None = None
    """The command that deleted its directory, where that lay at this path to the end"""


@dataclass(slots=True)
class RestorePlanner:
    """Makes the items of one page. `next_item` and `made` go on from page to page."""

    operation: Operation
    next_item: int
    made: dict[bytes, int] = field(default_factory=dict)
    """Directories that the plan makes or brings back, and the items that do"""
    back: dict[str, int] = field(default_factory=dict)
    """Commands that deleted directories which come back whole, and the items that bring them"""
    items: list[OperationItem] = field(default_factory=list)

    @property
    def blocked(self) -> bool:
        """A conflict that ends the operation before anything is begun. What is kept no longer is no conflict: no choice would
        bring it back."""
        return any(one.state is ItemState.FAILED and one.code != "CONTENT_EXPIRED" for one in self.items)

    def places_of(self, one: Returnable) -> list[NodePath]:
        """Whose occupants `add` asks for."""
        beside = alternatives(one.path) if self.operation.options.on_conflict == "rename" else []
        return [one.path, *beside, *one.path.ancestors()[1:]]

    def merges(self, one: Returnable, occupants: Mapping[NodePath, Occupant]) -> bool:
        """A directory comes back where another one lies, or will: what it holds goes into that one."""
        if one.kind is not NodeKind.DIRECTORY or one.expired:
            return False
        there = occupants.get(one.path)
        lies = there is not None and there.kind is NodeKind.DIRECTORY and self.operation.options.on_conflict != "rename"
        return one.outdone or one.path.raw in self.made or lies

    def add(
        self, one: Returnable, occupants: Mapping[NodePath, Occupant], *, named: bool = False, top: bool = False
    ) -> None:
        """`named`: the request names this very path. `top`: it was deleted by itself, not along with a directory above."""
        if one.expired:
            return self._refused(one, "CONTENT_EXPIRED", "Its content is kept no longer.", ItemState.FAILED)
        if one.content_version is not None:
            return self._content(one, named)
        if one.outdone:
            text = "What was deleted later under this name comes back instead. Restore this one by its id, to another path."
            return self._refused(one, "NODE_EXISTS", text, ItemState.SKIPPED)
        there = occupants.get(one.path)
        if one.parent_left in self.back:
            return self._put(one, needs=self.back[one.parent_left])
        needs = self._directory(one.path.parent, occupants)
        if there is None:
            self._put(one, needs=needs)
            if top and one.kind is NodeKind.DIRECTORY and one.left is not None:
                _remember(self.back, one.left, self.items[-1].item)
                _remember(self.made, one.path.raw, self.items[-1].item)
        else:
            self._conflict(one, there, occupants, needs)

    def make(self, path: NodePath, occupants: Mapping[NodePath, Occupant]) -> None:
        """A directory that is meant by itself, though not with all that it held."""
        self._directory(path, occupants)

    def _content(self, one: Returnable, named: bool) -> None:
        """The file lives. Its content of now makes room for that of then only where that is asked for; it is kept in turn."""
        if named or self.operation.options.on_conflict == "overwrite":
            self._put(one)
        else:
            text = "The file has newer content. Name its path, or choose `overwrite`, to have the older one back."
            self._refused(one, "NODE_EXISTS", text, ItemState.SKIPPED)

    def _conflict(
        self, one: Returnable, there: Occupant, occupants: Mapping[NodePath, Occupant], needs: int | None
    ) -> None:
        match self.operation.options.on_conflict:
            case "overwrite" if there.kind is one.kind is NodeKind.FILE:
                # In two steps, so that both can be put back: the file that lies there goes to the trash first.
                self.items.append(removal(self._number(), one.path, there))
                self._put(one, needs=self.items[-1].item)
            case "rename" if free := free_name(one.path, occupants):
                self._put(replace(one), needs=needs, target=free)
            case "skip":
                self._refused(one, "NODE_EXISTS", "What lies there is left as it is.", ItemState.SKIPPED)
            case _:
                text = f"There is a {there.kind} at this path. Choose `rename`, `skip` or, for files, `overwrite`."
                self._refused(one, "NODE_EXISTS", text, ItemState.FAILED)

    def _directory(self, path: NodePath, occupants: Mapping[NodePath, Occupant]) -> int | None:
        """The item that makes this directory; None: it is there."""
        there = occupants.get(path)
        if not path.raw or (there is not None and there.kind is NodeKind.DIRECTORY):
            return None
        if path.raw in self.made:
            return self.made[path.raw]
        needs = self._directory(path.parent, occupants)
        item = made_directory(self._number(), path, needs, there)
        self.items.append(item)
        _remember(self.made, path.raw, item.item)
        return item.item

    def _put(self, one: Returnable, *, needs: int | None = None, target: NodePath | None = None) -> None:
        self.items.append(restoration(self._number(), one, needs=needs, target=target))

    def _refused(self, one: Returnable, code: str, message: str, state: ItemState) -> None:
        item = restoration(self._number(), one)
        self.items.append(replace(item, state=state, code=code, message=message))

    def _number(self) -> int:
        self.next_item += 1
        return self.next_item - 1


def _remember(items: dict[Key, int], key: Key, item: int) -> None:
    items[key] = item
    while len(items) > _REMEMBERED:
        del items[next(iter(items))]


def restoration(
    number: int, one: Returnable, *, needs: int | None = None, target: NodePath | None = None
) -> OperationItem:
    return OperationItem(
        item=number, kind=ItemKind.RESTORE, path=one.path, target=target, node_id=one.node, node_kind=one.kind,
        version=one.version, content_version=one.content_version, size=one.size, nodes=one.nodes, needs=needs,
    )  # fmt: skip


def removal(number: int, path: NodePath, there: Occupant) -> OperationItem:
    """What lies there goes to the trash."""
    return OperationItem(
        item=number, kind=ItemKind.DELETE, path=path, node_id=there.node, node_kind=there.kind, version=there.version,
        size=there.size,
    )  # fmt: skip


def made_directory(number: int, path: NodePath, needs: int | None, there: Occupant | None) -> OperationItem:
    item = OperationItem(item=number, kind=ItemKind.MKDIR, path=path, node_kind=NodeKind.DIRECTORY, needs=needs)
    if there is None:
        return item
    message = f"There is a {there.kind} where this directory should be. Move it away first."
    return replace(item, state=ItemState.FAILED, code="NODE_EXISTS", message=message)
