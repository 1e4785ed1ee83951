"""Directories that can be compared as a whole."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, Protocol, runtime_checkable


@runtime_checkable
class Folders(Protocol):
    """The storage has directories whose times tell that names came or went."""

    def folders_now(self, paths: Sequence[bytes]) -> list[tuple[int | str, ...] | None]:
        """The identity of each directory as it is now; None: it is not there any more."""
        ...


class FolderVerdict(IntEnum):
    """What came of a directory that was compared as a whole."""

    SAME = 0
    DIFFERS = 1
    """Or may: it is to be listed name by name"""
    GONE = 2


class FolderPage(NamedTuple):
    """Directories as the record has them, in one piece: with an object for each, comparing would take longer than the disk."""

    directories: int
    paths: bytes
    """Each with its slash at the end, and a NUL between it and the next"""
    digests: bytes
    """16 bytes each: of the listing that agreed with the record; zeros where none did"""


class SievedPage(NamedTuple):
    verdicts: bytes
    """One byte for each directory: a FolderVerdict"""
    times: bytes
    """Eight bytes for each: its change time before it was listed, 0 where it could not be opened"""
    names: int
    """That lie in all of them"""


@dataclass(frozen=True, slots=True)
class SieveApart:
    """How another process takes pages: `command` is given the descriptor of the root as its last argument. The caller closes it."""

    root: int
    command: Sequence[str]
    check: Callable[[], None]
    """Raises MountOffline where another disk has come to stand there since: nothing counts that was read"""


@runtime_checkable
class Sieves(Protocol):
    """Directories can be compared as a whole, in this thread or by other processes."""

    def sieve(self, page: FolderPage) -> SievedPage:
        """Raises MountOffline."""
        ...

    def sieve_apart(self) -> SieveApart | None:
        """None: this system does not let it. Raises MountOffline."""
        ...
