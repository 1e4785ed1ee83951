"""Cold copies on a local mount: files below our own folder, whole or not there, and hashed again whenever they are trusted."""

from __future__ import annotations

import hashlib
import os
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

from activities.executors.contract.cold import ColdFile
from activities.executors.local.disk import MAKE_FILE, OPEN_FILE, OPEN_FOLDER, Disk
from activities.executors.syscalls import open_beneath

FOLDER = b"cold"
_PIECE = 1 << 20


class LocalCold:
    """`ColdCopies` of an open mount."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def put(self, key: str, content: BinaryIO, sha: str, size: int) -> None:
        folder = self._folder(key, make=True)
        name, unfinished = _name(key), f".{uuid.uuid4().hex}".encode()
        try:
            self._write(folder, unfinished, content, sha, size)
            os.rename(unfinished, name, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)
        except BaseException:
            with suppress(OSError):
                os.unlink(unfinished, dir_fd=folder)
            raise
        finally:
            os.close(folder)

    def _write(self, folder: int, name: bytes, content: BinaryIO, sha: str, size: int) -> None:
        digest, written = hashlib.sha256(), 0
        with os.fdopen(os.open(name, MAKE_FILE, 0o600, dir_fd=folder), "wb") as file:
            while piece := content.read(_PIECE):
                digest.update(piece)
                written += len(piece)
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        if digest.hexdigest() != sha or written != size:
            raise ValueError("the content is not what its name says")

    def holds(self, key: str, sha: str, size: int) -> bool:
        digest, length = hashlib.sha256(), 0
        try:
            for piece in self.read(key):
                digest.update(piece)
                length += len(piece)
        except FileNotFoundError:
            return False
        return digest.hexdigest() == sha and length == size

    def read(self, key: str, start: int = 0, size: int | None = None) -> Iterator[bytes]:
        folder = self._folder(key)
        try:
            descriptor = os.open(_name(key), OPEN_FILE, dir_fd=folder)
        finally:
            os.close(folder)
        with os.fdopen(descriptor, "rb") as file:
            file.seek(start)
            left = sys.maxsize if size is None else size
            while piece := file.read(min(_PIECE, left)):
                left -= len(piece)
                yield piece

    def thaw(self, key: str) -> bool:
        """A disk has no archive classes."""
        return True

    def delete(self, key: str) -> None:
        try:
            folder = self._folder(key)
        except FileNotFoundError:
            return
        try:
            os.unlink(_name(key), dir_fd=folder)
        except FileNotFoundError:
            return
        finally:
            os.close(folder)

    def keys(self, prefix: str) -> Iterator[ColdFile]:
        waiting = [prefix]
        while waiting:
            below = waiting.pop()
            try:
                folder = open_beneath(self._disk.reserved, FOLDER + b"/" + below.encode(), OPEN_FOLDER)
            except FileNotFoundError:
                continue
            try:
                entries = _listed(folder)
            finally:
                os.close(folder)
            waiting += [f"{below}/{name}" for name, file in entries if file is None]
            yield from (ColdFile(f"{below}/{name}", *file) for name, file in entries if file is not None)

    def _folder(self, key: str, *, make: bool = False) -> int:
        """The open folder that a key lies in."""
        names = [FOLDER, *key.encode().split(b"/")[:-1]]
        if not make:
            return open_beneath(self._disk.reserved, b"/".join(names), OPEN_FOLDER)
        folder = os.dup(self._disk.reserved)
        for name in names:
            try:
                below = os.open(name, OPEN_FOLDER, dir_fd=folder)
            except FileNotFoundError:
                with suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=folder)
                os.fsync(folder)
                below = os.open(name, OPEN_FOLDER, dir_fd=folder)
            os.close(folder)
            folder = below
        return folder


def _listed(folder: int) -> list[tuple[str, tuple[float, int] | None]]:
    """What a folder holds: names, and the ages and sizes of files."""
    found: list[tuple[str, tuple[float, int] | None]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                file = (max(0.0, time.time() - status.st_mtime), status.st_size)
                found.append((entry.name, None if entry.is_dir(follow_symlinks=False) else file))
    return found


def _name(key: str) -> bytes:
    return key.rpartition("/")[2].encode()
