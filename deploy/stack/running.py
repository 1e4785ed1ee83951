"""Whether a folder's stack runs: its supervisor holds a lock for as long as it lives, however it dies.

A path can be removed and made anew, or another folder can be moved there. The lock's own file can not: while a supervisor
holds it, its number says whether the folder at the path is still the supervisor's.
"""

import fcntl
import os
import time
from dataclasses import dataclass
from pathlib import Path

from deploy.stack.folder import Folder


@dataclass(frozen=True)
class LockHolder:
    """The supervisor that runs this folder's stack."""

    pid: int
    ready: bool


class AlreadyRuns(Exception):
    """Another supervisor holds the folder."""


class FolderLost(Exception):
    """The folder at the path is not ours any more: nothing in it may be touched, and no process there ended."""


class Hold:
    """Our own hold of a folder. The lock's file tells others who we are and how far."""

    def __init__(self, folder: Folder, descriptor: int) -> None:
        self._folder, self._descriptor = folder, descriptor
        self._write(f"{os.getpid()} starting\n")

    def is_ours(self) -> bool:
        """Whether the folder is the one that we took."""
        return _is_at(self._folder.lock, self._descriptor)

    def claim(self) -> None:
        """Before anything in the folder is written, or a process of it ended. Raises FolderLost."""
        if not self.is_ours():
            raise FolderLost

    def mark_ready(self) -> None:
        self._write(f"{os.getpid()} ready\n")

    def _write(self, text: str) -> None:
        # In place: the lock sits on this very file, a new one in its place would be free.
        os.pwrite(self._descriptor, text.ljust(32).encode(), 0)


def hold(folder: Folder) -> Hold:
    """Ours until this process ends: never given back before, so that waiting for the lock is waiting for the process."""
    while True:
        folder.make()
        descriptor = os.open(folder.lock, os.O_RDWR | os.O_CREAT, 0o600)
        if not _try_lock(descriptor, fcntl.LOCK_EX, tries=5):
            os.close(descriptor)
            raise AlreadyRuns
        if _is_at(folder.lock, descriptor):
            return Hold(folder, descriptor)
        os.close(descriptor)  # removed between the two steps: what we hold is no folder's lock any more


def holder(folder: Folder) -> LockHolder | None:
    try:
        descriptor = os.open(folder.lock, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        if _try_lock(descriptor, fcntl.LOCK_SH, tries=1):
            return None
        words = os.pread(descriptor, 32, 0).decode().split()
        # Empty for the instant between its lock and its first word.
        return LockHolder(int(words[0]), words[1] == "ready") if words else LockHolder(0, ready=False)
    finally:
        os.close(descriptor)


def wait_until_gone(folder: Folder, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while holder(folder) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    """The file at the path is the open one, and not another of the same name."""
    ours = os.fstat(descriptor)
    try:
        there = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def _try_lock(descriptor: int, kind: int, tries: int) -> bool:
    for attempt in range(tries):
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            # Another process may only be looking, which takes no time.
            time.sleep(0.05 if attempt + 1 < tries else 0)
    return False
