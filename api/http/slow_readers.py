"""A client that does not take what waits for it is cut off, so that what is held for it is let go."""

import asyncio
import fcntl
import socket
import struct
import termios
from asyncio import TimerHandle
from collections.abc import Callable


class ReaderWatch:
    """Of one connection, from the moment its buffer is full until it is not: fewer than `rate_min` bytes per second over
    `seconds` are too few."""

    def __init__(
        self, transport: asyncio.Transport, seconds: float, rate_min: int, refused: Callable[[str], None]
    ) -> None:
        self._transport, self._seconds, self._rate_min, self._refused = transport, seconds, rate_min, refused
        self._timer: TimerHandle | None = None
        self._unsent = 0

    def begin(self) -> None:
        if self._timer is None:
            self._again(self._outstanding())

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _again(self, unsent: int) -> None:
        self._unsent = unsent
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._outstanding()
        if self._unsent - now < self._rate_min * self._seconds:
            self._refused("slow_reader")
            self._transport.abort()
            return
        self._again(now)

    def _outstanding(self) -> int:
        """Bytes the client has not acknowledged, in our buffer and in the kernel's: that one takes new bytes in large steps,
        so a slow reader would look like one that has stopped."""
        found: socket.socket | None = self._transport.get_extra_info("socket")
        held = self._transport.get_write_buffer_size()
        if found is None or found.fileno() < 0:
            return held
        return held + int(struct.unpack("i", fcntl.ioctl(found.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0])
