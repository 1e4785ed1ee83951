"""How far a long work is: one line that changes on a terminal, a line now and then in a log."""

import sys
import threading
import time

SHOW_EVERY_S = 0.2
LOG_EVERY_S = 10.0


class WorkShown:
    """Told of each thing that is done, from any thread."""

    def __init__(self, name: str, total: int) -> None:
        self._name, self._total, self._done, self._bytes = name, total, 0, 0
        self._guard = threading.Lock()
        self._began = self._shown_at = time.monotonic()
        self._every = SHOW_EVERY_S if sys.stdout.isatty() else LOG_EVERY_S

    def done(self, size: int = 0) -> None:
        with self._guard:
            self._done, self._bytes = self._done + 1, self._bytes + size
            if time.monotonic() - self._shown_at > self._every:
                self._shown_at = time.monotonic()
                self._show()

    def end(self) -> None:
        """Takes the line away again."""
        if sys.stdout.isatty():
            print("\r\x1b[K", end="", flush=True)

    def _show(self) -> None:
        seconds = time.monotonic() - self._began
        line = f"  {self._name}: {self._done} of {self._total}, {seconds:.0f} s"
        line += f", {self._bytes / seconds / 1e6:.1f} MB/s" if self._bytes else ""
        print(f"\r\x1b[K{line}" if sys.stdout.isatty() else line, end="" if sys.stdout.isatty() else "\n", flush=True)
