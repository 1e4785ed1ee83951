"""Where resumable uploads wait: a file for each, in a folder of this host. Blocking: for a thread.

What is acknowledged is on the disk before: write, flush, then the row. What lies behind the acknowledged offset
does not count.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from api.uploads.remembered import Gone, UploadLocked
from schema.errors import StorageFull
from schema.settings import Settings

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def folder_of(settings: Settings) -> str:
    return os.path.join(settings.spool_path, "uploads")


@contextmanager
def explaining() -> Iterator[None]:
    """A full disk is a refusal; any other error of the disk is a defect."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull("The disk that uploads wait on is full. The offset is what it was.") from error
        raise


class WaitingUpload:
    """The open file of one upload, locked: no other request writes to it, in this process or another. The lock dies with us."""

    def __init__(self, descriptor: int, place: str) -> None:
        self._descriptor, self._place = descriptor, place

    def cut(self, size: int) -> None:
        """Down to what was acknowledged: what came after it may be torn. Raises Gone when there is less."""
        found = os.fstat(self._descriptor).st_size
        if found < size:
            raise Gone("What was received of this upload is no longer there. Begin anew.")
        if found > size:
            os.ftruncate(self._descriptor, size)

    def write(self, piece: bytes, offset: int) -> None:
        """Raises StorageFull."""
        rest = memoryview(piece)
        with explaining():
            while rest:  # a disk that fills up takes a part first
                written = os.pwrite(self._descriptor, rest, offset)
                rest, offset = rest[written:], offset + written

    def flush(self) -> None:
        """Raises StorageFull: some file systems tell only now."""
        with explaining():
            os.fdatasync(self._descriptor)

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset)

    def remove(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._place)

    def close(self) -> None:
        os.close(self._descriptor)


def make(folder: str, id: str) -> WaitingUpload:
    """A new file whose name survives a power cut. Raises StorageFull, Locked."""
    with explaining():
        _make_folder(folder)
        place = os.path.join(folder, id)
        descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        made = _lock(descriptor, place)
        try:
            _flush(folder)
        except OSError:
            made.close()
            raise
    return made


def find(folder: str, id: str) -> WaitingUpload:
    """Raises Gone, Locked."""
    place = os.path.join(folder, id)
    try:
        descriptor = os.open(place, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise Gone("What was received of this upload is no longer there. Begin anew.") from error
    return _lock(descriptor, place)


def _lock(descriptor: int, place: str) -> WaitingUpload:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise UploadLocked() from error
    return WaitingUpload(descriptor, place)


def _make_folder(folder: str) -> None:
    """Make the folder, and those above it that are missing, each durable in the one above."""
    if os.path.isdir(folder):
        return
    above = os.path.dirname(os.path.abspath(folder))
    _make_folder(above)
    with suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    _flush(above)


def _flush(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def entries(folder: str) -> list[str]:
    """The names of all files there."""
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []
