"""The commands of the items that go next, with what they need to know of the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from schema.commands.command import Command
from schema.ids import new_command_id
from schema.operations.commands import command_of
from schema.operations.operation import ItemKind, Operation, OperationItem
from schema.store import begin as begin_store
from schema.store import operation_turns as turn_store

if TYPE_CHECKING:
    from schema.store.connection import Connection


async def commands_of(connection: Connection, operation: Operation, steps: Sequence[OperationItem]) -> list[Command]:
    """In the transaction that hands them out."""
    back = [one for one in steps if one.kind is ItemKind.DESCRIBE and one.content_version is not None]
    described = await turn_store.described(connection, back) if back else {}
    commands, metadata = [], []
    for step in steps:
        changes = _metadata(operation, step, described)
        command = command_of(operation, step, new_command_id(), metadata=changes)
        commands.append(command)
        if changes is not None:
            metadata.append((command, changes))
    if metadata:
        await begin_store.keep_metadata(connection, metadata[0][0].mount_id, metadata)
    return commands


def _metadata(
    operation: Operation,
    step: OperationItem,
    described: Mapping[int, tuple[Mapping[str, Any], Mapping[str, Any]]],
) -> Mapping[str, Any] | None:
    if step.kind is not ItemKind.DESCRIBE:
        return None
    if step.content_version is None:
        return operation.metadata or {}
    before, after = described.get(step.item, ({}, {}))
    changed = {
        key for key in {*before, *after} if before.get(key) != after.get(key) or (key in before) != (key in after)
    }
    return {"set": {k: before[k] for k in changed if k in before}, "unset": [k for k in changed if k not in before]}
