"""Attempts that are certain to be first ones: what `begin` tells `apply` of the same process, beside what the record says."""

from collections.abc import Iterable

from schema.commands.payloads import Going
from schema.ids import CommandId


class FreshAttempts:
    """Attempts that were opened in this process and that no thread has executed yet.

    `begin` adds them and `apply` takes them, each once. A fresh attempt needs no higher number in the record before its step,
    and what stands in its way was not made by an earlier execution. If the process ends, its fresh attempts count as
    later ones wherever they go on: that is always safe. Only one event loop uses this, so there is no lock.
    """

    def __init__(self) -> None:
        self._attempts: set[tuple[CommandId, int]] = set()

    def add(self, command: CommandId, attempt: int) -> None:
        self._attempts.add((command, attempt))

    def take(self, going: Iterable[Going]) -> list[Going]:
        """Returns the attempts among these that are fresh. From now on they are not."""
        taken = [one for one in going if (one.id, one.attempt) in self._attempts]
        self._attempts.difference_update((one.id, one.attempt) for one in taken)
        return taken
