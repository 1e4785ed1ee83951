"""What an undo by selection reads of the record: the changes that it takes, and the versions of their nodes. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from schema.commands.command import CommandKind
from schema.ids import CommandId, MountId, NodeId
from schema.nodes import NodeKind
from schema.operations.operation import ItemKind
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
class Departed(Replaced):
    """The node, with all below it, that has gone from another mount: what appeared is a copy."""

    mount: MountId


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalChange:
    """An entry of the journal that the selection takes."""

    entry: int
    command: CommandId
    kind: CommandKind
    mount: MountId
    """Where it took effect"""
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
    at: NodePlace | None = None
    """And where afterwards"""
    size: int = 0
    nodes: int = 1
    """With all that went along"""
    replaced: Replaced | None = None
    departed: Departed | None = None
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
    def appears_with_a_tree(self) -> bool:
        """All that lies below came along, or was made with it."""
        return self.nodes > 1 and self.kind is not CommandKind.DELETE

    @property
    def revises(self) -> bool:
        """Content or metadata have changed, and the node has stayed."""
        if self.kind is CommandKind.DESCRIBE:
            return True
        appears = self.kind in (CommandKind.UPLOAD, CommandKind.COPY, CommandKind.RESTORE)
        return appears and self.previous is not None and not self.revived


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordChange:
    """An entry of the journal that the selection takes: the Metastore said something else of a node."""

    entry: int
    mount: MountId
    node: NodeId
    version: int
    """Of the record, afterwards"""
    path: NodePath


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRun:
    """The latest versions of a record, as far as all of them are the selection's."""

    node_kind: NodeKind
    current: int
    before: int
    """The version that it goes back to: one that comes after the selection's changes where something else was said since"""
    last: int
    """The newest entry that the selection takes"""


@dataclass(frozen=True, slots=True)
class RunVersion:
    version: int
    entry: int = 0
    """Of the journal: it made this version"""
    deletes: bool = False
    """The node itself went, not a directory with it"""
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

    def of_entry(self, entry: int) -> int | None:
        """The version that this entry made."""
        return next((one.version for one in self.versions if one.entry == entry), None)

    def deleted_before(self, version: int) -> int | None:
        """The entry that deleted the node, if that was the change before."""
        return next((one.entry for one in self.versions if one.version == version - 1 and one.deletes), None)

    def version_at(self, version: int, without: Collection[int] = ()) -> int:
        """Which version the node has when it is this one's turn. Each item that came before has left a newer one: an item for each
        version, but those of content and metadata have theirs together, at the newest. `without`: entries that are not put back."""
        newer = [one for one in self.versions if one.version > version and one.entry not in without]
        revised = len(self.revisions()) if any(one.revises for one in newer) else 0
        return self.current + revised + sum(not one.revises for one in newer)
