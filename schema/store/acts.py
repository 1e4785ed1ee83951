"""Write administrative acts down."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from schema.access.acts import AdministrativeAct
from schema.ids import new_command_id
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("acts")


async def record(connection: Connection, act: AdministrativeAct) -> None:
    """In the transaction of what was done."""
    await connection.execute(SQL["record"], _values(act))


async def record_all(connection: Connection, some: Sequence[AdministrativeAct]) -> None:
    """In one round trip."""
    async with connection.cursor() as cursor:
        await cursor.executemany(SQL["record"], [_values(act) for act in some])


def _values(act: AdministrativeAct) -> dict[str, Any]:
    return {
        "tenant": act.tenant, "id": new_command_id(), "kind": act.kind, "mount": act.mount, "principal": act.by.name,
        "token": act.by.token_id or None, "payload": json.dumps(act.payload), "before": _json(act.before),
        "after": _json(act.after), "request_id": act.request_id, "correlation_id": act.correlation_id,
    }  # fmt: skip


def _json(value: dict[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(value)
