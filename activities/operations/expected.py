"""How much a plan has before it, counted once when it begins: with it, it is known how long it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema.operations.operation import Operation, OperationKind
from schema.operations.planning import topmost
from schema.paths import parse
from schema.store import operation_plans as plan_store
from schema.store import trash

if TYPE_CHECKING:
    from schema.store.connection import Connection


async def expected(connection: Connection, operation: Operation) -> dict[str, int]:
    """For the cursor, beside `looked`. Nothing: the record says it at any time, or nobody knows it."""
    number = await _counted(connection, operation)
    return {} if number is None else {"expected": number}


async def _counted(connection: Connection, operation: Operation) -> int | None:
    paths = topmost([parse(path) for path in operation.selection.paths])
    match operation.kind:
        case OperationKind.PURGE:
            return await trash.count(connection, expired=True)
        case OperationKind.RESTORE if operation.options.as_of is None:
            return await trash.count(connection) * max(1, len(operation.selection.paths))
        case OperationKind.RESTORE:
            # What was there is not counted anywhere: as much as there is now, which is gone through afterwards.
            now = await plan_store.node_at(connection, operation.mount_id, operation.path)
            return None if now is None else 2 * now.nodes
        case OperationKind.UNDO:
            return None
        case _:
            return await plan_store.weigh(connection, operation.mount_id, paths) if paths else None
