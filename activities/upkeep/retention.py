"""`prune`: remove commands with their keys, events, and what drift leaves behind, once it is older than the time for which it is
kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from time import monotonic, time
from typing import TYPE_CHECKING

from temporalio import activity

from schema.ids import FIRST_COMMAND_ID, first_command_id_of
from schema.store import drift_pruning, project_log, recomputes, request_keys
from schema.store import retention as store

if TYPE_CHECKING:
    from schema.store.pool import Pool

_PAGE = 1000
"""Rows of one transaction: some 20 ms, so that no command waits for it."""
_LONGEST_SECONDS = 60.0
_BATCH_SECONDS = 7 * 86400.0
"""For so long the name of a batch of a project answers"""
_DRIFT = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Pruned:
    commands: int = 0
    events: int = 0
    operations: int = 0
    """Rows of operations and their items"""
    drift: int = 0
    """Looks, findings that are closed, and reconciliations by hand"""
    more: bool = False
    """There was no time for all of it: run again at once"""


class Retention:
    def __init__(
        self,
        pool: Pool,
        keys: timedelta,
        events: timedelta,
        operations: timedelta,
        longest_seconds: float = _LONGEST_SECONDS,
        *,
        drift: timedelta = _DRIFT,
    ) -> None:
        """`keys`, `events`, `operations`, `drift`: for how long they are kept."""
        self._pool, self._keys, self._events, self._operations = pool, keys, events, operations
        self._drift = drift
        self._longest = longest_seconds

    @activity.defn(name="prune")
    async def prune(self) -> Pruned:
        until = monotonic() + self._longest
        events, events_left = await self._prune_events(until)
        commands, commands_left = await self._prune_commands(until)
        operations, operations_left = await self._prune_operations(until)
        drift, drift_left = await self._prune_drift(until)
        await self._prune_keys(until)
        async with self._pool.connection() as connection:
            await project_log.prune_batches(connection, _BATCH_SECONDS)
        more = events_left or commands_left or operations_left or drift_left
        return Pruned(commands, events, operations, drift, more)

    async def _prune_drift(self, until: float) -> tuple[int, bool]:
        total, left = 0, False
        async with self._pool.connection() as connection:
            await drift_pruning.give_up_looks(connection, self._drift, _PAGE)
            await drift_pruning.forget_readings(connection)
        for kind in drift_pruning.KINDS:
            gone = _PAGE
            while gone == _PAGE and not left:
                async with self._pool.connection() as connection:
                    gone = await drift_pruning.prune(connection, kind, self._drift, _PAGE)
                total += gone
                left = gone == _PAGE and monotonic() > until
        return total, left

    async def _prune_operations(self, until: float) -> tuple[int, bool]:
        total = 0
        while True:
            async with self._pool.connection() as connection:
                gone = await store.prune_operations(connection, self._operations, _PAGE)
            total += gone
            if not gone or monotonic() > until:
                return total, gone > 0

    async def _prune_events(self, until: float) -> tuple[int, bool]:
        """How many, and whether older ones are left."""
        total = 0
        while True:
            async with self._pool.connection() as connection:
                gone = await store.prune_events(connection, self._events, _PAGE)
            total += gone
            if gone < _PAGE or monotonic() > until:
                return total, gone == _PAGE

    async def _prune_keys(self, until: float) -> None:
        """Recomputes, and keys of requests that are no commands."""
        for forget in (recomputes.forget, request_keys.forget):
            while True:
                async with self._pool.connection() as connection:
                    gone = await forget(connection, self._keys, _PAGE)
                if gone < _PAGE or monotonic() > until:
                    break

    async def _prune_commands(self, until: float) -> tuple[int, bool]:
        total, after = 0, FIRST_COMMAND_ID
        below = first_command_id_of(time() - self._keys.total_seconds())
        while True:
            async with self._pool.connection() as connection:
                page = await store.prune_commands(connection, self._keys, _PAGE, below=below, after=after)
            total += page.gone
            if page.last is None or monotonic() > until:
                return total, page.last is not None
            after = page.last
