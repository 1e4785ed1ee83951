"""How fast bytes may be read, by all threads of an operation together."""

import threading
import time


class ReadPace:
    """Threads wait here after each piece. The rate can change, and all of it can stop, while they wait."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._rate: float | None = None
        self._free_at = 0.0
        self.stopped = False

    def set(self, rate: float | None) -> None:
        """Bytes in a second; None: as fast as it goes."""
        with self._changed:
            if rate != self._rate:
                self._rate, self._free_at = rate, time.monotonic()
                self._changed.notify_all()

    def stop(self) -> None:
        with self._changed:
            self.stopped = True
            self._changed.notify_all()

    def wait(self, size: int) -> bool:
        """After so many bytes. False: it is stopped."""
        with self._changed:
            if self._rate is not None:
                self._free_at = max(self._free_at, time.monotonic()) + size / self._rate
            while not self.stopped and self._rate is not None and (left := self._free_at - time.monotonic()) > 0:
                self._changed.wait(left)
            return not self.stopped
