"""Records of the Metastore as clients read and change them; namespaces and their rules."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

from schema.ids import MountId, NodeId
from schema.metastore.changes import RecordAuthor
from schema.metastore.namespaces import Rule
from schema.metastore.records import Description
from schema.paths import NodePath
from schema.sql import load
from schema.store import metastore, record_entries

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("records")

FIRST = 2**63 - 1
"""No version is as high: a history from its latest one"""


@dataclass(frozen=True, slots=True)
class HeldRecord:
    """A record that no other transaction changes before this one ends."""

    node: NodeId
    mount: MountId
    path: NodePath
    described: Description
    version: int
    removed: bool


@dataclass(frozen=True, slots=True)
class RecordPlace:
    mount: MountId
    path: NodePath


@dataclass(frozen=True, slots=True)
class RecordDocument:
    """The JSON text that clients read."""

    text: str
    version: int


@dataclass(frozen=True, slots=True)
class FoundRecord:
    node: NodeId
    mount: MountId
    path: NodePath
    text: str


@dataclass(frozen=True, slots=True)
class RecordSearch:
    """What is looked for. All of it holds at once; None asks for nothing."""

    query: str | None = None
    tags: Sequence[str] = ()
    owner: str | None = None
    namespace: str | None = None
    metadata: Mapping[str, Any] | None = None
    mount: MountId | None = None
    prefix: NodePath | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Schema:
    """What the metadata of a namespace's records must look like."""

    number: int
    document: Any


async def hold(connection: Connection, node: NodeId, tenant: str) -> HeldRecord | None:
    """None: there is no such record."""
    row = await (await connection.execute(SQL["find"], {"node": node, "tenant": tenant})).fetchone()
    if row is None:
        return None
    described = Description(row["namespace"], row["tags"], row["owner"], row["metadata"])
    return HeldRecord(
        NodeId(row["node_id"]),
        MountId(row["mount_id"]),
        NodePath(row["path"]),
        described,
        row["version"],
        row["removed"],
    )


async def make(connection: Connection, node: NodeId, tenant: str) -> HeldRecord | None:
    """The record of a node that the feed has not told of yet. None: there is no such node."""
    if await node_place(connection, node, tenant) is None:
        return None
    await metastore.await_cursor(connection)
    if await place(connection, node, tenant) is None:
        await metastore.sync(connection, [{"node": node}])
    return await hold(connection, node, tenant)


async def place(connection: Connection, node: NodeId, tenant: str) -> RecordPlace | None:
    return await _place(connection, SQL["place"], node, tenant)


async def node_place(connection: Connection, node: NodeId, tenant: str) -> RecordPlace | None:
    """Where a node lies, whether it has a record or not."""
    return await _place(connection, SQL["node"], node, tenant)


async def _place(connection: Connection, query: LiteralString, node: NodeId, tenant: str) -> RecordPlace | None:
    row = await (await connection.execute(query, {"node": node, "tenant": tenant})).fetchone()
    return None if row is None else RecordPlace(MountId(row["mount_id"]), NodePath(bytes(row["path"])))


async def rule(connection: Connection, tenant: str, mount: MountId, path: NodePath) -> Rule | None:
    values = {"tenant": tenant, "mount": mount, "path": path.raw}
    row = await (await connection.execute(SQL["rule"], values)).fetchone()
    return None if row is None else Rule(row["namespace"], row["mode"])


async def change(
    connection: Connection,
    was: HeldRecord,
    now: Description,
    *,
    change: str,
    by: RecordAuthor,
    schema: str | None,
    violation: str | None,
    removed: bool = False,
) -> None:
    """What the record was goes into its history, and the change into the journal and the feed."""
    await connection.execute(SQL["keep"], {"node": was.node})
    values = {
        "node": was.node, "namespace": now.namespace, "tags": list(now.tags), "owner": now.owner,
        "metadata": json.dumps(now.metadata), "schema": schema, "violation": violation, "change": change,
        "principal": by.principal, "removed": removed,
    }  # fmt: skip
    await connection.execute(SQL["change"], values)
    await record_entries.tell(connection, [was.node], by)


async def document(connection: Connection, node: NodeId, tenant: str) -> RecordDocument | None:
    row = await (await connection.execute(SQL["document"], {"node": node, "tenant": tenant})).fetchone()
    return None if row is None else RecordDocument(row["document"], row["version"])


async def history(connection: Connection, node: NodeId, before: int, limit: int) -> list[RecordDocument]:
    """What it is and what it was, the latest first."""
    values = {"node": node, "before": before, "limit": limit}
    rows = await (await connection.execute(SQL["history"], values)).fetchall()
    return [RecordDocument(row["document"], row["version"]) for row in rows]


