"""A SHA-256 that is made in a thread beside a transfer: of pieces as they are sent, or of a file that is written in several
places at once, from its start to where it is whole."""

from __future__ import annotations

import hashlib
import os
import queue
import threading

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


class Following:
    """`wrote` may be called from any thread. The bytes are read back from the file: the system still has them in memory."""

    def __init__(self, handle: int, size: int) -> None:
        self._handle, self._size = handle, size
        self._whole = 0
        """Everything before it is there"""
        self._beyond: dict[int, int] = {}
        """Starts and ends of what is there behind a gap"""
        self._changed = threading.Condition()
        self._stopped = False
        self._digest = hashlib.sha256()
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._follow, name="filestore-hash", daemon=True)
        self._thread.start()

    def wrote(self, start: int, end: int) -> None:
        with self._changed:
            self._beyond[start] = end
            before = self._whole
            while (further := self._beyond.pop(self._whole, None)) is not None:
                self._whole = further
            if self._whole // STEP != before // STEP or self._whole == self._size:
                self._changed.notify()

    def result(self) -> str:
        """Once all is written. Raises OSError."""
        self._thread.join()
        if self._failure:
            raise self._failure
        return self._digest.hexdigest()

    def stop(self) -> None:
        """Harmless at the end. The file may be closed then."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()

    def _follow(self) -> None:
        buffer, place = memoryview(bytearray(STEP)), 0
        try:
            while place < self._size and not self._stopped:
                end = self._further(place)
                while place < end and not self._stopped:
                    count = os.preadv(self._handle, [buffer[: min(STEP, end - place)]], place)
                    if not count:
                        raise OSError("what was written is not there")
                    self._digest.update(buffer[:count])
                    place += count
        except OSError as error:
            self._failure = error

    def _further(self, place: int) -> int:
        """Where it is whole now, once that is more than a step further, or all."""
        with self._changed:
            while not self._stopped and self._whole < min(place + STEP, self._size):
                self._changed.wait()
            return self._whole
