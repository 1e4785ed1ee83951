"""Events become hints: each name rests before it is spoken of, and a storm takes bounded memory.

A name rests when nothing has happened to it for `quiet` seconds, and for `rest` seconds where a program may still be writing.
None waits longer than `longest`: a log that is written without end is looked at from time to time. What waits lies in a tree, so
that a hint for a whole directory swallows those below it at no cost.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from schema.drift.hints import Hint, Reason

Names = tuple[bytes, ...]
"""A path as its names; the root has none"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long names rest, in seconds, and how many may wait. By name alone: a number in another's place is still a pace."""

    quiet: float = 0.5
    rest: float = 3.0
    longest: float = 15.0
    storm: float = 2.0
    """After more than a few at once the next are taken so much later"""
    unwatched: float = 900.0
    """How often trees that can not be watched are looked at"""
    most: int = 20_000
    """Names that wait at most: beyond it the fullest directories become one hint each"""


@dataclass(slots=True)
class WaitingName:
    """What waits at one place."""

    reason: str
    first: float
    last: float
    writing: bool
    subtree: bool

    def due_at(self, pace: Pace) -> float:
        return min(self.last + (pace.rest if self.writing else pace.quiet), self.first + pace.longest)


@dataclass(frozen=True, slots=True)
class Rested:
    """A hint whose place rests now. `first` is when its first event came: a caller that gives it back says so."""

    hint: Hint
    first: float


class _Place:
    """A name in the tree of what waits. `total`: how many wait here and below."""

    __slots__ = ("names", "total", "waiting")

    def __init__(self) -> None:
        self.names: dict[bytes, _Place] = {}
        self.waiting: WaitingName | None = None
        self.total = 0


class Gathering:
    """What waits for one mount. It belongs to one thread."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self._root = _Place()
        self._soonest = float("inf")

    def __len__(self) -> int:
        return self._root.total

    def note(
        self, names: Names, reason: str, now: float, *, writing: bool | None = None, subtree: bool = False,
        first: float | None = None,
    ) -> None:  # fmt: skip
        """Something happened at this place. `writing`: a program may go on writing into it; None: that is as it was."""
        waiting = self._covering(names)
        if waiting is None:
            waiting = self._waiting_at(names, WaitingName(reason, now, now, False, subtree))
            waiting.reason = reason
            if subtree:
                waiting.subtree = True
                self._forget_below(names)
        waiting.last = max(now, waiting.last)
        waiting.writing = waiting.writing if writing is None else writing
        waiting.first = min(waiting.first, now if first is None else first)
        self._soonest = min(self._soonest, waiting.due_at(self.pace))
        if self._root.total > self.pace.most:
            self._fold_fullest(now)

    def moved(self, source: Names, target: Names, now: float) -> None:
        """A file or directory went to another name, and what waits below it goes along. Where a hint for a whole tree covered it,
        such a hint goes along."""
        covering, itself = self._covering(source), self._at(source)
        writing = itself.writing if itself and not covering else None
        below = [] if covering else list(self._below(source))
        self._forget_below(source)
        self.note(source, Reason.LEFT, now, writing=False)
        self.note(target, Reason.ARRIVED, now, writing=writing, subtree=covering is not None)
        for names, one in below:
            self.note(target + names, one.reason, now, writing=one.writing, subtree=one.subtree, first=one.first)

    def take(self, now: float) -> list[Rested]:
        """The hints whose places rest. They do not wait here any more."""
        if now < self._soonest:
            return []
        rested: list[Rested] = []
        self._soonest = float("inf")
        for names, waiting in list(_all_waiting(self._root)):
            if (due := waiting.due_at(self.pace)) > now:
                self._soonest = min(self._soonest, due)
                continue
            rested.append(Rested(Hint(b"/".join(names), waiting.subtree, waiting.reason), waiting.first))
            self._remove(names)
        return rested

    def give_back(self, rested: Rested, now: float) -> None:
        """It could not be passed on: it waits again, from its first event on."""
        hint = rested.hint
        names = tuple(hint.path.split(b"/")) if hint.path else ()
        self.note(names, hint.reason, now, subtree=hint.subtree, first=rested.first)

    def _covering(self, names: Names) -> WaitingName | None:
        """The hint for a whole tree that this place lies in."""
        place = self._root
        if place.waiting is not None and place.waiting.subtree:
            return place.waiting
        for name in names:
            below = place.names.get(name)
            if below is None:
                return None
            place = below
            if place.waiting is not None and place.waiting.subtree:
                return place.waiting
        return None

    def _way(self, names: Names) -> list[_Place]:
        """The places from the root down, as far as there are any."""
        way = [self._root]
        for name in names:
            if (below := way[-1].names.get(name)) is None:
                break
            way.append(below)
        return way

    def _waiting_at(self, names: Names, new: WaitingName) -> WaitingName:
        way = self._way(names)
        for name in names[len(way) - 1 :]:
            below = way[-1].names[name] = _Place()
            way.append(below)
        place = way[-1]
        if place.waiting is None:
            place.waiting = new
            for one in way:
                one.total += 1
        return place.waiting

    def _at(self, names: Names) -> WaitingName | None:
        way = self._way(names)
        return way[-1].waiting if len(way) > len(names) else None

    def _below(self, names: Names) -> Iterator[tuple[Names, WaitingName]]:
        way = self._way(names)
        if len(way) > len(names):
            yield from ((path, one) for path, one in _all_waiting(way[-1]) if path)

    def _forget_below(self, names: Names) -> None:
        way = self._way(names)
        if len(way) > len(names):
            place = way[-1]
            gone = place.total - (place.waiting is not None)
            place.names.clear()
            for one in way:
                one.total -= gone

    def _remove(self, names: Names) -> None:
        way = self._way(names)
        way[-1].waiting = None
        for one in way:
            one.total -= 1
        for parent, name, place in zip(way, names, way[1:], strict=False):
            if place.total == 0:
                del parent.names[name]
                return

    def _fold_fullest(self, now: float) -> None:
        """The deepest directories that hold a good part of all become one hint each, until half of the room is free.
        One hint stays in any case: the root's, which covers all."""
        while self._root.total > max(1, self.pace.most // 2):
            for names in _deepest(self._root, max(2, self.pace.most // 16)):
                self._fold(names, now)

    def _fold(self, names: Names, now: float) -> None:
        first = min(one.first for _, one in _all_waiting(self._way(names)[-1]))
        self._forget_below(names)
        waiting = self._waiting_at(names, WaitingName(Reason.STORM, first, now, writing=False, subtree=True))
        waiting.reason, waiting.subtree, waiting.first = Reason.STORM, True, min(first, waiting.first)


def _all_waiting(top: _Place) -> Iterator[tuple[Names, WaitingName]]:
    """With the names below `top`. A stack of our own: paths on a disk are deeper than Python's."""
    stack: list[tuple[_Place, Names]] = [(top, ())]
    while stack:
        place, names = stack.pop()
        if place.waiting is not None:
            yield names, place.waiting
        stack += [(below, (*names, name)) for name, below in place.names.items()]


def _deepest(top: _Place, share: int) -> list[Names]:
    """The places with at least so many waiting, none of which has such a place below it."""
    found: list[Names] = []
    stack: list[tuple[_Place, Names]] = [(top, ())]
    while stack:
        place, names = stack.pop()
        fuller = [(below, (*names, name)) for name, below in place.names.items() if below.total >= share]
        if not fuller:
            found.append(names)
        stack += fuller
    return found
