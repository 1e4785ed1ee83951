"""A look: which places of a mount it is about, since when it runs, and what came of it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from schema.ids import MountId


class LookState(StrEnum):
    READING = "reading"
    WAITING = "waiting"
    """A brake holds it: it would change much, and waits for a yes"""
    CONCLUDED = "concluded"
    DISCARDED = "discarded"
    """The mount was not there for all of it, or a person said no"""
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        return self not in (LookState.READING, LookState.WAITING)


@dataclass(frozen=True, slots=True)
class LookPlace:
    """`subtree`: with everything below it."""

    path: bytes
    subtree: bool = False

    def covers(self, path: bytes) -> bool:
        if not self.path:
            return self.subtree or not path
        return path == self.path or (self.subtree and path.startswith(self.path + b"/"))


def outermost(places: Sequence[LookPlace]) -> list[LookPlace]:
    """Without those that lie in another of them."""
    trees = [place for place in places if place.subtree]
    return [place for place in places if not any(tree.covers(place.path) and tree != place for tree in trees)]


@dataclass(frozen=True, slots=True)
class Look:
    """The id is its generation: a retry of it is the same look."""

    id: int
    tenant: str
    mount: MountId
    reason: str
    principal: str
    by_hand: bool
    places: Sequence[LookPlace]
    whole: bool
    state: LookState
    entries: int
    """Of the journal: what comes after it was done while the look ran"""
    conclusions: int
    """Of this mount, when it began"""
    claimed: Sequence[bytes]
    started_at: datetime
    released_by: str | None = None
    plan: Mapping[str, Any] | None = None
    counts: Mapping[str, Any] | None = None
    ending: Mapping[str, Any] | None = None
    """What it came to, once it is concluded, by the names of `LookEnd`"""
    problem: str | None = None
    """Why it ended without a conclusion"""

    def covers(self, path: bytes) -> bool:
        """Whether it looked at this place."""
        return self.whole or any(place.covers(path) for place in self.places)

    @property
    def allows(self) -> int:
        """So many changes a person has said yes to."""
        return int((self.plan or {}).get("allows", 0))


class Blocked:
    """Places where commands work, or have worked since the look began. A directory is one with all it holds, and one that holds
    such a place can go nowhere."""

    def __init__(self, paths: Sequence[bytes]) -> None:
        self._paths = set(paths)
        self._above = {path[:end] for path in self._paths for end in _ends(path)}

    def __contains__(self, path: bytes) -> bool:
        if not self._paths:
            return False
        return path in self._paths or path in self._above or any(path[:end] in self._paths for end in _ends(path))


def _ends(path: bytes) -> list[int]:
    """Of all paths above this one, but the root's."""
    return [at for at, byte in enumerate(path) if byte == 0x2F]
