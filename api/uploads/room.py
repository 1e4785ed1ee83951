"""A content that is announced before it comes: one that can not fit into the quotas of its place is refused at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema.access.quotas import Amount
from schema.store import quotas

if TYPE_CHECKING:
    from api.services import Front
    from schema.ids import MountId
    from schema.paths import NodePath
    from schema.principals import Principal


async def check_room(front: Front, principal: Principal, mount: MountId, path: NodePath, size: int | None) -> None:
    """It reserves nothing: `begin` decides when all of it is here. Raises QuotaExceeded."""
    if size is None:
        return
    async with front.services.pool.connection() as connection:
        rooms = await quotas.room_at(connection, principal.tenant, mount, path, principal.name)
        there = await quotas.size_at(connection, mount, path) if rooms else None
    more = Amount(size, 1) if there is None else Amount(size - there, 0)
    for room in rooms:
        if refusal := room.refusal(more):
            raise refusal
