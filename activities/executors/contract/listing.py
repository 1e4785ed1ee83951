"""What a walk and a scan tell."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from activities.executors.contract.identity import Identity
from schema.paths import NodePath


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a listing."""

    path: NodePath
    identity: Identity
    kind: str
    """file, directory, symlink or special"""


class Seen(NamedTuple):
    """One name that a scan saw. The path is bytes as they are: no command may take them, and no check has been there."""

    path: bytes
    kind: str
    """file, directory, symlink or special"""
    facts: tuple[int | str, ...]
    """Its identity, as `Identity.facts` says it"""
    target: bytes | None = None
    """Where a symbolic link leads; None where that could not be read"""

    @property
    def identity(self) -> Identity:
        return Identity.of_facts(self.facts)


class SeenFolder(NamedTuple):
    """A directory whose names a scan has told, each of them."""

    path: bytes
    facts: tuple[int | str, ...]
    """Its identity before it was listed"""
    stable: bool
    """It was the same directory with the same times after it was listed: a name that was not told is not there."""
    digest: bytes | None = None
    """Of all that the listing says, as `Sieves` compares it; None: it has to be compared name by name"""


class Unseen(NamedTuple):
    """What a scan could not look at. Nothing is known of it, and nothing of what lies below it."""

    path: bytes
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ScanPage:
    """Some of what lies below a path. A scan that broke off goes on after `cursor`."""

    entries: Sequence[Seen]
    cursor: bytes
    folders: Sequence[SeenFolder] = ()
    """The directories whose listing ended with this page. An object store has none: what a whole scan of it did not tell
    has to be asked for by its key."""
    unseen: Sequence[Unseen] = ()
    share: float | None = None
    """How much of the tree has been told by now, as far as its directories say: what lies in one directory counts as much as what
    lies in the one beside it. None: nothing is known yet, or directories do not tell it."""
