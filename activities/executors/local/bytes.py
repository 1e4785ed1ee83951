"""One file's bytes from one open file to another on a local disk, hashed on the way; and what POSIX keeps beside them."""

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator

from activities.executors import syscalls

CHUNK = 1 << 20
_CLONE_FROM = 64 << 10
"""Smaller files are sooner copied than cloned."""
_ZEROS = bytes(CHUNK)
_KEPT_ATTRIBUTES = ("user.", "system.posix_acl_")


class Pours:
    """How bytes get from one file to the other, through one buffer. On ext4 reading, hashing and writing in turn is as
    fast as copy_file_range with a second look for the hash; where the file system shares blocks, a clone is better."""

    def __init__(self) -> None:
        self.buffer, self.clones = memoryview(bytearray(CHUNK)), True

    def pour(self, original: int, made: int, facts: os.stat_result) -> bytes | None:
        """The SHA-256 of what arrived. None: the file has become shorter."""
        size = facts.st_size
        if self.clones and size >= _CLONE_FROM:
            self.clones = syscalls.clone(original, made)
            if self.clones:
                return self._hashed(made, size)
        digest, at = hashlib.sha256(), 0
        for start, end in _extents(original, facts):
            _hash_hole(digest, start - at)
            if not self._copied(original, made, start, end, digest):
                return None
            at = end
        _hash_hole(digest, size - at)
        os.ftruncate(made, size)
        return digest.digest()

    def _copied(self, original: int, made: int, at: int, end: int, digest: "hashlib._Hash") -> bool:
        while at < end:
            got = os.preadv(original, [self.buffer[: end - at]], at)
            if got == 0:
                return False
            rest = self.buffer[:got]
            digest.update(rest)
            while rest:  # a disk that fills up takes a part first
                wrote = os.pwrite(made, rest, at)
                rest, at = rest[wrote:], at + wrote
        return True

    def _hashed(self, made: int, size: int) -> bytes | None:
        digest, at = hashlib.sha256(), 0
        while at < size:
            got = os.preadv(made, [self.buffer[: size - at]], at)
            if got == 0:
                return None
            digest.update(self.buffer[:got])
            at += got
        return digest.digest()


def _extents(original: int, facts: os.stat_result) -> Iterator[tuple[int, int]]:
    """Where there is data: holes stay holes."""
    size, at = facts.st_size, 0
    if facts.st_blocks * 512 >= size:
        yield 0, size
        return
    while at < size:
        try:
            start = os.lseek(original, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            if error.errno != errno.EINVAL:
                raise
            yield at, size  # this file system does not tell
            return
        if start >= size:
            return
        at = min(os.lseek(original, start, os.SEEK_HOLE), size)
        yield start, at


def _hash_hole(digest: "hashlib._Hash", length: int) -> None:
    while length > 0:
        digest.update(_ZEROS if length >= CHUNK else _ZEROS[:length])
        length -= CHUNK


def keep_facts(original: int, facts: os.stat_result, made: int, more: int = 0) -> None:
    """What POSIX keeps beside the bytes; the times last, and the mode after the list that may change it."""
    give(facts, lambda *owner: os.fchown(made, *owner))
    for name in _attributes(original):
        os.setxattr(made, name, os.getxattr(original, name))
    os.fchmod(made, stat.S_IMODE(facts.st_mode) & ~(stat.S_ISUID | stat.S_ISGID) | more)
    os.utime(made, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def _attributes(original: int) -> list[str]:
    try:
        return [name for name in os.listxattr(original) if name.startswith(_KEPT_ATTRIBUTES)]
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return []


def give(facts: os.stat_result, chown: Callable[[int, int], None]) -> None:
    """Owner and group, or the group, or neither: as far as we may."""
    for owner in ((facts.st_uid, facts.st_gid), (-1, facts.st_gid)):
        try:
            return chown(*owner)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EINVAL):
                raise
