"""All paths of a mount where one action is allowed, in a form that is asked quickly, here and in Postgres."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from schema.access.patterns import Pattern, pattern
from schema.paths import NodePath

T = TypeVar("T")
NameSets = tuple[frozenset[bytes] | None, frozenset[bytes] | None]
"""Of a directory: which names are allowed, and which are denied. None: all"""
Globs = dict[bytes, re.Pattern[str]]


@dataclass(frozen=True, slots=True)
class Reach:
    """What a set of patterns holds. `bounds`: of subtrees, where they begin and end, in order: a path is in one where the number
    of bounds that are not behind it is odd."""

    bounds: Sequence[bytes]
    globs: Sequence[Pattern]
    _by_start: Globs = field(compare=False, repr=False)

    def holds(self, path: NodePath) -> bool:
        return bisect_right(self.bounds, path.raw + b"/") % 2 == 1 or (bool(self._by_start) and self._fits(path))

    def _fits(self, path: NodePath) -> bool:
        text = path.raw.decode("latin-1")
        starts = [path.raw[:length] for length in (*path.ancestor_lengths(), len(path.raw))]
        return any((glob := self._by_start.get(start)) and glob.fullmatch(text) for start in starts)

    def covers(self, path: NodePath) -> bool:
        """The path, and whatever may be below it. A subtree says so; a glob holds all below what fits it."""
        return self.holds(path)

    def meets(self, path: NodePath) -> bool:
        """Whether the path, or something that may be below it, is held. Yes where it can not be told."""
        low, high = path.as_directory, path.raw + b"0" if path.raw else b"\xff" * 300
        inside = bisect_right(self.bounds, path.raw + b"/") % 2 == 1
        begins = bisect_right(self.bounds, high) > bisect_right(self.bounds, low)
        return inside or begins or any(glob.may_meet_below(path) for glob in self.globs)

    def below(self, path: NodePath) -> "Reach":
        """The same for the path and all below it, with only what is about them: a list of a directory asks for each of its rows."""
        globs = [glob for glob in self.globs if glob.may_meet_below(path)]
        if bisect_right(self.bounds, path.raw + b"/") % 2 == 1:
            return Reach([b""], globs, self._by_start)
        low, high = path.as_directory, path.raw + b"0" if path.raw else b"\xff" * 300
        return Reach(self.bounds[bisect_left(self.bounds, low) : bisect_left(self.bounds, high)], globs, self._by_start)

    def children(self, directory: NodePath) -> tuple[bool, list[bytes]]:
        """Of what lies in a directory itself, but for globs: whether all of it is held; otherwise which names are."""
        bounds, above = self.below(directory).bounds, len(directory.as_directory)
        if list(bounds) == [b""]:
            return True, []
        names = [low[above:-1] for low in bounds[::2]]
        return False, [name for name in names if b"/" not in name]

    @property
    def expression(self) -> str | None:
        """Of all globs together, for Postgres."""
        return "^(?:" + "|".join(one.expression or "" for one in self.globs) + ")$" if self.globs else None


def reach(patterns: Iterable[Pattern]) -> Reach:
    patterns = list(patterns)
    globs = sorted({one for one in patterns if one.expression is not None}, key=lambda one: one.text)
    subtrees = sorted({one.start.as_directory for one in patterns if one.expression is None})
    by_start: dict[bytes, list[str]] = {}
    for one in globs:
        by_start.setdefault(one.start.raw, []).append(one.expression or "")
    compiled = {start: re.compile("|".join(f"(?:{e})" for e in some), re.DOTALL) for start, some in by_start.items()}
    return Reach(_bounds(subtrees), globs, compiled)


def _bounds(subtrees: Sequence[bytes]) -> list[bytes]:
    """`subtrees` in order, each ending with '/', the root empty. One inside of another adds nothing."""
    bounds: list[bytes] = []
    for low in subtrees:
        if not low:
            return [b""]
        if bounds and low < bounds[-1]:
            continue
        bounds += [low, low[:-1] + b"0"]  # '0' comes right after '/'
    return bounds


KEPT_MAX = 32
"""So many places of one token are kept made"""


def _kept(known: dict[bytes, T], path: bytes, make: Callable[[], T]) -> T:
    """Any number of threads may ask."""
    found = known.get(path)
    if found is None:
        if len(known) >= KEPT_MAX:
            known.clear()
        found = known[path] = make()
    return found


@dataclass(frozen=True, slots=True)
class Places:
    """Allowed is what the one reach holds and the other does not."""

    allowed: Reach
    denied: Reach
    _near: dict[bytes, "Places"] = field(default_factory=dict, compare=False, repr=False)
    _names: dict[bytes, dict[str, Any]] = field(default_factory=dict, compare=False, repr=False)
    _sets: dict[bytes, NameSets] = field(default_factory=dict, compare=False, repr=False)
    hides: set[bytes] = field(default_factory=set, compare=False, repr=False)
    """Directories of which something was not to be seen when they were last listed: a guess"""

    def hold(self, path: NodePath) -> bool:
        return self.allowed.holds(path) and not self.denied.holds(path)

    def hold_tree(self, path: NodePath) -> bool:
        """The path and whatever may be below it."""
        return self.allowed.covers(path) and not self.denied.meets(path)

    def below(self, path: NodePath) -> "Places":
        """The same for the path and all below it. Made once for a place that is asked about often: of a thousand grants that
        takes longer than looking up a page of names in them."""
        return _kept(self._near, path.raw, lambda: Places(self.allowed.below(path), self.denied.below(path)))

    @property
    def whole(self) -> bool:
        """The whole mount"""
        return list(self.allowed.bounds) == [b""] and not self.denied.bounds and not self.denied.globs

    @property
    def none(self) -> bool:
        """Nothing is allowed, or all is denied."""
        return (not self.allowed.bounds and not self.allowed.globs) or list(self.denied.bounds) == [b""]

    def values(self) -> dict[str, Any]:
        """The parameters of the query fragments that select readable paths."""
        return {
            "all_readable": self.whole,
            "allowed": list(self.allowed.bounds), "allowed_glob": self.allowed.expression,
            "denied": list(self.denied.bounds), "denied_glob": self.denied.expression,
        }  # fmt: skip

    def names_in(self, directory: NodePath) -> dict[str, Any]:
        """Those of the query that selects what is readable of what lies in a directory itself: it goes by name."""
        return _kept(self._names, directory.raw, lambda: self._names_in(directory))

    def hold_all_in(self, directory: NodePath, names: Collection[bytes]) -> bool:
        """Whether all of these may be seen of what lies in a directory itself. Of a hundred names it is told sooner than Postgres
        leaves out those that may not."""
        allowed, denied = _kept(self._sets, directory.raw, lambda: self._sets_in(directory))
        if self.allowed.globs or self.denied.globs:
            return all(self.hold(NodePath(directory.as_directory + name)) for name in names)
        return (allowed is None or allowed.issuperset(names)) and denied is not None and denied.isdisjoint(names)

    def _sets_in(self, directory: NodePath) -> NameSets:
        (all_allowed, allowed), (all_denied, denied) = self.allowed.children(directory), self.denied.children(directory)
        return None if all_allowed else frozenset(allowed), None if all_denied else frozenset(denied)

    def _names_in(self, directory: NodePath) -> dict[str, Any]:
        allowed, denied = self.allowed.children(directory), self.denied.children(directory)
        return {
            "all_allowed": allowed[0], "allowed_names": b"/".join(allowed[1]), "allowed_glob": self.allowed.expression,
            "all_denied": denied[0], "denied_names": b"/".join(denied[1]), "denied_glob": self.denied.expression,
        }  # fmt: skip


EVERYWHERE = Places(reach([pattern("")]), reach([]))
