"""`retain`: plan a purge of what the trash of a mount keeps for longer than the mount wants, or than was promised."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from temporalio import activity

from activities.operations.held import HELD, noted
from activities.operations.purge import purge_page
from schema.ids import MountId, new_command_id
from schema.operations.operation import Operation, OperationKind, Options
from schema.paths import ROOT
from schema.store import operations as store
from schema.store import purges

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from schema.store.connection import Connection
    from schema.store.pool import Pool

SYSTEM = "system"
"""The principal of what the service does by itself"""


class RetainTrash:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @activity.defn(name="retain")
    async def retain(self, mount: MountId) -> str | None:
        """The id of an operation that is to be planned. None: there is nothing to purge."""
        async with self._pool.connection() as connection, connection.transaction():
            found = await purges.retention_of(connection, mount)
            if found is None:
                return None
            tenant, retention = found
            operation = Operation(
                id=str(new_command_id()), tenant=tenant, principal=SYSTEM, token_id=0, kind=OperationKind.PURGE,
                mount_id=mount, path=ROOT, options=Options(**retention),
            )  # fmt: skip
            if not await _anything(connection, operation):
                return None
            # One in an hour: a run that is tried again joins it.
            key = f"purge/{mount}/{datetime.now(UTC):%Y-%m-%dT%H}"
            if await store.create(connection, operation, key, "00" * 32):
                return operation.id
            known = await store.of_key(connection, tenant, SYSTEM, key)
            return known[0] if known else None


async def _anything(connection: Connection, operation: Operation) -> bool:
    cursor: Mapping[str, Any] = {"next": 0}
    while not cursor.get("end"):
        items, cursor = await purge_page(connection, operation, cursor)
        if any(one.code != HELD for one in await noted(connection, operation, items)):
            return True
    return False
