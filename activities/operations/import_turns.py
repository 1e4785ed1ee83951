"""One execution of an import: what it works on, how far it is, and whether it may go on."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any

from schema.operations.operation import Operation, OperationState
from schema.store import operations as operation_store

if TYPE_CHECKING:
    from activities.executors.contract.executor import Executor
    from schema.store.connection import Connection

_SECONDS = 10.0
"""After so long the runner looks what is wanted, and shows how far it is."""


class ImportStopped(Exception):
    """Another thing is wanted of the operation now, or another runner is at it."""


@dataclass(slots=True)
class ImportTurn:
    """One execution: what it works on, and how far it is."""

    operation: Operation
    executor: Executor
    cursor: dict[str, Any]
    refused: set[bytes]
    again: bool
    """What is seen may have been seen before"""
    fresh: set[bytes] = field(default_factory=set)
    """Directories that this turn has recorded: what they hold is not looked for, unless a name turns out to be taken"""
    until: float = field(default_factory=lambda: monotonic() + _SECONDS)


async def lock_turn(connection: Connection, turn: ImportTurn) -> Operation:
    """The row of the operation. Raises ImportStopped."""
    locked = await operation_store.lock(connection, turn.operation.id)
    if locked is None or not goes_on(locked.operation) or not locked.claimed:
        raise ImportStopped
    if (locked.cursor or {}).get("n", 0) != turn.cursor.get("n", 0):
        raise ImportStopped
    return locked.operation


def goes_on(operation: Operation) -> bool:
    return operation.state is OperationState.RUNNING and operation.want is None


def counted(cursor: dict[str, Any]) -> dict[str, Any]:
    """The cursor of the next page: another runner's has another number."""
    return {**cursor, "n": cursor.get("n", 0) + 1}
