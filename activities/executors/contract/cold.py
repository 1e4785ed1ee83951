"""Contents of projects that a storage keeps beside its files."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol, runtime_checkable

from activities.executors.contract.stage import UploadLink


@dataclass(frozen=True, slots=True)
class ColdFile:
    """What lies under a key. `age`: seconds, by the store's clock and ours."""

    key: str
    age: float
    size: int = 0


class ColdCopies(Protocol):
    """Contents of projects beside the files of a mount, below our own folder. All of it blocks."""

    def put(self, key: str, content: BinaryIO, sha: str, size: int) -> None:
        """Durable when it returns, whole or not there. Raises ValueError for another content than `sha` names."""
        ...

    def holds(self, key: str, sha: str, size: int) -> bool:
        """Looked at now: by the checksum that the store keeps of it, or by reading it."""
        ...

    def read(self, key: str, start: int = 0, size: int | None = None) -> Iterator[bytes]:
        """All of it, or so many bytes from `start` on. Raises FileNotFoundError."""
        ...

    def thaw(self, key: str) -> bool:
        """Whether it can be read now. One that lies in an archive class is asked for, once, and can be read in hours."""
        ...

    def delete(self, key: str) -> None:
        """Harmless where there is none."""
        ...

    def keys(self, prefix: str) -> Iterator[ColdFile]:
        """All that lies there, also what a process that died has left half written."""
        ...


@runtime_checkable
class LinksCold(Protocol):
    """`ColdCopies` that a client can put there itself, under a link and with no credentials of the store. All of it blocks."""

    def link(self, key: str, sha: str, size: int, seconds: int) -> UploadLink:
        """For exactly this content, while nothing lies there. Raises PayloadTooLarge."""
        ...

    def proven(self, key: str, sha: str, size: int) -> float | None:
        """How many seconds ago it was put, where it is what was announced, by proof of ours. None: nothing is there. Raises
        ChecksumMismatch for anything else, and removes it."""
        ...


@runtime_checkable
class KeepsCold(Protocol):
    """The storage keeps contents of projects beside its files."""

    def cold(self) -> ColdCopies:
        """Raises MountOffline."""
        ...
