"""Changes of what records say, in the journal and in the feed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import orjson

from schema.ids import NodeId, new_command_id
from schema.metastore.changes import RecordAuthor
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("record_entries")


async def tell(connection: Connection, nodes: Sequence[NodeId], by: RecordAuthor) -> None:
    """In the transaction that changed their records: an entry and an event for each."""
    if not nodes:
        return
    records = [{"node": node, "command": new_command_id(), "item": by.items.get(node)} for node in nodes]
    values = {
        "records": orjson.dumps(records).decode(), "principal": by.principal, "token": by.token,
        "operation": by.operation, "request": by.request, "correlation": by.correlation,
    }  # fmt: skip
    await connection.execute(SQL["tell"], values)
