"""A SHA-256 that is made in a thread beside a transfer: of pieces as they are sent, or as they are written."""

from __future__ import annotations

import hashlib
import os
import queue
import threading
from collections.abc import Sequence

from filestore_sdk.half_written import HalfWritten

STEP = 1024 * 1024
BEHIND = 8
"""Pieces that may wait for being hashed"""


class Hashing:
    """Of pieces in their order."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._coming: queue.Queue[bytes | None] = queue.Queue(BEHIND)
        self._thread = threading.Thread(target=self._hash, name="filestore-hash", daemon=True)
        self._thread.start()

    def update(self, piece: bytes) -> None:
        """Waits where hashing is slower than what it stands beside."""
        self._coming.put(piece)

    def result(self) -> str:
        self.stop()
        return self._digest.hexdigest()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._coming.put(None)
        self._thread.join()

    def _hash(self) -> None:
        while (piece := self._coming.get()) is not None:
            self._digest.update(piece)


class Arriving:
    """Of a file that comes in pieces, in any order: written and hashed in one thread, while the next ones come.

    What comes in order is hashed as it comes. What came before a gap was closed, or in an earlier run, is read back: the
    system mostly has it in memory. Calls may be made in any thread."""

    def __init__(self, half: HalfWritten, size: int) -> None:
        self._half, self._size = half, size
        self._coming: queue.Queue[tuple[int, int | Sequence[bytes]] | None] = queue.Queue(BEHIND)
        self._digest, self._hashed = hashlib.sha256(), 0
        self._beyond: dict[int, int] = {}
        """Starts and ends of what is there behind a gap"""
        self._stopped = False
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._work, name="filestore-write", daemon=True)
        self._thread.start()

    def there(self, start: int, end: int) -> None:
        """These bytes lie in the file already."""
        self._coming.put((start, end))

    def write(self, pieces: Sequence[bytes], place: int) -> None:
        """Waits where the disk is slower. Raises the OSError of an earlier piece."""
        if self._failure:
            raise self._failure
        self._coming.put((place, pieces))

    def result(self) -> str:
        """Once all has come. Raises OSError."""
        self._coming.put(None)
        self._thread.join()
        if self._failure:
            raise self._failure
        return self._digest.hexdigest()

    def stop(self) -> None:
        """Harmless at the end. The file may be closed then."""
        self._stopped = True
        if self._thread.is_alive():
            self._coming.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (one := self._coming.get()) is not None:
            if self._failure or self._stopped:
                continue
            try:
                self._take(*one)
            except OSError as error:
                self._failure = error

    def _take(self, start: int, what: int | Sequence[bytes]) -> None:
        if isinstance(what, int):
            end = what
        else:
            end = start + self._half.write(what, start)
            if start == self._hashed:
                for piece in what:
                    self._digest.update(piece)
                self._hashed = end
        if end > self._hashed:
            self._beyond[start] = end
        while not self._stopped and (further := self._beyond.pop(self._hashed, None)) is not None:
            self._read_back(further)

    def _read_back(self, end: int) -> None:
        buffer = memoryview(bytearray(STEP))
        while self._hashed < end and not self._stopped:
            count = os.preadv(self._half.handle, [buffer[: min(STEP, end - self._hashed)]], self._hashed)
            if not count:
                raise OSError("what was written is not there")
            self._digest.update(buffer[:count])
            self._hashed += count
