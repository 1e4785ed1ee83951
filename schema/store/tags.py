"""Records of many nodes, as an operation changes them and puts them back. All take the caller's connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from schema.ids import MountId, NodeId
from schema.metastore.changes import RecordAuthor
from schema.metastore.namespaces import Rule
from schema.metastore.records import DEFAULT_NAMESPACE, Description
from schema.operations.operation import OperationItem
from schema.operations.tagging import FormerRecord, NodeRecord, RecordEnd
from schema.paths import NodePath
from schema.sql import load
from schema.store import metastore, record_entries
from schema.store.operations import item_of

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL = load("tags")
HOLD = load("metastore")["hold"]


@dataclass(frozen=True, slots=True)
class TagEnd:
    """How an item ended: `done`, `reversed`, `skipped`, `failed`; `again`: not yet. `version`: of the record, as it is left."""

    item: int
    ends: str
    code: str | None = None
    message: str | None = None
    version: int | None = None


async def of_nodes(connection: Connection, nodes: Sequence[NodeId]) -> dict[NodeId, NodeRecord]:
    """Those of them that can have a record: the root of a mount has none."""
    values = {"nodes": list(nodes), "namespace": DEFAULT_NAMESPACE}
    rows = await (await connection.execute(SQL["of_nodes"], values)).fetchall()
    return {NodeId(row["node"]): _record(row) for row in rows}


async def hold(connection: Connection, nodes: Sequence[NodeId]) -> dict[NodeId, NodeRecord]:
    """The same, and nothing else changes their records before the transaction ends."""
    await connection.execute(HOLD, {"nodes": list(nodes)})
    return await of_nodes(connection, nodes)


async def make_missing(connection: Connection, id: str, items: Sequence[int]) -> None:
    """In a transaction of its own: records of nodes of which the feed has not told yet. It waits for the turn of the consumer,
    which waits for records, so nothing may be held here."""
    rows = await (await connection.execute(SQL["unknown"], {"id": id, "items": list(items)})).fetchall()
    if rows:
        await metastore.await_cursor(connection)
        rows = await (await connection.execute(SQL["unknown"], {"id": id, "items": list(items)})).fetchall()
        await metastore.sync(connection, [{"node": row["node"]} for row in rows])


async def in_flight(connection: Connection, id: str, items: Sequence[int]) -> list[OperationItem]:
    cursor = await connection.execute(SQL["in_flight"], {"id": id, "items": list(items)})
    return [item_of(row) for row in await cursor.fetchall()]


async def former(connection: Connection, items: Sequence[OperationItem]) -> dict[int, FormerRecord]:
    """What the records said to which these items go back."""
    asked = [{"item": one.item, "node": one.node_id, "version": one.content_version} for one in items]
    cursor = await connection.execute(SQL["former"], {"items": _json(asked)})
    return {row["item"]: FormerRecord(_described(row), row["closed"]) for row in await cursor.fetchall()}


async def change(connection: Connection, ends: Mapping[NodeId, tuple[RecordEnd, str | None]], by: RecordAuthor) -> None:
    """`ends`: with the schema that each fits. What records were goes into their history, the changes into journal and feed."""
    rows = [
        {
            "node": node, "namespace": end.now.namespace, "tags": list(end.now.tags), "owner": end.now.owner,
            "metadata": dict(end.now.metadata), "schema": schema, "violation": end.violation, "closed": end.closed,
        }
        for node, (end, schema) in ends.items()
    ]  # fmt: skip
    if rows:
        await connection.execute(SQL["keep"], {"nodes": list(ends)})
        await connection.execute(SQL["change"], {"records": _json(rows), "principal": by.principal})
        await record_entries.tell(connection, list(ends), by)


async def end(connection: Connection, id: str, ends: Sequence[TagEnd], *, back: bool) -> None:
    rows = [
        {"item": one.item, "ends": one.ends, "code": one.code, "message": one.message, "version": one.version}
        for one in ends
    ]
    if rows:
        await connection.execute(SQL["end"], {"id": id, "items": _json(rows), "back": back})


def _record(row: DictRow) -> NodeRecord:
    rule = None if row["demanded"] is None else Rule(row["demanded"], row["mode"])
    return NodeRecord(
        node=NodeId(row["node"]), mount=MountId(row["mount_id"]), path=NodePath(bytes(row["path"])), gone=row["gone"],
        described=_described(row), version=row["version"], rule=rule, known=row["known"], said=row["said"],
    )  # fmt: skip


def _described(row: DictRow) -> Description:
    return Description(row["namespace"], row["tags"], row["owner"], row["metadata"])


def _json(rows: Sequence[Mapping[str, object]]) -> str:
    return orjson.dumps(list(rows)).decode()
