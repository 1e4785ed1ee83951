"""Operations and their items in the record, as a plan and a runner leave them, for the tests of this folder."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from temporalio.testing import ActivityEnvironment

from activities.executors.contract.executor import Executor
from activities.operations.chunk import NextChunk, NextStep
from activities.operations.forget import ForgetNodes
from activities.operations.plan import PlanItems
from activities.operations.tag import TagRecords
from schema.commands.command import Command, Status
from schema.commands.payloads import Applied, Begun, Ended
from schema.errors import MountOffline
from schema.ids import MountId, new_command_id
from schema.nodes import NodeKind
from schema.operations.commands import command_of
from schema.operations.control import Control, steer
from schema.operations.operation import ItemKind, Operation, OperationItem, OperationKind, OperationState
from schema.paths import NodePath
from schema.store import operation_plans as plan_store
from schema.store import operations as store
from schema.store.pool import Pool
from tests.store.helpers import Connection, Protocol

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
        await plan_store.advance_plan(connection, operation.id, items, {}, 0)
        await plan_store.end_plan(connection, operation.id, OperationState.PLANNED)
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


def _silent() -> None:
    """No publisher is told."""


@dataclass
class Runner:
    """A runner of operations in the record alone: each command that goes takes its step, and time passes when it waits."""

    pool: Pool
    protocol: Protocol

    async def next(self, operation: Operation) -> NextStep:
        activity = NextChunk(self.pool, self.protocol.executors, self.protocol.threads)
        return await ActivityEnvironment().run(activity.next, operation.id)

    async def plan(self, operation: Operation) -> str:
        state: str = await ActivityEnvironment().run(PlanItems(self.pool).plan, operation.id)
        return state

    async def begin(self, step: NextStep, workflow: str | None = None) -> Begun:
        return await self.protocol.begin(step.mount_id, step.commands, workflow)

    async def end(self, begun: Begun) -> Ended:
        going = [*begun.go, *begun.unstaged]
        return await self.protocol.commit(begun.mount_id, [self.protocol.applied(one.id, one.attempt) for one in going])

    async def fail(self, begun: Begun, code: str) -> None:
        """None of it takes its step."""
        failed = [
            Applied(g.id, g.attempt, Status.FAILED, code=code, message="not now", retryable=True) for g in begun.go
        ]
        await self.protocol.commit(begun.mount_id, failed)

    async def turn(self, operation: Operation) -> NextStep:
        """What is wanted, and the next list with all that it does."""
        step = await self.next(operation)
        if step.commands:
            await self.end(await self.begin(step))
        elif step.portion is not None:
            await self.work(step)
        elif not step.over:
            await self.time_passes(operation)
        return step

    async def work(self, step: NextStep) -> int:
        """Items that are no commands; how many of them did something."""
        assert step.portion is not None
        works = {"tag": TagRecords(self.pool, _silent).tag, "forget": ForgetNodes(self.pool, _silent).forget}
        done: int = await ActivityEnvironment().run(works[step.kind], step.portion)
        return done

    async def to_the_end(self, operation: Operation, most: int = 100) -> str:
        """The state in which the runner leaves it."""
        for _ in range(most):
            step = await self.turn(operation)
            if step.over:
                return step.state
        raise AssertionError((await now(self.pool, operation))[0])

    async def time_passes(self, operation: Operation) -> None:
        """What waits for a time waits no longer."""
        async with self.pool.connection() as connection:
            items = (
                "UPDATE filestore.operation_items SET retry_at = NULL WHERE operation_id = %s AND retry_at IS NOT NULL"
            )
            await connection.execute(items, [operation.id])
        await set_row(self.pool, operation, "paced_until = NULL, away_until = NULL")


async def steered(pool: Pool, operation: Operation, control: Control, items: Sequence[int] | None = None) -> Operation:
    """As a route does it. Raises WrongState."""
    async with pool.connection() as connection, connection.transaction():
        locked = await store.lock(connection, operation.id)
        assert locked is not None
        await store.steer(connection, operation.id, steer(locked.operation, control), items)
    return (await now(pool, operation))[0]


async def asked_for(pool: Pool, mount: MountId, **values: Any) -> Operation:
    """An operation as a request makes it: nothing of it is planned."""
    told: dict[str, Any] = {"tenant": "main", "principal": "ann", "token_id": 1, "path": NodePath(b"d")}
    operation = Operation(id=str(new_command_id()), mount_id=mount, **(told | values))
    async with pool.connection() as connection:
        assert await store.create(connection, operation, operation.id, "00")
    return operation


async def undo_of(pool: Pool, original: Operation, **changes: Any) -> Operation:
    now_of = (await now(pool, original))[0]
    return await asked_for(
        pool, original.mount_id, kind=OperationKind.UNDO, path=original.path, target_path=original.target_path,
        undoes=original.id, undoes_turn=now_of.turn, **changes,
    )  # fmt: skip


async def lies(pool: Pool, mount: MountId) -> dict[str, tuple[str, int]]:
    """The living nodes of a mount, by their paths: kind and size."""
    query = """SELECT d.directory_path AS path, ''::bytea AS name, d.kind::text, 0 AS size FROM filestore.nodes d
                WHERE d.mount_id = %(mount)s AND d.kind = 'directory' AND d.state <> 'deleted' AND d.depth > 0
                UNION ALL
               SELECT p.directory_path, n.name, n.kind::text, n.size_bytes FROM filestore.nodes n
                 JOIN filestore.nodes p ON p.id = n.parent_id
                WHERE n.mount_id = %(mount)s AND n.kind <> 'directory' AND n.state <> 'deleted'"""
    async with pool.connection() as connection:
        rows = await (await connection.execute(query, {"mount": mount})).fetchall()
    return {(bytes(row["path"]) + bytes(row["name"])).decode().rstrip("/"): (row["kind"], row["size"]) for row in rows}


class Away:
    """No executor: the mount is not there."""

    def of(self, mount: MountId) -> Executor:
        raise MountOffline()


async def blocked(connection: Connection) -> None:
    """Until another transaction waits for this one."""
    query = "SELECT pid FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    async with asyncio.timeout(20):
        while not await (await connection.execute(query)).fetchone():  # noqa: ASYNC110  no event tells
            await asyncio.sleep(0.01)


def copy(item: int, name: str, target: str) -> OperationItem:
    return OperationItem(
        item=item, kind=ItemKind.COPY, path=NodePath(name.encode()), target=NodePath(target.encode()), version=1
    )


def mkdir_of(item: int, name: str) -> OperationItem:
    return OperationItem(item=item, kind=ItemKind.MKDIR, path=NodePath(name.encode()), node_kind=NodeKind.DIRECTORY)


def delete_of(item: int, name: str, version: int = 1) -> OperationItem:
    return OperationItem(item=item, kind=ItemKind.DELETE, path=NodePath(name.encode()), version=version)


def moved(item: int, name: str, target: str) -> OperationItem:
    return OperationItem(
        item=item, kind=ItemKind.MOVE, path=NodePath(name.encode()), target=NodePath(target.encode()), version=1
    )
