# Made of _async by `python -m filestore_sdk.unasync`: change that, and make this again.
"""A file on its way up, as the body of one request: read piece by piece, counted, and hashed beside it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Callable
from typing import IO

from filestore_sdk import errors
from filestore_sdk._sync import machine
from filestore_sdk.following import Hashing

CHUNK = 256 * 1024
LOOK_AFTER = 1.0
"""Seconds after which it is judged how long the whole will take"""


class TooSlow(Exception):
    """The whole takes longer than may be lost at once."""


class Sending:
    """`size` bytes of an open file, from where it stands. `seconds`: the body breaks off with TooSlow when the whole would
    take longer than this. It can be sent again: it begins anew then."""

    def __init__(
        self, source: IO[bytes], base: int, size: int, *, seconds: float | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:  # fmt: skip
        self._source, self._base, self.size = source, base, size
        self._seconds, self._progress = seconds, progress
        self.sent = 0
        self.sha256 = ""
        """Of all of it, once it was sent"""

    @property
    def through(self) -> bool:
        """All bytes have been handed over: they may have arrived."""
        return self.sent == self.size

    def pieces(self) -> Iterator[bytes]:
        """Raises Incomplete, TooSlow."""
        machine.blocking(self._source.seek, self._base)
        self.sent, began, hashing = 0, time.monotonic(), Hashing()
        try:
            while self.sent < self.size:
                piece = machine.blocking(self._next, hashing)
                yield piece
                self.sent += len(piece)
                if self._progress:
                    self._progress(self.sent)
                self._judge(time.monotonic() - began)
            self.sha256 = machine.blocking(hashing.result)
        finally:
            hashing.stop()

    def _next(self, hashing: Hashing) -> bytes:
        piece = self._source.read(min(CHUNK, self.size - self.sent))
        if not piece:
            raise errors.Incomplete(f"The source ended after {self.sent} of {self.size} bytes.")
        hashing.update(piece)
        return piece

    def _judge(self, passed: float) -> None:
        if self._seconds is None or passed < LOOK_AFTER:
            return
        if passed * self.size > self._seconds * self.sent:
            raise TooSlow
