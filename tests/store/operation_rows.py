"""Operations and their items in the record, as a plan and a runner leave them, for the tests of this folder."""

from collections.abc import Sequence
from typing import Any

from schema.commands.command import Command
from schema.ids import MountId, new_command_id
from schema.operations.commands import command_of
from schema.operations.operation import ItemKind, Operation, OperationItem, OperationKind, OperationState
from schema.paths import NodePath
from schema.store import operations as store
from schema.store.pool import Pool
from tests.store.helpers import Protocol

COUNTED = ("in_flight", "done", "failed", "skipped", "changed", "reversed")


async def planned(pool: Pool, mount: MountId, *items: OperationItem, **changes: Any) -> Operation:
    """An operation with this plan that waits for its start."""
    values: dict[str, Any] = {
        "kind": OperationKind.MOVE,
        "path": NodePath(b"d"),
        "target_path": NodePath(b"e"),
    } | changes
    operation = Operation(
        id=str(new_command_id()), tenant="main", principal="ann", token_id=1, mount_id=mount, **values
    )  # fmt: skip
    async with pool.connection() as connection, connection.transaction():
        assert await store.create(connection, operation, operation.id, "00")
        await store.advance_plan(connection, operation.id, items, {}, 0)
        await store.end_plan(connection, operation.id, OperationState.PLANNED)
    return operation


async def running(pool: Pool, mount: MountId, *items: OperationItem, **changes: Any) -> Operation:
    """One that has begun and has its subtrees."""
    operation = await planned(pool, mount, *items, **changes)
    await set_row(pool, operation, "state = 'running', started_at = now(), claimed = true")
    return (await now(pool, operation))[0]


async def set_row(pool: Pool, operation: Operation, values: str) -> None:
    """As a request, a runner or another turn leaves the row."""
    async with pool.connection() as connection:
        await connection.execute(f"UPDATE filestore.operations SET {values} WHERE id = '{operation.id}'".encode())


async def now(pool: Pool, operation: Operation) -> tuple[Operation, list[OperationItem]]:
    async with pool.connection() as connection:
        locked = await store.lock(connection, operation.id)
        assert locked is not None
        items = await store.items(connection, operation.id, states=None, codes=None, after=-1, limit=1000)
    return locked.operation, items


def counted(operation: Operation) -> dict[str, int]:
    return {name: count for name in COUNTED if (count := getattr(operation, name))}


def move(item: int, name: str, version: int = 1) -> OperationItem:
    path, target = NodePath(b"d/" + name.encode()), NodePath(b"d/moved " + name.encode())
    return OperationItem(item=item, kind=ItemKind.MOVE, path=path, target=target, version=version)


def handed_out(operation: Operation, steps: Sequence[OperationItem]) -> list[Command]:
    return [command_of(operation, step, new_command_id()) for step in steps]


async def carry_out(protocol: Protocol, operation: Operation, *steps: OperationItem) -> None:
    mount = operation.mount_id
    begun = await protocol.begin(mount, handed_out(operation, steps))
    await protocol.commit(mount, [protocol.applied(going.id, going.attempt) for going in begun.go])
