"""What a copy has written becomes durable: few files each by itself, many together with their whole file system.

On a journaling file system each fsync waits for the disk once; so does syncfs, however many files it takes. But syncfs also waits
for what other programs have written: it is used only while that is little, and only where it tells of writes that failed.
"""

import os
import re

from activities.executors import syscalls
from activities.executors.local.disk import Disk

BATCH_FILES, BATCH_BYTES = 64, 64 << 20
"""After so much the files written so far are flushed: their writes overlap, and few descriptors stay open."""
_MANY_FILES = 2048
"""So many where the whole file system is flushed"""
_LITTLE = 512 << 20
"""Bytes that wait to be written in the whole machine, ours among them"""
_FACTS = "/proc/meminfo"
_TELLS_SINCE = (5, 8)
"""Before this Linux a write that failed was not told to syncfs."""


class Flushes:
    """Of one copy."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._written: list[int] = []
        self._files = self._bytes = 0
        self.whole = False
        """There are many: what was written since the last flush is flushed with the whole file system."""

    def opened(self, made: int) -> None:
        """A file that is written next. Its descriptor is closed here."""
        self._written.append(made)

    def wrote(self, size: int) -> None:
        """That file is as it will be: its bytes are on their way to the disk from here on."""
        syscalls.sync_file_range(self._written[-1])
        self._files += 1
        self._bytes += size
        if not self.whole and self._files >= BATCH_FILES and self._bytes < BATCH_BYTES:
            self.whole = little_waits()
        if self.whole:
            self.close()
        if self._bytes >= BATCH_BYTES or self._files >= (_MANY_FILES if self.whole else BATCH_FILES):
            self.flush()

    @property
    def waits(self) -> bool:
        """Something that was written is not flushed yet."""
        return self._files > 0

    def flush(self) -> None:
        if self.whole:
            self._disk.sync_all()
        for made in self._written:
            os.fsync(made)
        self.close()
        self._files = self._bytes = 0

    def folder(self, made: int) -> None:
        """A directory that is as it will be. The last flush takes it, where that takes the whole file system."""
        if not self.whole:
            self._disk.sync(made)

    def close(self) -> None:
        while self._written:
            os.close(self._written.pop())


def little_waits() -> bool:
    if not _tells():
        return False
    try:
        with open(_FACTS, encoding="ascii") as facts:
            waits = re.findall(r"^(?:Dirty|Writeback): +(\d+) kB$", facts.read(), re.MULTILINE)
    except OSError:
        return False
    return len(waits) == 2 and sum(map(int, waits)) * 1024 < _LITTLE


def _tells() -> bool:
    return tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) >= _TELLS_SINCE
