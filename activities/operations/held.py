"""What a plan would take away and is held: said of its items before anything is begun. Whether one goes is decided when it goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from schema.access.holds import Taking
from schema.errors import ContentHeld
from schema.operations.operation import ItemKind, ItemState, Operation, OperationItem
from schema.store import holds

if TYPE_CHECKING:
    from schema.store.connection import Connection

HELD = ContentHeld.code


async def noted(connection: Connection, operation: Operation, items: Sequence[OperationItem]) -> list[OperationItem]:
    """The items; those that are held now say so, and are tried all the same: a hold can be released before."""
    takings = [(n, one) for n, item in enumerate(items) for one in takes(operation, item)]
    if not takings:
        return list(items)
    in_the_way = await holds.in_the_way(connection, [one for _, one in takings])
    told = {takings[k][0]: hold.refusal().message for k, hold in in_the_way.items()}
    return [replace(item, code=HELD, message=told[n]) if n in told else item for n, item in enumerate(items)]


def takes(operation: Operation, item: OperationItem) -> list[Taking]:
    """As `schema.access.holds.takes`, of the command to come."""
    if item.state is not ItemState.PENDING:
        return []
    mount = item.mount or operation.mount_id
    old = item.kind is ItemKind.RESTORE and item.content_version is not None
    gone = old or item.kind in (ItemKind.DELETE, ItemKind.MOVE, ItemKind.PURGE)
    taken = [Taking(mount, item.path, True)] if gone else []
    if item.target is not None and item.target_version is not None:
        taken.append(Taking(item.target_mount or operation.mount_id, item.target, False))
    return taken
