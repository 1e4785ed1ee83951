"""`tag`: what the Metastore says of the nodes of a plan is changed, or put back. One transaction takes some hundred records, with
all that the operation counts of them: so each is changed once, wherever a process dies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from temporalio import activity

from activities.metastore.schemas import fitting
from activities.operations.work import Portion
from schema import errors
from schema.access.decision import Access, access_of, may
from schema.faults import areach
from schema.ids import NodeId
from schema.metastore.changes import RecordAuthor
from schema.operations.operation import Operation, OperationItem, OperationState
from schema.operations.reversal import reversal
from schema.operations.selection import PlannedNode
from schema.operations.tagging import (
    MOVED_ON,
    NOT_NEEDED,
    FormerRecord,
    NodeRecord,
    RecordEnd,
    as_planned,
    edited,
    put_back,
    until_a_stop,
)
from schema.store import operations as operation_store
from schema.store import records, tokens
from schema.store import tags as store
from schema.store.records import RecordSearch
from schema.store.tags import TagEnd

if TYPE_CHECKING:
    from schema.store.connection import Connection
    from schema.store.operations import LockedOperation
    from schema.store.pool import Pool

_Ends = dict[NodeId, tuple[RecordEnd, str | None]]


async def found_by(connection: Connection, operation: Operation, nodes: Sequence[PlannedNode]) -> list[PlannedNode]:
    """Those of a page of nodes whose records meet the selection's conditions."""
    wanted = RecordSearch(**(operation.selection.records or {}))
    matching = await records.matching(connection, operation.tenant, wanted, [node.id for node in nodes])
    return [node for node in nodes if node.id in matching]


class TagRecords:
    def __init__(self, pool: Pool, announce: Callable[[], None]) -> None:
        self._pool, self._announce = pool, announce

    @activity.defn(name="tag")
    async def tag(self, portion: Portion) -> int:
        """All of it, or nothing. How many records were changed."""
        async with self._pool.connection() as connection, connection.transaction():
            await store.make_missing(connection, portion.operation, portion.items)
        async with self._pool.connection() as connection, connection.transaction():
            locked = await operation_store.lock(connection, portion.operation)
            if locked is None:
                return 0
            items = await store.in_flight(connection, portion.operation, portion.items)
            operation = locked.operation
            if _goes_on(locked):
                ends, changes = await _judged(connection, operation, items)
                await store.change(connection, changes, _author(operation, items))
            else:
                ends, changes = [TagEnd(one.item, "again") for one in items], {}
            await store.end(connection, operation.id, ends, back=operation.back)
        await areach("tag.done")
        self._announce()
        return len(changes)


def _author(operation: Operation, items: Sequence[OperationItem]) -> RecordAuthor:
    return RecordAuthor(
        principal=operation.principal, token=operation.token_id or None, operation=operation.id,
        items={one.node_id: one.item for one in items if one.node_id is not None}, correlation=operation.correlation_id,
    )  # fmt: skip


def _goes_on(locked: LockedOperation) -> bool:
    operation = locked.operation
    state = OperationState.ROLLING_BACK if operation.back else OperationState.RUNNING
    return operation.state is state and operation.want is None and locked.claimed


async def _judged(
    connection: Connection, operation: Operation, items: Sequence[OperationItem]
) -> tuple[list[TagEnd], _Ends]:
    """How each item ends, and what becomes of records. An operation walks down where it puts back."""
    steps = [reversal(one, one.item) if operation.back else one for one in items]
    steps.sort(key=lambda one: one.item, reverse=operation.walks_down)
    held = await store.hold(connection, [one.node_id for one in steps if one.node_id is not None])
    former = await store.former(connection, [one for one in steps if one.content_version is not None])
    moved_on = [not as_planned(operation, one, held.get(one.node_id or NodeId(0))) for one in steps]
    most = until_a_stop(operation, moved_on)
    access = await _access(connection, operation)
    ends, changes = [TagEnd(one.item, "again") for one in steps[most:]], _Ends()
    for step, gone in zip(steps[:most], moved_on, strict=False):
        if gone:
            state = "failed" if operation.back else "skipped"
            ends.append(TagEnd(step.item, state, errors.VersionConflict.code, MOVED_ON))
            continue
        assert step.node_id is not None
        record = held[step.node_id]
        ends.append(await _ended(connection, operation, step, record, former.get(step.item), access, changes))
    return ends, changes


async def _ended(
    connection: Connection, operation: Operation, step: OperationItem, record: NodeRecord, former: FormerRecord | None,
    access: Access | None, changes: _Ends,
) -> TagEnd:  # fmt: skip
    try:
        _permitted(record, access)
        end = edited(record, operation.record) if operation.record and not operation.back else _back(record, former)
        schema = None if end is None else await fitting(connection, operation.tenant, end.now)
    except errors.FilestoreError as error:
        return TagEnd(step.item, "failed", error.code, error.message)
    if end is None:
        return TagEnd(step.item, "skipped", "NOT_NEEDED", NOT_NEEDED)
    changes[record.node] = (end, schema)
    return TagEnd(step.item, "reversed" if operation.back else "done", version=record.version + 1)


def _back(record: NodeRecord, former: FormerRecord | None) -> RecordEnd:
    assert former is not None, "what a change leaves is kept in the same transaction"
    return put_back(record, former)


async def _access(connection: Connection, operation: Operation) -> Access | None:
    """What the operation's token may do now; None: the service itself asks, or a way back, which is open to it whatever became
    of its token."""
    if not operation.token_id or operation.back:
        return None
    states = await tokens.standing(connection, {operation.token_id})
    if states.get(operation.token_id) is None:
        return access_of(())
    return await tokens.load_access(connection, operation.token_id) or access_of(())


def _permitted(record: NodeRecord, access: Access | None) -> None:
    """Raises Forbidden."""
    if access is None:
        return
    said = may(access, "describe", record.mount, record.path)
    if not said.allowed:
        raise errors.Forbidden(f"{said.reason} Ask an administrator for a grant, and retry.")
