"""The command of an item: with the versions that were seen, under a key that is the item's own. Pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from schema.commands.command import Command, CommandKind, spell
from schema.ids import CommandId
from schema.nodes import NodeKind
from schema.operations.operation import ItemKind, Operation, OperationItem

KINDS = {
    ItemKind.MKDIR: CommandKind.CREATE_DIRECTORY,
    ItemKind.COPY: CommandKind.COPY,
    ItemKind.MOVE: CommandKind.MOVE,
    ItemKind.DELETE: CommandKind.DELETE,
    ItemKind.RESTORE: CommandKind.RESTORE,
    ItemKind.DESCRIBE: CommandKind.DESCRIBE,
}


def key_of(operation: str, turn: int, back: bool, item: int) -> str:
    """It says in which turn and direction the item was handed out, so that it goes in no other."""
    return f"operation/{operation}/{turn}{'/back' if back else ''}/{item}"


def goes_back(command: Command) -> bool:
    """Whether it puts back what its own operation has done."""
    return command.operation_id is not None and "/back/" in (command.key or "")


def command_of(
    operation: Operation, item: OperationItem, id: CommandId, *, metadata: Mapping[str, Any] | None = None
) -> Command:
    """`item`: of the plan, or its reversal. `metadata`: {set, unset}, of a description."""
    path, exact = spell(item.path)
    key = key_of(operation.id, operation.turn, operation.back, item.item)
    mount = item.mount or operation.mount_id
    command = Command(
        id, KINDS[item.kind], mount, path, operation.tenant, operation.principal, operation.token_id,
        path_b64=exact,
        key=key,
        hash=hashlib.sha256(key.encode()).hexdigest(),
        has_metadata=metadata is not None,
        recursive=item.node_kind is NodeKind.DIRECTORY and item.kind is ItemKind.DELETE and item.nodes > 1,
        overwrite=item.target_version is not None,
        content_version=item.content_version if item.kind is ItemKind.RESTORE else None,
        node_id=item.node_id,
        target_version=item.target_version,
        if_version=item.version if operation.options.only_if_unchanged or operation.back else None,
        correlation_id=operation.correlation_id,
        operation_id=operation.id,
        item=item.item,
    )  # fmt: skip
    if item.target is None:
        return command
    target, target_exact = spell(item.target)
    there = item.target_mount or operation.mount_id
    return replace(command, target=target, target_b64=target_exact, target_mount_id=None if there == mount else there)
