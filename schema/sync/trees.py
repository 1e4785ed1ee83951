"""A tree of a project: what lies at each path. Paths are bytes without slashes at the ends, and every directory is listed."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum


class EntryKind(StrEnum):
    FILE = "file"
    DIRECTORY = "directory"


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """A file with its content, or a directory. `mode`: the permissions alone."""

    kind: EntryKind
    mode: int
    sha: str = ""
    """SHA-256 in hex; empty for a directory"""
    size: int = 0

    @property
    def directory(self) -> bool:
        return self.kind is EntryKind.DIRECTORY


Tree = Mapping[bytes, TreeEntry]

FILE_MODE, DIRECTORY_MODE = 0o644, 0o755


def a_file(sha: str, size: int, mode: int = FILE_MODE) -> TreeEntry:
    return TreeEntry(EntryKind.FILE, mode, sha, size)


def a_directory(mode: int = DIRECTORY_MODE) -> TreeEntry:
    return TreeEntry(EntryKind.DIRECTORY, mode)


def ancestors(path: bytes) -> Iterator[bytes]:
    """The directories above it, the upper ones first; not the root."""
    at = path.find(b"/")
    while at >= 0:
        yield path[:at]
        at = path.find(b"/", at + 1)


_FEW = 8
"""So many prefixes are compared one by one"""


def below(paths: Iterable[bytes], directories: Collection[bytes]) -> set[bytes]:
    """Those of the paths that lie in one of these directories, however deep. Its cost does not follow from how many directories."""
    if len(directories) <= _FEW:
        prefixes = tuple(directory + b"/" for directory in directories)
        return {path for path in paths if path.startswith(prefixes)}
    chosen = frozenset(directories)
    return {path for path in paths if any(above in chosen for above in ancestors(path))}


def parent_of(path: bytes) -> bytes:
    return path.rpartition(b"/")[0]


def name_of(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]


def shallow_first(paths: Iterable[bytes]) -> list[bytes]:
    return sorted(paths, key=lambda path: (path.count(b"/"), path))


def deep_first(paths: Iterable[bytes]) -> list[bytes]:
    return list(reversed(shallow_first(paths)))
