"""What a plan would add, and what the quotas of its place have room for: said before anything is begun."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema.access.quotas import QuotaRoom
from schema.operations.operation import Operation, OperationKind
from schema.store import quotas

if TYPE_CHECKING:
    from schema.store.connection import Connection

_ADDS = (OperationKind.COPY, OperationKind.MOVE, OperationKind.RESTORE)


async def shortfall(connection: Connection, operation: Operation) -> str | None:
    """A warning; the items decide for themselves when they begin. None: all of it fits, or nothing is added."""
    if operation.kind not in _ADDS:
        return None
    mount, place = operation.target_mount or operation.mount_id, operation.target_path or operation.path
    inside = place if operation.items == 1 else place.child(b"x")
    rooms = await quotas.room_at(connection, operation.tenant, mount, inside, operation.principal)
    if not rooms:
        return None
    planned = await quotas.planned(connection, operation.id)
    for room in rooms:
        if room.refusal(planned) is not None and not _only_moves_within(operation, room):
            return (
                f"The quota {room.id} of {room.scope.shown} has not room for all of it: items for which there is none fail with "
                "QUOTA_EXCEEDED, and the rest goes on."
            )
    return None


def _only_moves_within(operation: Operation, room: QuotaRoom) -> bool:
    """What is moved from a place that counts for the quota already."""
    if operation.kind is not OperationKind.MOVE:
        return False
    scope = room.scope
    return scope.mount in (None, operation.mount_id) and (
        scope.path is None or operation.path == scope.path or operation.path.is_below(scope.path)
    )
