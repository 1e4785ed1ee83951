"""What an import makes of a page of names that a scan saw: new nodes, names that wait, names that the record can not take. Pure.

A name is new when no living node has it and no command is at it. What the record has already is left as it is: where the
storage shows another thing at that name, a person or the reconciliation decides, and the import says so.
"""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from schema.nodes import NodeKind
from schema.operations.operation import ItemState
from schema.paths import PATH_MAX

NAME_LONGEST = 1024
"""Bytes of a name that the record holds: object stores have longer ones than disks."""
DIRECTORY_LONGEST = 2600
"""Bytes of the path of a directory, which is a key of an index"""


class Found(Protocol):
    """A name as a scan tells it."""

    @property
    def path(self) -> bytes: ...
    @property
    def kind(self) -> str: ...
    @property
    def facts(self) -> tuple[int | str, ...]: ...
    @property
    def target(self) -> bytes | None:
        """Where a symbolic link leads"""
        ...


class Known(NamedTuple):
    """A living node at such a name."""

    id: int
    kind: str
    depth: int
    shown: str
    """Of a directory: its path for people, with a slash at its end"""
    device: int | None
    inode: int | None
    birth: int | None
    etag: str | None
    size: int
    mtime: int | None

    def is_what_lies_there(self, found: Found) -> bool:
        facts: list[int | str] = list(found.facts)
        if self.kind != found.kind:
            return False
        if self.device is not None and [self.device, self.inode, self.birth] != facts[:3]:
            return False
        if self.kind != NodeKind.FILE:
            return True
        if self.etag is not None and len(facts) > 9 and self.etag != facts[9]:
            return False
        return self.size == facts[3] and (self.mtime is None or self.mtime == facts[4])


class ParentFolder(NamedTuple):
    """A directory in which names are to appear"""

    id: int
    depth: int
    shown: str


class NewNode(NamedTuple):
    id: int
    parent: int
    name: bytes
    depth: int
    shown: str
    """Of a directory, as above"""
    found: Found


class ImportItem(NamedTuple):
    """What needs a person, or another look."""

    path: bytes
    kind: str
    state: ItemState
    code: str
    message: str
    size: int = 0


_BUSY = "A command is at this path. It is looked at again when that has ended."
_OTHER = "The record has another thing at this name. It was left as it is: reconcile the mount."
_LONG = (
    f"The record holds names of {NAME_LONGEST} bytes, paths of {PATH_MAX}, and of directories {DIRECTORY_LONGEST}. Move it up, or "
    "give it a shorter name, then import it again."
)


@dataclass(slots=True)
class JudgedPage:
    """Of one page, name by name; directories come before what they hold."""

    folders: dict[bytes, ParentFolder]
    known: Mapping[bytes, Known]
    busy: AbstractSet[bytes]
    """Paths that a command is at, or was at since the storage was read: what lies below them waits, too"""
    refused: set[bytes]
    """Directories that the record does not take, and nothing below them"""
    ids: Iterator[int]
    """For new nodes: at least as many as names that are not known"""
    new: list[NewNode] = field(default_factory=list)
    items: list[ImportItem] = field(default_factory=list)
    waits: set[bytes] = field(default_factory=set)
    already: int = 0

    def add(self, found: Found) -> None:
        path = found.path
        above, _, name = path.rpartition(b"/")
        if self.refused and within(above, self.refused):
            return
        folder = self.folders.get(above)
        node = self.known.get(path)
        if node is not None:
            self._compare(node, found)
        elif folder is None:
            self._wait(above)
        elif self.busy and within(path, self.busy):
            self._wait(path)
        elif too_long(path, name, found.kind):
            self._refuse(found, ItemState.FAILED, "INVALID_PATH", _LONG)
        else:
            self._appear(folder, name, found)

    def _appear(self, folder: ParentFolder, name: bytes, found: Found) -> None:
        id, shown = next(self.ids), ""
        if found.kind == "directory":
            shown = f"{folder.shown}{name.decode('utf-8', 'replace')}/"
            self.folders[found.path] = ParentFolder(id, folder.depth + 1, shown)
        self.new.append(NewNode(id, folder.id, name, folder.depth + 1, shown, found))

    def _compare(self, node: Known, found: Found) -> None:
        if node.kind == found.kind == "directory":
            self.folders[found.path] = ParentFolder(node.id, node.depth, node.shown)
        if node.is_what_lies_there(found):
            self.already += 1
        elif within(found.path, self.busy):
            self._wait(found.path)
        else:
            self._refuse(found, ItemState.SKIPPED, "VERSION_CONFLICT", _OTHER)

    def _refuse(self, found: Found, state: ItemState, code: str, message: str) -> None:
        self.items.append(ImportItem(found.path, found.kind, state, code, message, _size(found)))
        if found.kind == "directory":
            self.refused.add(found.path)

    def _wait(self, path: bytes) -> None:
        if not within(path, self.waits):
            self.waits.add(path)


def waiting(path: bytes) -> ImportItem:
    return ImportItem(path, "directory", ItemState.PENDING, "PATH_BUSY", _BUSY)


def within(path: bytes, tops: AbstractSet[bytes]) -> bool:
    """One of these, or below one of them."""
    if not tops:
        return False
    if path in tops:
        return True
    at = path.rfind(b"/")
    while at > 0:
        if path[:at] in tops:
            return True
        at = path.rfind(b"/", 0, at)
    return b"" in tops


def too_long(path: bytes, name: bytes, kind: str) -> bool:
    most = DIRECTORY_LONGEST if kind == "directory" else PATH_MAX
    return len(name) > NAME_LONGEST or len(path) > most


def _size(found: Found) -> int:
    return int(found.facts[3]) if found.kind == "file" else 0