async def search(
    connection: Connection, tenant: str, wanted: RecordSearch, after: NodeId | int, limit: int
) -> list[FoundRecord]:
    query, values = statement(tenant, wanted, after, limit)
    rows = await (await connection.execute(query, values)).fetchall()
    return [
        FoundRecord(NodeId(row["node_id"]), MountId(row["mount_id"]), NodePath(row["path"]), row["document"])
        for row in rows
    ]


async def matching(connection: Connection, tenant: str, wanted: RecordSearch, nodes: Sequence[NodeId]) -> set[NodeId]:
    """Which of these nodes a search finds."""
    query, values = statement(tenant, wanted, 0, 0, nodes)
    return {NodeId(row["node_id"]) for row in await (await connection.execute(query, values)).fetchall()}


def statement(
    tenant: str, wanted: RecordSearch, after: NodeId | int, limit: int, nodes: Sequence[NodeId] | None = None
) -> tuple[LiteralString, dict[str, Any]]:
    """Only what is asked for stands in the query: so each condition is planned by its own index. `nodes`: which of these it
    finds, without a limit."""
    low, high = _range(wanted.prefix)
    values = {
        "tenant": tenant, "after": after, "limit": limit, "query": wanted.query, "tags": list(wanted.tags),
        "owner": wanted.owner, "namespace": wanted.namespace, "metadata": json.dumps(wanted.metadata), "mount": wanted.mount,
        "path": wanted.prefix.raw if wanted.prefix else b"", "low": low, "high": high, "nodes": list(nodes or ()),
    }  # fmt: skip
    below = wanted.prefix is not None and wanted.prefix.raw != b""
    asked: list[tuple[LiteralString, bool]] = [
        (SQL["living"], not wanted.deleted),
        (SQL["words"], bool(wanted.query)),
        (SQL["tags"], bool(wanted.tags)),
        (SQL["owner"], wanted.owner is not None),
        (SQL["namespace"], wanted.namespace is not None),
        (SQL["metadata"], bool(wanted.metadata)),
        (SQL["mount"], wanted.mount is not None),
        (SQL["any_mount"], below and wanted.mount is None),
        (SQL["below"], below),
    ]
    parts: list[LiteralString] = [part for part, on in asked if on]
    return "\n".join([SQL["search"], *parts, SQL["searched"] if nodes is None else SQL["among"]]), values


def _range(prefix: NodePath | None) -> tuple[bytes, bytes]:
    raw = prefix.raw if prefix else b""
    return raw + b"/", raw + b"0"


# Namespaces


async def namespaces(connection: Connection, tenant: str, name: str | None = None) -> list[RecordDocument]:
    """All of them, or the one of this name."""
    rows = await (await connection.execute(SQL["namespaces"], {"tenant": tenant, "name": name})).fetchall()
    return [RecordDocument(row["document"], row["version"]) for row in rows]


async def hold_namespace(connection: Connection, tenant: str, name: str) -> int | None:
    """Its version, which no other transaction changes before this one ends. None: there is no such namespace."""
    row = await (await connection.execute(SQL["namespace_of"], {"tenant": tenant, "name": name})).fetchone()
    return None if row is None else int(row["version"])


async def schema_of(connection: Connection, tenant: str, name: str) -> Schema | None:
    """None: the metadata of its records may be anything."""
    row = await (await connection.execute(SQL["schema_of"], {"tenant": tenant, "name": name})).fetchone()
    return None if row is None or row["schema"] is None else Schema(row["schema_version"], json.loads(row["schema"]))


async def put_namespace(
    connection: Connection,
    tenant: str,
    name: str,
    description: str | None,
    schema: Any,
    rules: Sequence[Mapping[str, Any]],
) -> None:
    """`rules`: each with `mount`, `prefix` in hex and `mode`. Raises UniqueViolation where another namespace has such a rule."""
    own = {"tenant": tenant, "name": name}
    text = None if schema is None else json.dumps(schema)
    await connection.execute(SQL["put_namespace"], {**own, "description": description, "schema": text})
    await connection.execute(SQL["drop_rules"], own)
    await connection.execute(SQL["add_rules"], {**own, "rules": json.dumps(list(rules))})
    await metastore.rescan(connection)


async def drop_namespace(connection: Connection, tenant: str, name: str) -> None:
    await connection.execute(SQL["drop_namespace"], {"tenant": tenant, "name": name})
    await metastore.rescan(connection)
