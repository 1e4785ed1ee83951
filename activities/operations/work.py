"""The next items of an operation that carries them out itself, without commands: they verify, purge, forget, or tag."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schema.ids import MountId
from schema.operations.operation import Operation, OperationItem
from schema.store import operation_turns as turn_store
from schema.store import work_items

if TYPE_CHECKING:
    from schema.store.connection import Connection

_ITEMS = 256
_BYTES = 256 * 1024 * 1024
"""The most files that one step has, so that what it has found is told soon"""


@dataclass(frozen=True, slots=True)
class Portion:
    """The items of one step."""

    operation: str
    mount_id: MountId
    items: list[int]


async def portion(connection: Connection, operation: Operation) -> Portion | None:
    """What is in flight comes first: the step that had it is lost, or a second runner is at it, which is harmless. Otherwise the
    next ones are in flight from now on. None: there are none."""
    there = await work_items.in_flight(connection, operation.id, _ITEMS)
    if not there:
        ready = await turn_store.ready(connection, operation, _ITEMS)
        going = _together(ready)
        return await begun(connection, operation, going) if going else None
    return Portion(operation.id, operation.mount_id, there)


async def records_in_flight(connection: Connection, operation: Operation) -> Portion | None:
    """Records of the Metastore that an undo was putting back among its commands, when its step was lost. None: there are none."""
    there = await work_items.in_flight(connection, operation.id, _ITEMS, records=True)
    return Portion(operation.id, operation.mount_id, there) if there else None


async def begun(connection: Connection, operation: Operation, items: Sequence[OperationItem]) -> Portion:
    """These are in flight from now on."""
    there = [one.item for one in items]
    await work_items.begin(connection, operation.id, there, _pace(operation, len(there)))
    return Portion(operation.id, operation.mount_id, there)


def _together(items: Sequence[OperationItem]) -> list[OperationItem]:
    taken, size = list[OperationItem](), 0
    for one in items:
        size += one.size
        if taken and size > _BYTES:
            break
        taken.append(one)
    return taken


def _pace(operation: Operation, files: int) -> float:
    """Bytes are counted as they are read."""
    rate = operation.options.files_per_second
    return files / rate if rate else 0.0
