"""The queue of events of one mount: a thread takes them out of the kernel as fast as they come.

The kernel keeps 16,384 events and forgets what comes then; what reads them does nothing else, so that work on them never costs
any. They are kept here as they were read, up to a size, and looked at by another thread.
"""

import os
import select
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from activities.executors.local.watch import inotify
from activities.threads import loop_thread

_PIECE = 1 << 20
_GATHER_SECONDS = 0.003
"""Events come in crowds: a reader that wakes for each takes the processor from those that work on them"""


@dataclass(frozen=True, slots=True)
class EventRead:
    """Events as they were read, and when."""

    at: float
    buffer: bytes


class EventQueue(Protocol):
    """Where a watch of a mount gets its events from."""

    def add(self, directory: int) -> int:
        """Watch an open directory. Raises OSError: ENOSPC beyond the limit."""
        ...

    def remove(self, watch: int) -> None:
        """No events of this directory any more. Harmless where there is no such watch."""
        ...

    def take(self, seconds: float) -> EventRead | None:
        """The next events, waited for so long. A queue that has lost some says so as the kernel does: by an OVERFLOW."""
        ...

    def waits_since(self) -> float | None:
        """When the oldest events came that were not taken yet."""
        ...

    def close(self) -> None: ...


OVERFLOWN = inotify._HEAD.pack(-1, inotify.OVERFLOW, 0, 0)
"""What stands in for events that there was no room for"""


class KernelQueue:
    """`EventQueue` on inotify."""

    def __init__(self, most_bytes: int = 64 << 20) -> None:
        """Raises OSError: EMFILE where the user may have no more queues."""
        self._descriptor = inotify.open_queue()
        self._stop, self._stopping = os.pipe2(os.O_CLOEXEC)
        self._most = most_bytes
        self._reads: deque[EventRead] = deque()
        self._bytes = 0
        self._guard = threading.Condition()
        self._reader = loop_thread("watch-reader", self._read_all)

    def start(self) -> "KernelQueue":
        self._reader.start()
        return self

    def add(self, directory: int) -> int:
        return inotify.add_watch(self._descriptor, directory)

    def remove(self, watch: int) -> None:
        with suppress(OSError):
            inotify.remove_watch(self._descriptor, watch)

    def take(self, seconds: float) -> EventRead | None:
        with self._guard:
            if not self._reads:
                self._guard.wait(seconds)
            if not self._reads:
                return None
            read = self._reads.popleft()
            self._bytes -= len(read.buffer)
            return read

    def waits_since(self) -> float | None:
        with self._guard:
            return self._reads[0].at if self._reads else None

    def close(self) -> None:
        os.write(self._stopping, b"x")
        if self._reader.ident is not None:
            self._reader.join()
        for descriptor in (self._descriptor, self._stop, self._stopping):
            os.close(descriptor)

    def _read_all(self) -> None:
        poll = select.poll()
        for descriptor in (self._descriptor, self._stop):
            poll.register(descriptor, select.POLLIN)
        while all(descriptor != self._stop for descriptor, _ in poll.poll()):
            time.sleep(_GATHER_SECONDS)
            with suppress(BlockingIOError):
                self._keep(os.read(self._descriptor, _PIECE))

    def _keep(self, buffer: bytes) -> None:
        with self._guard:
            if self._bytes + len(buffer) > self._most:
                if self._reads and self._reads[-1].buffer is OVERFLOWN:
                    return
                buffer = OVERFLOWN
            self._reads.append(EventRead(time.monotonic(), buffer))
            self._bytes += len(buffer)
            self._guard.notify()
