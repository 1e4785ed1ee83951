"""Which directories of the record hold just what they held when all was well. A page of them at a time, without an object for a
name: the digest of each listing is made where the kernel put its facts.

As `python -m activities.executors.local.sieve <descriptor of the root>` it answers page after page by its standard input and
output, until that ends: two processes read much faster than one, and leave the one that asked in peace.
"""

import ctypes
import errno
import os
import signal
import struct
import sys
from array import array
from collections.abc import Iterator
from hashlib import blake2b
from itertools import repeat
from typing import BinaryIO

from activities.executors.contract.folders import FolderPage, FolderVerdict, SievedPage
from activities.executors.local.digest import CHUNK, SIZE, joined
from activities.executors.local.disk import OPEN_FOLDER
from activities.executors.local.errors import NOT_A_FOLDER
from activities.executors.syscalls import open_beneath
from schema.paths import RESERVED

HEAD = struct.Struct("=II")
TAIL = struct.Struct("=q")
_GONE = (errno.ENOENT, *NOT_A_FOLDER)
_STAT = 144
"""Bytes of a struct stat where a long has 64 bits, or more than it has"""
_WORDS = _STAT // 8
_DEVICE, _COLUMNS = 0, (1, 6, 11, 12, 13, 14)
"""Words of it: the device; inode, size, modification time and change time in seconds and nanoseconds"""
_NAMED = 0x100 | 0x800  # AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT

_fstatat = ctypes.CDLL(None).fstatat
_fstatat.argtypes, _fstatat.restype = (ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int), ctypes.c_int


class Sieve:
    """Below one open root. It belongs to one thread."""

    def __init__(self, root: int) -> None:
        self._root, self._home = root, struct.pack("=Q", os.fstat(root).st_dev)
        self._buffer = bytearray(_STAT * CHUNK)
        self._place = ctypes.addressof(ctypes.c_char.from_buffer(self._buffer))
        self._words = memoryview(self._buffer).cast("Q")
        self._names = 0

    def take(self, page: FolderPage) -> SievedPage:
        verdicts, times = bytearray(page.directories), array("q", bytes(8 * page.directories))
        before = self._names
        for n, path in enumerate(page.paths.split(b"\0")):
            verdicts[n], times[n] = self._one(path, page.digests[n * SIZE : (n + 1) * SIZE])
        return SievedPage(bytes(verdicts), times.tobytes(), self._names - before)

    def _one(self, path: bytes, known: bytes) -> tuple[FolderVerdict, int]:
        try:
            folder = open_beneath(self._root, path[:-1] or b".", OPEN_FOLDER)
        except OSError as error:
            return (FolderVerdict.GONE if error.errno in _GONE else FolderVerdict.DIFFERS), 0
        try:
            time = os.fstat(folder).st_ctime_ns
            return (FolderVerdict.SAME if self._digest(folder, path) == known else FolderVerdict.DIFFERS), time
        except OSError:
            return FolderVerdict.DIFFERS, 0
        finally:
            os.close(folder)

    def _digest(self, folder: int, path: bytes) -> bytes | None:
        names, digest = _names(folder, path), blake2b(digest_size=SIZE)
        self._names += len(names)
        for start in range(0, len(names), CHUNK):
            chunk = names[start : start + CHUNK]
            if not self._stat(folder, chunk):
                return None
            words = self._words[: len(chunk) * _WORDS]
            if words[_DEVICE::_WORDS].tobytes() != self._home * len(chunk):
                return None
            digest.update(joined(chunk, *[words[column::_WORDS].tobytes() for column in _COLUMNS]))
        return digest.digest()

    def _stat(self, folder: int, names: list[bytes]) -> bool:
        """False: one of them could not be looked at."""
        places = range(self._place, self._place + len(names) * _STAT, _STAT)
        return not any(map(_fstatat, repeat(folder), names, places, repeat(_NAMED)))


def _names(folder: int, path: bytes) -> list[bytes]:
    listed = os.listdir(folder)
    if not listed:
        return []
    names = sorted(os.fsencode("\0".join(listed)).split(b"\0"))
    if not path and RESERVED in names:
        names.remove(RESERVED)
    return names


def knows_this_system() -> bool:
    """The words of a struct stat are where this module takes them from."""
    found, buffer = os.stat("/"), bytearray(_STAT)
    if _fstatat(-1, b"/", ctypes.addressof(ctypes.c_char.from_buffer(buffer)), _NAMED):
        return False
    words = memoryview(buffer).cast("q")
    told = [words[_DEVICE], *(words[column] for column in _COLUMNS)]
    times = [*divmod(found.st_mtime_ns, 10**9), *divmod(found.st_ctime_ns, 10**9)]
    return sys.maxsize > 2**32 and told == [found.st_dev, found.st_ino, found.st_size, *times]


def pages(source: BinaryIO) -> Iterator[FolderPage]:
    """Until the source ends."""
    while len(head := source.read(HEAD.size)) == HEAD.size:
        count, length = HEAD.unpack(head)
        yield FolderPage(count, source.read(length), source.read(count * SIZE))


def main() -> None:
    # The process that started it tells it when to end, by closing its input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sieve = Sieve(int(sys.argv[1]))
    for page in pages(sys.stdin.buffer):
        found = sieve.take(page)
        sys.stdout.buffer.write(found.verdicts + found.times + TAIL.pack(found.names))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
