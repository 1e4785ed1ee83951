"""Whether what lies at a name is as our own commands left it. Identity decides, and never time: nobody knows how late an event is.

A hint that is dropped here speaks of nothing new: the same file lies there with the same stamps, the change time of its inode among
them, and that one nobody can set. Or nothing lies there, and the record says the same.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto

from schema.drift.hints import Hint

Facts = tuple[int | None, ...]
"""Device, inode, birth, size, mtime, ctime, mode"""
_WHICH, _MODE = slice(0, 3), 6


@dataclass(frozen=True, slots=True)
class RecordedName:
    """What the record has at a name. `known`: a living node; `claimed`: a command works there."""

    known: bool = False
    active: bool = False
    directory: bool = False
    facts: Facts = ()
    claimed: bool = False


@dataclass(frozen=True, slots=True)
class There:
    """What lies there. Without facts nothing does."""

    facts: Facts = ()
    directory: bool = False


class Own(Enum):
    OURS = auto()
    """As the record has it: nothing to look at"""
    BUSY = auto()
    """A command works there: its end decides"""
    STRANGE = auto()


def whose(there: There, recorded: RecordedName) -> Own:
    if _as_recorded(there, recorded):
        return Own.OURS
    return Own.BUSY if recorded.claimed else Own.STRANGE


def _as_recorded(there: There, recorded: RecordedName) -> bool:
    if not there.facts:
        return not recorded.known
    if not recorded.active or there.directory != recorded.directory or None in recorded.facts:
        return False
    if there.directory:  # its other stamps change with what is in it, and that has events of its own
        return there.facts[_WHICH] == recorded.facts[_WHICH] and there.facts[_MODE] == recorded.facts[_MODE]
    return there.facts == recorded.facts


def widened(hint: Hint, there: There, recorded: RecordedName) -> Hint:
    """A directory that the record does not know is looked at with all that is in it."""
    same = recorded.active and recorded.directory and there.facts[_WHICH] == recorded.facts[_WHICH]
    return replace(hint, subtree=True) if there.directory and not same else hint
