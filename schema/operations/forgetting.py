"""The undo of an import: which of the nodes that it recorded leave the record, and which stay. Pure."""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from schema.ids import NodeId
from schema.nodes import NodeKind
from schema.operations.operation import ItemKind, ItemState, OperationItem
from schema.paths import NodePath

STAYS = {
    "VERSION_CONFLICT": "It has changed since it was imported. It stays in the record.",
    "CHILDREN_EXIST": "What it holds was not imported with it, or has changed since. It stays in the record.",
}
BUSY = "Commands were at this path, however often it was tried. Retry the operation."


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedNode:
    """A node that the import made, as it stands now."""

    node: NodeId
    kind: NodeKind
    version: int
    size: int
    path: NodePath
    moved: bool
    """Itself, or with a directory above it"""
    gone: bool
    """Deleted since"""

    @property
    def as_imported(self) -> bool:
        return self.version == 1 and not self.moved and not self.gone


def planned(nodes: Iterable[ImportedNode], kept: Collection[NodeId], first: int) -> list[OperationItem]:
    """`nodes`: what a directory holds before the directory. `kept`: directories with something in them that stays."""
    items = []
    for number, node in enumerate(nodes, first):
        code = None if node.as_imported else "VERSION_CONFLICT"
        if code is None and node.node in kept:
            code = "CHILDREN_EXIST"
        items.append(
            OperationItem(
                item=number, kind=ItemKind.FORGET, path=node.path, node_id=node.node, node_kind=node.kind, version=1,
                size=node.size, code=code, message=None if code is None else STAYS[code],
                state=ItemState.PENDING if code is None else ItemState.SKIPPED,
            )
        )  # fmt: skip
    return items


@dataclass(slots=True)
class Claimed:
    """Where commands are at work."""

    places: Sequence[bytes]
    """Sorted"""
    trees: frozenset[bytes] = field(default_factory=frozenset)

    @classmethod
    def of(cls, claims: Iterable[tuple[bytes, bool]]) -> "Claimed":
        """`claims`: paths, and whether all below is meant as well."""
        found = list(claims)
        return cls(sorted({path for path, _ in found}), frozenset(path for path, tree in found if tree))

    def holds(self, path: NodePath) -> bool:
        """At the place itself, below it, or at a whole tree above it."""
        at = bisect_left(self.places, path.raw)
        if at < len(self.places) and self.places[at] == path.raw:
            return True
        at = bisect_left(self.places, path.as_directory)
        if at < len(self.places) and self.places[at].startswith(path.as_directory):
            return True
        return any(above.raw in self.trees for above in path.ancestors())
