"""Many hints become few: a tree of which much has changed is looked at as a whole."""

from collections.abc import Callable, Iterable

from schema.drift.gather import Names
from schema.drift.hints import Hint, Reason

FEW = 64
"""As many hints need no folding: one look takes them all"""

Breadth = Callable[[Names, int], int]
"""How many directories lie in a tree, counted no further than the number says"""


class _Tree:
    """`total`: how many places have changed here and below; `hints`: what is left of them once it is folded."""

    __slots__ = ("hint", "hints", "names", "total")

    def __init__(self) -> None:
        self.names: dict[bytes, _Tree] = {}
        self.hint: Hint | None = None
        self.hints: list[Hint] = []
        self.total = 0

    def fold(self, names: Names, breadth: Breadth, few: int) -> None:
        if self.hint is not None and self.hint.subtree:
            self.hints = [self.hint]
            return
        left = [self.hint] if self.hint else []
        for below in self.names.values():
            left += below.hints
            below.hints = []
        if len(left) > few and breadth(names, self.total + 1) <= self.total:
            left = [Hint(b"/".join(names), True, Reason.STORM)]
        self.hints = left


def fold(hints: Iterable[Hint], breadth: Breadth, few: int = FEW) -> list[Hint]:
    """The same places in fewer hints, from the depth up: each tree no wider than it has to be.

    A directory is looked at as a whole where more than `few` hints of it are left, and it holds no more directories than changes:
    then the walk costs no more than a look at each. Two names of a huge tree never make a walk of it.
    """
    root = _grown(hints)
    order: list[tuple[_Tree, Names]] = [(root, ())]
    for tree, names in order:  # it grows as it goes: parents before their children
        order += [(below, (*names, name)) for name, below in tree.names.items()]
    for tree, names in reversed(order):
        tree.fold(names, breadth, few)
    return root.hints


def _grown(hints: Iterable[Hint]) -> _Tree:
    root = _Tree()
    for hint in hints:
        way = [root]
        for name in hint.path.split(b"/") if hint.path else ():
            way.append(way[-1].names.setdefault(name, _Tree()))
        before = way[-1].hint
        if before is None or hint.subtree:
            way[-1].hint = hint
        if before is None:
            for one in way:
                one.total += 1
    return root
