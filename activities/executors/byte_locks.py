"""Locks on bytes of one file, a byte for each command: they die with the process that opened it."""

import os

from activities.executors import syscalls
from schema.ids import CommandId, lock_offset


class ByteLocks:
    """One opening of the lock file."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def take(self, command: CommandId) -> bool:
        assert self._descriptor is not None, "the locks are closed"
        return syscalls.lock_byte(self._descriptor, lock_offset(command))

    def release(self, command: CommandId) -> None:
        assert self._descriptor is not None, "the locks are closed"
        syscalls.unlock_byte(self._descriptor, lock_offset(command))

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
