"""A process that the stack belongs to: a test run, say. When it ends, even by SIGKILL, the stack ends as well."""

import os
import select


class Companion:
    def __init__(self, pid: int | None) -> None:
        """None: the stack belongs to no process, and runs until it is stopped."""
        self._ended = False
        self._pidfd: int | None = None
        if pid is not None:
            try:
                self._pidfd = os.pidfd_open(pid)  # names this process for ever, whichever process gets its number later
            except ProcessLookupError:
                self._ended = True

    def has_ended(self) -> bool:
        if self._pidfd is not None and not self._ended:
            self._ended = bool(select.select([self._pidfd], [], [], 0)[0])
        return self._ended
