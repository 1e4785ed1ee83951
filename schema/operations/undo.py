"""Undo by selection: everything of a principal, a token, a piece of work, a time, a path, or a list of commands. Pure.

It goes back by the journal, the newest change first. A node goes back to before the latest unbroken run of the selection's
versions, and no further: what another principal did in between is never reached over. Moves, deletions and restores go back one
by one. Changes of content and metadata go back at once, to what was there before the first of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from schema.commands.command import CommandKind
from schema.ids import NodeId
from schema.nodes import NodeKind
from schema.operations.operation import ItemKind, ItemState, OperationItem
from schema.paths import NodePath


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlace:
    """A name in a directory, whatever the directory is called now."""

    parent: NodeId
    name: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """The file whose name a move has taken."""

    node: NodeId
    version: int
    """The last one with its content"""
    size: int
    place: NodePlace


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalChange:
    """An entry of the journal that the selection takes."""

    entry: int
    kind: CommandKind
    node: NodeId
    node_kind: NodeKind
    version: int
    """Of the node, afterwards"""
    previous: int | None
    """The version before. None: the change made the node"""
    revived: bool = False
    """The node was deleted before"""
    path: NodePath
    target: NodePath | None = None
    was: NodePlace | None = None
    """Where the node was before"""
    size: int = 0
    nodes: int = 1
    """With all that went along"""
    replaced: Replaced | None = None
    crossed: bool = False
    """It came from another mount"""
    followed: bool = False
    """The selection has a later version of this node"""
    superseded: bool = False
    """The same, and that one is of content or metadata, as this one is"""

    @property
    def place(self) -> NodePath:
        """Where the node was afterwards."""
        return self.target or self.path

    @property
    def revises(self) -> bool:
        """Content or metadata have changed, and the node has stayed."""
        if self.kind is CommandKind.DESCRIBE:
            return True
        appears = self.kind in (CommandKind.UPLOAD, CommandKind.COPY, CommandKind.RESTORE)
        return appears and self.previous is not None and not self.revived


@dataclass(frozen=True, slots=True)
class RunVersion:
    version: int
    content: bool = False
    metadata: bool = False

    @property
    def revises(self) -> bool:
        return self.content or self.metadata


@dataclass(frozen=True, slots=True)
class Run:
    """The latest versions of a node, the newest first, as far as all of them are the selection's."""

    current: int
    versions: Sequence[RunVersion]
    made: bool = False
    """It begins with the node itself: before it there was none"""
    same_content: bool = False
    same_metadata: bool = False
    """As before the run"""

    def has(self, version: int) -> bool:
        return any(one.version == version for one in self.versions)

    def revisions(self) -> list[tuple[ItemKind, int]]:
        """What brings content and metadata back, and to which version."""
        if self.made:
            return []
        content = [one.version for one in self.versions if one.content]
        metadata = [one.version for one in self.versions if one.metadata]
        back: list[tuple[ItemKind, int]] = []
        if content and not self.same_content:
            back.append((ItemKind.RESTORE, content[-1] - 1))
        if metadata and not self.same_metadata:
            back.append((ItemKind.DESCRIBE, metadata[-1] - 1))
        return back

    def version_at(self, version: int) -> int:
        """Which version the node has when it is this one's turn. Each item that came before has left a newer one: an item for each
        version, but those of content and metadata have theirs together, at the newest."""
        newer = [one for one in self.versions if one.version > version]
        revised = len(self.revisions()) if any(one.revises for one in newer) else 0
        return self.current + revised + sum(not one.revises for one in newer)


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoStep:
    """An item, and what has to be asked of the record before it can be planned."""

    item: OperationItem
    entry: int
    appears: NodePlace | None = None
    """Here it brings its node back: nobody else may have put anything there since"""
    tree: bool = False
    """It takes along what lies below"""
    content: int | None = None
    """It needs what was kept of this version"""


LEFT = {
    "VERSION_CONFLICT": "Something outside of the selection has changed it since. It is left as it is.",
    "NODE_EXISTS": "Something outside of the selection came to this place since. It is left as it is.",
    "CONTENT_EXPIRED": "What was there before is not kept any more.",
    "NOT_SUPPORTED": "It came from another mount. Move it back there.",
}


