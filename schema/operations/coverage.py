"""The few subtrees that have all places of a plan below them: what the operation claims against others. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from schema.ids import MountId
from schema.operations.operation import ItemState, OperationItem
from schema.paths import NodePath

SUBTREES_MOST = 64
"""More than so many become fewer, each with more below it"""


@dataclass(slots=True)
class Coverage:
    """Grows from page to page of a plan."""

    home: MountId
    """The mount of items that name none"""
    trees: set[tuple[MountId, NodePath]] = field(default_factory=set)

    def add(self, items: Iterable[OperationItem]) -> None:
        """What is not to be done needs nothing."""
        for item in items:
            if item.state is ItemState.PENDING:
                self.trees.add((item.mount or self.home, item.path))
                if item.target is not None:
                    self.trees.add((item.target_mount or self.home, item.target))
        self._narrow()

    def _narrow(self) -> None:
        """None below another one, and not too many: those that lie deepest are taken together by their directories."""
        self._drop_covered()
        while len(self.trees) > SUBTREES_MOST and (deepest := max(path.depth for _, path in self.trees)):
            self.trees = {(mount, path.parent if path.depth == deepest else path) for mount, path in self.trees}
            self._drop_covered()

    def _drop_covered(self) -> None:
        self.trees = {
            (mount, path) for mount, path in self.trees if not any((mount, a) in self.trees for a in path.ancestors())
        }

    def to_json(self) -> list[tuple[int, str]]:
        return sorted((mount, path.raw.hex()) for mount, path in self.trees)

    @classmethod
    def of_json(cls, home: MountId, stored: Sequence[tuple[int, str]]) -> "Coverage":
        return cls(home, {(MountId(mount), NodePath(bytes.fromhex(path))) for mount, path in stored})


def common(places: Mapping[MountId, Sequence[NodePath]]) -> list[tuple[MountId, NodePath]]:
    """Of each mount the deepest directory that has all of these places below it."""
    return [(mount, _deepest(paths)) for mount, paths in sorted(places.items())]


def _deepest(places: Sequence[NodePath]) -> NodePath:
    if not places:
        return NodePath(b"")
    first, *others = ([*place.ancestors()] for place in places)
    shared = [above for above in first if all(above in other for other in others)]
    return shared[-1] if shared else NodePath(b"")
