"""What a look saw, and what the record knows of it: the facts that are judged. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from schema.nodes import NodeKind, NodeState

FileKey = tuple[int, int, int]
"""Which file it is, whatever its name: device, inode and birth time. An inode number is used again, a birth time is not."""


PHANTOM = "PHANTOM"
"""It is listed, and not there when it is asked for: nothing is said of it, and it is not asked for again before the next audit"""


class SightState(StrEnum):
    SEEN = "seen"
    ABSENT = "absent"
    CHANGING = "changing"
    """It was written to while it was looked at, or so short a time ago that nothing can be said of its content."""
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Sighting:
    """One name that a look of the storage came upon, and that is not just as the record has it."""

    path: bytes
    state: SightState = SightState.SEEN
    kind: str = ""
    facts: tuple[int | str, ...] = ()
    """Its identity, as an executor says it; () where nothing is there, or nothing could be seen"""
    sha256: bytes | None = None
    within: int | None = None
    """The directory it was seen in, as the record knows it; None for one that the record does not know"""
    stable: bool = True
    """Its directory was the same before and after it was listed, and when the look ended."""
    waits: bool = False
    """A command works at this name, or ended since the look began."""
    code: str = ""
    message: str = ""
    target: bytes | None = None
    """Where a symbolic link leads; None where that could not be read"""

    @property
    def above(self) -> bytes:
        return self.path.rpartition(b"/")[0]

    @property
    def name(self) -> bytes:
        return self.path.rpartition(b"/")[2]

    @property
    def depth(self) -> int:
        return self.path.count(b"/") + 1 if self.path else 0

    @property
    def key(self) -> FileKey | None:
        return key_of(self.facts)

    @property
    def links(self) -> int:
        return int(self.facts[8]) if self.facts else 1

    @property
    def there(self) -> bool:
        return self.state is not SightState.ABSENT


@dataclass(frozen=True, slots=True)
class Believed:
    """A node as the record has it when a look is concluded."""

    id: int
    parent: int | None
    name: bytes
    path: bytes
    kind: str
    state: str
    version: int
    facts: tuple[int | str, ...] = ()
    sha256: bytes | None = None
    size: int = 0
    provisional: bool = False
    """Its times were stored by a command, whose own renames move them: they prove nothing before they are read once."""
    missed_in: int | None = None
    """The look that did not find it, the first of them"""
    busy: bool = False
    """A command works on it, or has ended since the look began; or another look has judged it since."""

    @property
    def key(self) -> FileKey | None:
        return key_of(self.facts)

    @property
    def is_missing(self) -> bool:
        return self.state == NodeState.MISSING

    @property
    def is_directory(self) -> bool:
        return self.kind == NodeKind.DIRECTORY


@dataclass(frozen=True, slots=True)
class Record:
    """What the record knows of the places and of the files that were seen."""

    nodes: Sequence[Believed] = ()
    """Living ones, at the places that were seen, and those whose files were seen anywhere"""
    held: frozenset[FileKey] = frozenset()
    """Files of commands that run, or have ended since the look began: wherever they are seen, they wait."""


def key_of(facts: Sequence[int | str]) -> FileKey | None:
    """None where the storage knows no inodes: an object is known by its key alone."""
    return (int(facts[0]), int(facts[1]), int(facts[2])) if facts and facts[1] else None


def same_file(node: Believed, sighting: Sighting) -> bool:
    """What lies there is the node's own file. Objects have no identity but their key: there it is the same one always."""
    if not sighting.facts or node.kind != sighting.kind:
        return False
    return sighting.key is None or node.key == sighting.key


def takes_identity(node: Believed, sighting: Sighting) -> bool:
    """The record knows no file of the node, because it was made again from the archive; what lies at its path is what the node
    was: its content by the hash, or by the size where nothing has read it yet."""
    if node.facts or not sighting.facts or node.kind != sighting.kind:
        return False
    if sighting.kind != NodeKind.FILE:
        return True
    if node.sha256 is None:
        return node.size == sighting.facts[3]
    return node.sha256 == sighting.sha256


def unchanged(node: Believed, facts: Sequence[int | str]) -> bool:
    """Nothing speaks for another content: size, times and version are those the record has read itself."""
    return bool(node.facts) and same_facts(node.facts, facts, directory=node.is_directory, proven=not node.provisional)


def same_facts(was: Sequence[int | str], facts: Sequence[int | str], *, directory: bool, proven: bool) -> bool:
    """Of an object its ETag says it. Of a directory only which one it is, for its names are compared one by one."""
    if directory:
        return list(was[:3]) == list(facts[:3])
    if len(facts) > 9:
        return (was[3], list(was[9:10])) == (facts[3], list(facts[9:10]))
    return proven and list(was[:6]) == list(facts[:6])
