"""`next`: what is wanted of an operation, and its next items as commands, in one transaction under the lock of its row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from temporalio import activity

from activities.operations.directories import staged
from activities.operations.handed_out import commands_of
from activities.operations.work import Portion, begun, portion, records_in_flight
from schema import errors
from schema.commands.command import Command
from schema.commands.payloads import LIST_MAX
from schema.faults import areach
from schema.freezes import Freeze
from schema.ids import MountId
from schema.operations.chunk import alike, together, until_a_stop
from schema.operations.operation import (
    LEFT_MOST,
    ItemKind,
    ItemState,
    Operation,
    OperationItem,
    OperationKind,
    OperationState,
)
from schema.operations.reversal import reversal
from schema.operations.turn import reached
from schema.store import freezes as freeze_store
from schema.store import imports as import_store
from schema.store import operation_turns as turn_store
from schema.store import operations as store
from schema.store import undo as undo_store
from schema.store.operations import LockedOperation

if TYPE_CHECKING:
    from activities.ports import Executors
    from activities.threads import MountThreads
    from schema.store.connection import Connection
    from schema.store.pool import Pool

_FREEZE_LOOK = 10.0
"""Seconds. Who lifts a freeze wakes the runners; this is for a wake-up that was lost."""
_CHUNK_SECONDS = 1.0
"""Where a limit is set, a list holds the commands that may go in this time."""
_CHUNK_BYTES = 64 * 1024 * 1024
"""The most small files in one list, so that the operation can be stopped soon."""
_NUDGED_SECONDS = 30.0
"""What is in flight wakes the runner when it ends. Should that be lost, it looks after this time."""
_OTHERS_SECONDS = 2.0
"""Nothing wakes it when another operation ends, or a mount comes back: it looks again after this time."""
_LOOK_AHEAD = 256
"""Items among which those of the next list are found: some may have to wait for others."""
_UNFINISHED_MOST = 1000


@dataclass(frozen=True, slots=True)
class NextStep:
    """What the runner does next."""

    mount_id: MountId
    state: str
    commands: list[Command] = field(default_factory=list)
    portion: Portion | None = None
    """Items that are no commands"""
    kind: str = ""
    wait_seconds: float = 0.0
    """Nothing can go now: look again after this time, or at a signal"""
    over: bool = False
    """The runner has nothing to do any more"""
    imports: bool = False
    """The scan goes on"""
    title: str = ""
    path: str = ""
    principal: str = ""
    progress: str = ""
    """How far it is, for a person"""


class NextChunk:
    def __init__(self, pool: Pool, executors: Executors, threads: MountThreads) -> None:
        self._pool, self._executors, self._threads = pool, executors, threads

    @activity.defn(name="next")
    async def next(self, id: str) -> NextStep:
        async with self._pool.connection() as connection, connection.transaction():
            locked = await store.lock(connection, id)
            if locked is None:
                return NextStep(MountId(0), "gone", over=True)
            chunk = _told(locked.operation, await _next(connection, locked))
        await areach("operation.next")
        if not chunk.commands:
            return chunk
        # What was handed out and is lost here comes again: its items are pending.
        try:
            executor = self._executors.of(chunk.mount_id)
        except errors.FilestoreError:
            return chunk  # `begin` says why to each of them
        commands = await self._threads.run(chunk.mount_id, staged, executor, chunk.commands)
        return replace(chunk, commands=commands)


async def _next(connection: Connection, locked: LockedOperation) -> NextStep:
    operation = locked.operation
    if not operation.state.moves:
        return _over(operation)
    left, stuck = await _left(connection, locked), await turn_store.stuck(connection, operation)
    if there := reached(operation, left=left, stuck=stuck):
        await turn_store.reach(connection, operation.id, there)
        if operation.kind is OperationKind.IMPORT and there.state.ended:
            await import_store.tell(connection, operation)
        if there.state is not OperationState.ROLLING_BACK:
            return NextStep(operation.mount_id, there.state, over=True)
        return NextStep(operation.mount_id, there.state)
    if operation.works_alone and operation.in_flight:
        return await _work(connection, operation)
    if operation.undo is not None and operation.in_flight and (lost := await records_in_flight(connection, operation)):
        return _of_records(operation, lost)
    if operation.want is not None or operation.state is OperationState.CANCELLING:
        return await _wait(connection, operation, _NUDGED_SECONDS)  # until nothing is in flight
    if (seconds := _until_start(operation)) > 0:
        return await _wait(connection, operation, min(seconds, 60.0))
    if freeze := await freeze_store.of_mounts(connection, operation.tenant, operation.mounts):
        return await _freeze(connection, operation, freeze)
    if locked.away_mount is not None and (seconds := await _until_there(connection, locked)) > 0:
        return await _wait(connection, operation, seconds)
    has_them = locked.claimed and operation.state is not OperationState.WAITING
    if not has_them and not operation.kind.works_alone and await turn_store.claim(connection, operation):
        return await _wait(connection, operation, _OTHERS_SECONDS)
    if locked.pace_seconds > 0:
        return await _wait(connection, operation, locked.pace_seconds)
    if operation.works_alone:
        return await _work(connection, operation)
    if operation.kind is OperationKind.IMPORT:
        await turn_store.touch(connection, operation.id)
        return NextStep(operation.mount_id, operation.state, imports=True)
    room = min(LIST_MAX, operation.options.concurrency - operation.in_flight, _by_rate(operation))
    if room <= 0:
        return await _wait(connection, operation, _NUDGED_SECONDS)
    return await _hand_out(connection, locked, room if locked.away_mount is None else 1)


async def _until_there(connection: Connection, locked: LockedOperation) -> float:
    """A mount that was away is tried with one item, when nothing is in flight; until then others may have the subtrees."""
    operation, mount = locked.operation, locked.away_mount
    assert mount is not None
    if operation.in_flight:
        return _NUDGED_SECONDS
    seconds = locked.away_seconds
    if seconds <= 0 and not await turn_store.usable(connection, mount):
        seconds = _OTHERS_SECONDS
    if seconds > 0 and locked.claimed:
        await turn_store.let_go(connection, operation.id)
    return seconds


async def _freeze(connection: Connection, operation: Operation, freeze: Freeze) -> NextStep:
    """Nothing new begins on the mount. What is in flight ends, and then the operation gives up its subtrees, as in a pause."""
    if operation.in_flight:
        return await _wait(connection, operation, _NUDGED_SECONDS)
    await turn_store.wait(connection, operation.id, None)
    left = _FREEZE_LOOK if freeze.until is None else (freeze.until - datetime.now(UTC)).total_seconds()
    return NextStep(operation.mount_id, operation.state, wait_seconds=min(max(left, 0.2), _FREEZE_LOOK))


async def _work(connection: Connection, operation: Operation) -> NextStep:
    there = await portion(connection, operation)
    if there is None:
        return await _wait(connection, operation, 0.3)
    return NextStep(operation.mount_id, operation.state, portion=there, kind=operation.work)


def _of_records(operation: Operation, there: Portion) -> NextStep:
    """Among commands: what the Metastore says of nodes is put back."""
    return NextStep(operation.mount_id, operation.state, portion=there, kind="tag")


async def _left(connection: Connection, locked: LockedOperation) -> bool:
    if locked.operation.kind is OperationKind.IMPORT:
        return not (locked.cursor or {}).get("over")
    return await turn_store.anything_left(connection, locked.operation)


async def _hand_out(connection: Connection, locked: LockedOperation, room: int) -> NextStep:
    operation = locked.operation
    items = alike(await _next_items(connection, operation, room))
    given_up = await _given_up(connection, locked, items)
    items, given_up = until_a_stop(operation, items, given_up)
    if given_up:
        await turn_store.give_up(connection, operation.id, given_up)
    going = [one for one in items if one.item not in given_up]
    if not going:
        return await _wait(connection, operation, 0.0 if given_up else await _until_one_can_go(connection, operation))
    if going[0].kind is ItemKind.TAG:
        return _of_records(operation, await begun(connection, operation, going))
    steps = [reversal(one, one.item) if operation.back else one for one in going]
    if operation.back and operation.undo is not None:
        steps = await undo_store.raised(connection, operation.id, steps)
    commands = await commands_of(connection, operation, steps)
    await turn_store.hand_out(connection, operation.id, [one.item for one in going], _pace(operation, going))
    return NextStep(commands[0].runs_on, operation.state, commands)


async def _until_one_can_go(connection: Connection, operation: Operation) -> float:
    seconds = await turn_store.comes_back(connection, operation)
    longest = _NUDGED_SECONDS if operation.in_flight else _OTHERS_SECONDS
    return longest if seconds is None else min(longest, max(0.05, seconds))


async def _next_items(connection: Connection, operation: Operation, room: int) -> list[OperationItem]:
    steps = await turn_store.ready(connection, operation, _LOOK_AHEAD)
    if not steps:
        return []
    unfinished = await turn_store.unfinished(connection, operation, steps[-1].item, _UNFINISHED_MOST)
    if len(unfinished) >= _UNFINISHED_MOST:
        return []  # they are through, or given up, before long
    return together(steps, unfinished, room=room, bytes_most=_CHUNK_BYTES)


async def _given_up(
    connection: Connection, locked: LockedOperation, items: Sequence[OperationItem]
) -> dict[int, tuple[ItemState, str, str]]:
    operation = locked.operation
    given_up: dict[int, tuple[ItemState, str, str]] = {}
    busy = await turn_store.deferred(connection, operation.id, [one.item for one in items], LEFT_MOST)
    for item in busy:
        text = "Other commands held the path, however often it was tried. Retry the operation."
        given_up[item] = (ItemState.FAILED, "PATH_BUSY", text)
    if operation.undo is not None and not operation.back:
        for item, code in (await turn_store.unmet(connection, operation.id, [one.item for one in items])).items():
            given_up[item] = (ItemState.FAILED, code, "What it came from did not return, so it stays.")
    steps = [reversal(one, one.item) if operation.back else one for one in items]
    trees = [one for one in steps if one.nodes > 1 and one.kind in (ItemKind.DELETE, ItemKind.MOVE, ItemKind.COPY)]
    if trees and (operation.options.only_if_unchanged or operation.back):
        state = ItemState.FAILED if operation.back else ItemState.SKIPPED
        for item in await turn_store.changed_trees(connection, operation, locked.planned_entry or 0, trees):
            text = "What the directory holds is not what it was. Make a new plan to see it."
            given_up[item] = (state, "VERSION_CONFLICT", text)
    return given_up


def _by_rate(operation: Operation) -> int:
    rate = operation.options.files_per_second
    return LIST_MAX if rate is None else max(1, int(rate * _CHUNK_SECONDS))


def _pace(operation: Operation, going: Sequence[OperationItem]) -> float:
    """For how many seconds the limits of the operation make it wait after these items."""
    files, size = operation.options.files_per_second, operation.options.bytes_per_second
    by_files = len(going) / files if files else 0.0
    by_bytes = sum(one.size for one in going) / size if size else 0.0
    return max(by_files, by_bytes)


def _until_start(operation: Operation) -> float:
    start = operation.options.start_at
    return (start - datetime.now(UTC)).total_seconds() if start is not None else 0.0


def _told(operation: Operation, chunk: NextStep) -> NextStep:
    target = f" to {operation.target_path.text}" if operation.target_path is not None else ""
    counts = {
        "done": operation.done, "failed": operation.failed, "skipped": operation.skipped, "put back": operation.reversed,
        "in flight": operation.in_flight,
    }  # fmt: skip
    told = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    now = "".join(f"\n- {command.kind} `{command.path}`" for command in chunk.commands[:5])
    return replace(
        chunk,
        title=f"{operation.kind} {operation.path.text or '/'}{target}",
        path=operation.path.text,
        principal=operation.principal,
        progress=f"**{chunk.state}**: {operation.items:,} items{', ' if told else ''}{told}{now}",
    )


async def _wait(connection: Connection, operation: Operation, seconds: float) -> NextStep:
    await turn_store.touch(connection, operation.id)
    return NextStep(operation.mount_id, operation.state, wait_seconds=seconds)


def _over(operation: Operation) -> NextStep:
    return NextStep(operation.mount_id, operation.state, over=True)
