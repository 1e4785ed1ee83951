"""A local file while it comes: under a name of its own beside its place, taken over by the next run where a run was killed.

The name follows from the place, and a lock says whether the process that writes it still lives. So what a killed run left is
found again, and nothing else is ever opened: a file that is not ours, or not alone under its name, is passed over.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import itertools
import os
import re
import secrets
import stat
from collections.abc import Sequence
from contextlib import suppress

_NAME = re.compile(r"\.filestore-([0-9a-f]{32})\.[0-9]+\.part")
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
_NOT_OURS = (errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EACCES, errno.EPERM)
Span = tuple[int, int]


def is_half_written(name: str) -> bool:
    """It has the name of a file that comes, or came when its process was killed."""
    return _NAME.fullmatch(name) is not None


class HalfWritten:
    """One file that comes. It ends as `publish`, `discard`, or `keep` for the next run."""

    def __init__(self, handle: int, place: str, target: str) -> None:
        self.handle, self._place, self._target = handle, place, target

    def spans(self, size: int) -> list[Span]:
        """Where the bytes of an earlier run lie. Where the file system does not tell holes, all of it; the digest of the
        whole tells what is wrong."""
        os.ftruncate(self.handle, min(size, os.fstat(self.handle).st_size))
        found, end = [], 0
        while (start := _seek(self.handle, end, os.SEEK_DATA)) is not None:
            end = _seek(self.handle, start, os.SEEK_HOLE) or start
            found.append((start, end))
        return found

    def empty(self) -> None:
        os.ftruncate(self.handle, 0)

    def write(self, pieces: Sequence[bytes], place: int) -> int:
        """All of them, from there on; how many bytes they are."""
        count = sum(map(len, pieces))
        written = os.pwritev(self.handle, pieces, place)
        if written < count:  # a disk that fills up takes a part first
            rest = memoryview(b"".join(pieces))
            while written < count:
                written += os.pwrite(self.handle, rest[written:], place + written)
        return count

    def publish(self) -> None:
        """It takes its place, in one step."""
        os.replace(self._place, self._target)
        self.keep()

    def discard(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._place)
        self.keep()

    def keep(self) -> None:
        """Only the lock goes."""
        os.close(self.handle)


def begin(target: str) -> HalfWritten:
    """The half-written file of this place: a new one, or the one that a killed run has left. Another living process that
    fetches the same has its own."""
    for number in itertools.count():
        place = _place(target, number)
        try:
            handle = _locked(place, create=True)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            return _alone(target)
        if handle is not None:
            _sweep_behind(target, number)
            return HalfWritten(handle, place, target)
    raise AssertionError("numbers do not end")


def _alone(target: str) -> HalfWritten:
    """Where this file system has no locks: under a name that nothing else takes, and that stays when we are killed."""
    place = _place(target, secrets.randbits(62))
    return HalfWritten(os.open(place, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), place, target)


def sweep(folder: str, names: Sequence[str], coming: Sequence[str]) -> list[str]:
    """Remove the half-written files among these names of a folder that no process writes, but for those of files that are
    about to come: these are gone on with. Returns the names that went."""
    kept = {_key(name) for name in coming}
    gone = []
    for name in names:
        found = _NAME.fullmatch(name)
        if found and found[1] not in kept and _removed(os.path.join(folder, name)):
            gone.append(name)
    return gone


def _place(target: str, number: int) -> str:
    folder, name = os.path.split(os.path.abspath(target))
    return os.path.join(folder, f".filestore-{_key(name)}.{number}.part")


def _key(name: str) -> str:
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:32]


def _sweep_behind(target: str, number: int) -> None:
    """What runs side by side have left when they were killed together."""
    while os.path.lexists(place := _place(target, number + 1)):
        _removed(place)
        number += 1


def _removed(place: str) -> bool:
    try:
        handle = _locked(place, create=False)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False
    if handle is None:
        return False
    try:
        os.unlink(place)
    except OSError:
        return False  # a folder that can not be written, say: it stays
    finally:
        os.close(handle)
    return True


def _locked(place: str, *, create: bool) -> int | None:
    """The file, ours alone. None: it is another process's, no file of ours, or not there."""
    while True:
        try:
            flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | (os.O_CREAT if create else 0)
            handle = os.open(place, flags, 0o666)
        except OSError as error:
            if error.errno == errno.ENOENT and not create:
                return None
            if error.errno in _NOT_OURS and os.path.lexists(place):
                return None
            raise
        try:
            standing = _standing(handle, place)
        except OSError:
            if create and not os.fstat(handle).st_size:
                os.unlink(place)
            os.close(handle)
            raise
        if standing:
            return handle
        os.close(handle)
        if standing is None:
            return None


def _standing(handle: int, place: str) -> bool | None:
    """Is this the file under its name, locked by us, and one that we made? None: it never will be. False: it has just taken
    its place, or went."""
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return None
        raise
    try:
        named = os.lstat(place)
    except FileNotFoundError:
        return False
    if not os.path.samestat(found, named):
        return False
    return True if named.st_nlink == 1 else None


def _seek(handle: int, place: int, what: int) -> int | None:
    """None: there is nothing behind it."""
    try:
        return os.lseek(handle, place, what)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        raise