def left(item: OperationItem, code: str) -> OperationItem:
    """It does not go, and is listed."""
    return replace(item, state=ItemState.SKIPPED, code=code, message=LEFT[code])


@dataclass(slots=True)
class UndoPlanner:
    """Makes the items of one page of changes, the newest first."""

    next_item: int
    runs: Mapping[NodeId, Run]
    steps: list[UndoStep] = field(default_factory=list)

    def add(self, changes: Iterable[JournalChange]) -> None:
        for change in changes:
            self._add(change)

    def _add(self, change: JournalChange) -> None:
        run = self.runs.get(change.node)
        if change.crossed:
            self._leave(change, "NOT_SUPPORTED")
        elif run is None or not run.has(change.version):
            # Of what another principal came after, the newest change is listed.
            if not change.followed:
                self._leave(change, "VERSION_CONFLICT")
        elif not change.revises:
            self._put(_reversed(change), change, run.version_at(change.version), tree=change.nodes > 1)
        elif not change.superseded:
            version = run.version_at(change.version)
            for number, (kind, back) in enumerate(run.revisions()):
                item = _item(change, kind, change.place, content_version=back)
                self._put(item, change, version + number, content=back if kind is ItemKind.RESTORE else None)
        if change.replaced is not None and run is not None and run.has(change.version):
            self._return(change, change.replaced)

    def _leave(self, change: JournalChange, code: str) -> None:
        kind = ItemKind.DESCRIBE if change.kind is CommandKind.DESCRIBE else ItemKind.RESTORE
        item = _item(change, kind, change.place) if change.revises else _reversed(change)
        self._put(left(item, code), change, change.version)

    def _return(self, change: JournalChange, gone: Replaced) -> None:
        """The file whose name a move had taken comes back, when the move has gone back."""
        run, version = self.runs.get(gone.node), gone.version + 1
        item = OperationItem(
            item=0, kind=ItemKind.RESTORE, path=change.place, node_id=gone.node, version=version, size=gone.size
        )
        if run is None or not run.has(version):
            self.steps.append(
                UndoStep(item=left(self._numbered(item, version), "VERSION_CONFLICT"), entry=change.entry)
            )
            return
        item = self._numbered(item, run.version_at(version))
        self.steps.append(UndoStep(item=item, entry=change.entry, appears=gone.place, content=gone.version))

    def _put(
        self,
        item: OperationItem,
        change: JournalChange,
        version: int,
        *,
        tree: bool = False,
        content: int | None = None,
    ) -> None:
        item = self._numbered(item, version)
        restores = item.kind is ItemKind.RESTORE and item.content_version is None
        comes_back = item.kind is ItemKind.MOVE or restores
        self.steps.append(
            UndoStep(
                item=item,
                entry=change.entry,
                appears=change.was if comes_back else None,
                tree=tree and item.kind in (ItemKind.MOVE, ItemKind.DELETE),
                content=change.previous if restores else content,
            )
        )

    def _numbered(self, item: OperationItem, version: int) -> OperationItem:
        numbered = replace(item, item=self.next_item, version=version)
        self.next_item += 1
        return numbered


def _reversed(change: JournalChange) -> OperationItem:
    """What puts one change of place or life back."""
    if change.kind is CommandKind.MOVE and not change.crossed:
        return _item(change, ItemKind.MOVE, change.place, target=change.path)
    if change.kind is CommandKind.DELETE:
        return _item(change, ItemKind.RESTORE, change.path)
    return _item(change, ItemKind.DELETE, change.place)


def _item(
    change: JournalChange,
    kind: ItemKind,
    path: NodePath,
    *,
    target: NodePath | None = None,
    content_version: int | None = None,
) -> OperationItem:
    return OperationItem(
        item=0, kind=kind, path=path, target=target, node_id=change.node, node_kind=change.node_kind,
        content_version=content_version, size=change.size, nodes=change.nodes,
    )  # fmt: skip
