"""How a subtree becomes what it was at a time, as items. Pure: what was, what is, and what lies in the way, are told.

What was is told in the order of a tree: a directory before what it held, its entries by kind and name. So a directory is where it
was before its content goes there, and of two nodes it is known which one came first. What lies in the way and goes back itself,
but later, is moved aside until its turn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from schema.ids import NodeId
from schema.nodes import NodeKind
from schema.operations.operation import ItemKind, ItemState, Operation, OperationItem
from schema.operations.planning import Occupant, free_name
from schema.operations.restoring import made_directory
from schema.paths import NAME_MAX, NodePath

_RANK = {
    kind: rank for rank, kind in enumerate((NodeKind.DIRECTORY, NodeKind.FILE, NodeKind.SYMLINK, NodeKind.SPECIAL))
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Then:
    """A node as it was."""

    id: NodeId
    path: NodePath
    kind: NodeKind
    version: int
    size: int = 0
    sha256: bytes | None = None
    metadata: str = "{}"
    available: bool = True
    """Its content can still be had"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """The same node as it is."""

    path: NodePath
    """Where it lies; of a deleted one where it lay"""
    version: int
    gone: bool = False
    left: str | None = None
    """The command that deleted it"""
    kept: bool = True
    """What it was when it was deleted is still there"""
    size: int = 0
    sha256: bytes | None = None
    metadata: str = "{}"
    nodes: int = 1
    """Of a deleted directory: with all that comes back with it; `size` is of all of it, too"""


@dataclass(frozen=True, slots=True, kw_only=True)
class InTheWay:
    """What lies where something belongs."""

    occupant: Occupant
    then: NodePath | None = None
    """Where it lay at the time; None: not in this subtree"""
    new: bool = False
    """There was no such node at the time"""
    along: bool = False
    """It does not lie there yet: it comes back with its directory"""


@dataclass(frozen=True, slots=True)
class Return:
    """A deleted directory that comes back: what deleted it, where it lay, where it goes, and how many others have moved before."""

    left: str
    lay: bytes
    goes: bytes
    moves: int
    node: NodeId


@dataclass(slots=True)
class Rewinder:
    """Makes the items of one page; all but `items` goes on from page to page."""

    operation: Operation
    next_item: int = 0
    made: dict[bytes, int | None] = field(default_factory=dict)
    """Of the directories above the place that was reached: the item that brings it there; None: it is there"""
    moved: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Directories that moved, from where to where, in the order of their items"""
    aside: dict[int, bytes] = field(default_factory=dict)
    """Nodes that were moved aside, and where to"""
    back: list[Return] = field(default_factory=list)
    """Deleted directories that come back"""
    lost: bytes = b""
    """A directory that can not go back: what it held is not asked about"""
    items: list[OperationItem] = field(default_factory=list)
    emptied: list[tuple[NodeId, int, NodePath, int]] = field(default_factory=list)
    """Directories that go when all that they hold has gone, with version and path, and how many others had moved by then"""

    @property
    def blocked(self) -> bool:
        return any(one.state is ItemState.FAILED and one.code != "CONTENT_EXPIRED" for one in self.items)

    def place_of(self, id: NodeId, now: Since) -> NodePath | None:
        """Where a node lies when the items so far are done; None: it is in the trash."""
        if id in self.aside:
            return NodePath(self.aside[id])
        if not now.gone:
            return self.now(now.path)
        way = self.way_of(now.left, now.path.raw)
        return None if way is None else self.lands(way, now.path.raw[len(way.lay) :])

    def way_of(self, left: str | None, lay: bytes) -> Return | None:
        """With which directory something comes back: the innermost, for what has come back by itself is not in those around it."""
        ways = [one for one in self.back if one.left == left and (lay == one.lay or lay.startswith(one.lay + b"/"))]
        return max(ways, key=lambda one: len(one.lay), default=None)

    def lands(self, way: Return, below: bytes) -> NodePath:
        """Where something in a directory that comes back lies when the items so far are done."""
        return _moved(NodePath(way.goes + below), self.moved[way.moves :])

    def now(self, path: NodePath) -> NodePath:
        """Where what lies at a path lies when the items so far are done."""
        return _moved(path, self.moved)

    def before(self, path: NodePath) -> NodePath | None:
        """Where what lies at a path then lies now. None: nothing does that lies anywhere now."""
        lies = _moved(path, [(target, source) for source, target in reversed(self.moved)])
        return lies if self.now(lies) == path else None

    def add(
        self, then: Then, now: Since, there: InTheWay | None, occupants: Mapping[NodePath, Occupant] | None = None
    ) -> None:
        """`there`: what lies where it was, if that is another node. `occupants`: of the names beside, for `rename`."""
        if self.lost and then.path.raw.startswith(self.lost):
            return
        place = self.place_of(then.id, now)
        version = now.version + (then.id in self.aside) + (now.gone and place is not None)
        self._leave_behind(then.path)
        if place != then.path:
            if place is None and not now.kept and then.kind is not NodeKind.DIRECTORY:
                return self._refused(then, now, "CONTENT_EXPIRED", "Its content is kept no longer.", ItemState.FAILED)
            if not self._goes(then, now, place, version, there, occupants or {}):
                return
            version += 1
        elif then.kind is NodeKind.DIRECTORY:
            self.made.setdefault(then.path.raw, self.made.get(then.path.parent.raw))
        self._content(then, now, version)

    def remove(self, node: NodeId, version: int, path: NodePath, kind: NodeKind, size: int) -> None:
        """A node that was not there. It goes only by choice; else it is listed. A directory goes when it is empty."""
        item = OperationItem(
            item=self._number(),
            kind=ItemKind.DELETE,
            path=path,
            node_id=node,
            node_kind=kind,
            version=version,
            size=size,
        )
        if not self.operation.options.remove_new:
            text = "It was not there at the time. It stays; `removeNew` would delete it."
            item = replace(item, state=ItemState.SKIPPED, code="NEW_SINCE", message=text)
        self.items.append(item)

    def empty(self, node: NodeId, version: int, path: NodePath) -> None:
        """This directory goes at the end, when all that it holds has gone."""
        self.emptied.append((node, version, path, len(self.moved)))

    def remove_empty(self, directories: Sequence[tuple[NodeId, int, NodePath, int]]) -> None:
        """Those inside before those around them."""
        lie = [(_moved(path, self.moved[moves:]), node, version) for node, version, path, moves in directories]
        for path, node, version in sorted(lie, reverse=True):
            self.remove(node, version, path, NodeKind.DIRECTORY, 0)

    def moved_in(self, node: NodeId, version: int, path: NodePath, kind: NodeKind) -> None:
        """It was elsewhere at the time: outside of what goes back, which is not asked about."""
        text = "It lay outside of this subtree at the time, and stays. Move it by itself."
        self.items.append(
            OperationItem(
                item=self._number(), kind=ItemKind.MOVE, path=path, node_id=node, node_kind=kind, version=version,
                state=ItemState.SKIPPED, code="NEW_SINCE", message=text,
            )
        )  # fmt: skip

    def _goes(
        self, then: Then, now: Since, place: NodePath | None, version: int, there: InTheWay | None,
        occupants: Mapping[NodePath, Occupant],
    ) -> bool:  # fmt: skip
        """It goes where it was. False: it can not; a directory's content can, into the one that lies there."""
        target: NodePath | None = then.path
        needs = self.made.get(then.path.parent.raw)
        if there is not None and not self._free(then, there):
            if there.occupant.kind is then.kind is NodeKind.DIRECTORY:
                self.made[then.path.raw] = None
                text = "Another directory lies where this one was. What this one held goes into that one."
                self._refused(then, now, "NODE_EXISTS", text, ItemState.SKIPPED)
                if place is not None and self.operation.options.remove_new:
                    self.empty(then.id, version, place)
                return False
            target, removed = self._cleared(then, now, there, occupants)
            needs = needs if removed is None else removed
        if target is None:
            self.lost = then.path.as_directory if then.kind is NodeKind.DIRECTORY else b""
            return False
        item = self._journey(then, now, place, version, target, needs)
        self.items.append(item)
        if then.kind is NodeKind.DIRECTORY:
            self._went(then, now, place, target, item)
        return target == then.path and item.kind is not ItemKind.MKDIR

    def _free(self, then: Then, there: InTheWay) -> bool:
        """What lies there has gone by now, or goes aside."""
        if there.occupant.node in self.aside:
            return True
        if there.then is None or there.along:
            return False
        if _order(there.then, there.occupant.kind) > _order(then.path, then.kind):
            self._move_aside(then.path, there)
        return True

    def _move_aside(self, path: NodePath, way: InTheWay) -> None:
        there = way.occupant
        number = self._number()
        ending = b" (moving %d)" % number
        target = path.parent.child(path.name[: NAME_MAX - len(ending)] + ending)
        self.items.append(
            OperationItem(
                item=number, kind=ItemKind.MOVE, path=path, target=target, node_id=there.node, node_kind=there.kind,
                version=there.version + way.along, size=there.size,
            )
        )  # fmt: skip
        assert there.node is not None
        self.aside[there.node] = target.raw
        if there.kind is NodeKind.DIRECTORY:
            self.moved.append((path.raw, target.raw))

    def _cleared(
        self, then: Then, now: Since, there: InTheWay, occupants: Mapping[NodePath, Occupant]
    ) -> tuple[NodePath | None, int | None]:
        """Where it goes, and the item that makes room; None: it stays where it is."""
        choice, goes = self.operation.options.on_conflict, there.new and self.operation.options.remove_new
        if goes and there.occupant.kind is NodeKind.DIRECTORY:
            self._move_aside(then.path, there)  # it goes at the end, when what it holds has gone
            return then.path, self.items[-1].item
        if goes or (choice == "overwrite" and there.occupant.kind is then.kind is NodeKind.FILE):
            number = self._number()
            occupant = there.occupant
            self.items.append(
                OperationItem(
                    item=number, kind=ItemKind.DELETE, path=then.path, node_id=occupant.node, node_kind=occupant.kind,
                    version=occupant.version + there.along, size=occupant.size,
                )
            )  # fmt: skip
            return then.path, number
        if choice == "rename" and (free := free_name(then.path, occupants)):
            return free, None
        state = ItemState.SKIPPED if choice == "skip" else ItemState.FAILED
        text = f"Another {there.occupant.kind} lies where it was. Choose `rename`, `skip` or, for files, `overwrite`."
        self._refused(then, now, "NODE_EXISTS", text, state)
        return None, None

    def _journey(
        self, then: Then, now: Since, place: NodePath | None, version: int, target: NodePath, needs: int | None
    ) -> OperationItem:
        if place is None and not now.kept:
            return made_directory(self._number(), target, needs, None)
        path = now.path if place is None else place
        return OperationItem(
            item=self._number(), kind=ItemKind.RESTORE if place is None else ItemKind.MOVE, path=path,
            target=None if target == path else target, node_id=then.id, node_kind=then.kind, version=version,
            size=now.size, nodes=1 if place is not None else now.nodes, needs=needs,
        )  # fmt: skip

    def _went(self, then: Then, now: Since, place: NodePath | None, target: NodePath, item: OperationItem) -> None:
        self.made[then.path.raw] = item.item
        if item.kind is ItemKind.MOVE and place is not None:
            self.moved.append((place.raw, target.raw))
        elif item.kind is ItemKind.RESTORE and now.left is not None:
            self.back.append(Return(now.left, now.path.raw, target.raw, len(self.moved), then.id))

    def _content(self, then: Then, now: Since, version: int) -> None:
        """Its content, then its metadata, become those that it had."""
        known = then.sha256 is not None and now.sha256 is not None and then.sha256 != now.sha256
        needs = self.made.get(then.path.parent.raw)
        if then.kind is NodeKind.FILE and (known or then.size != now.size):
            item = OperationItem(
                item=self._number(), kind=ItemKind.RESTORE, path=then.path, node_id=then.id, node_kind=then.kind,
                version=version, content_version=then.version, size=then.size, needs=needs,
            )  # fmt: skip
            if not then.available:
                text = "The content that it had is kept no longer."
                item = replace(item, state=ItemState.FAILED, code="CONTENT_EXPIRED", message=text)
            self.items.append(item)
            version += then.available
        if then.metadata != now.metadata:
            self.items.append(
                OperationItem(
                    item=self._number(), kind=ItemKind.DESCRIBE, path=then.path, node_id=then.id, node_kind=then.kind,
                    version=version, content_version=then.version, needs=needs,
                )
            )  # fmt: skip

    def _refused(self, then: Then, now: Since, code: str, message: str, state: ItemState) -> None:
        self.items.append(
            OperationItem(
                item=self._number(), kind=ItemKind.RESTORE if now.gone else ItemKind.MOVE, path=now.path, target=then.path,
                node_id=then.id, node_kind=then.kind, version=now.version, size=now.size, state=state, code=code,
                message=message,
            )
        )  # fmt: skip

    def _leave_behind(self, path: NodePath) -> None:
        for known in list(self.made):
            if path.raw != known and not path.raw.startswith(known + b"/"):
                del self.made[known]

    def _number(self) -> int:
        self.next_item += 1
        return self.next_item - 1


def _moved(path: NodePath, moves: Sequence[tuple[bytes, bytes]]) -> NodePath:
    raw = path.raw
    for source, target in moves:
        if raw == source or raw.startswith(source + b"/"):
            raw = target + raw[len(source) :]
    return NodePath(raw)


def _order(path: NodePath, kind: NodeKind) -> list[tuple[int, bytes]]:
    """The place of a node in the tree: directories come before other entries, each with all that it holds."""
    *above, name = path.raw.split(b"/")
    return [*((0, one) for one in above), (_RANK[kind], name)]
