"""Read what was: nodes as they were at a time, what a directory held then, and what has changed between two times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, LiteralString

from schema.ids import MountId, NodeId
from schema.nodes import NodeKind
from schema.paths import NodePath
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL: Mapping[str, LiteralString] = {**load("snapshots"), **load("past")}
_VERSION = SQL["version"] + "\n" + SQL["columns"] + "\n" + SQL["where_kept"]
_CHILDREN = SQL["children"] + "\n" + SQL["columns"] + "\n" + SQL["where_kept"] + "\n" + SQL["in_order"]

SCAN = 100
"""So many versions one look for differences goes through."""


@dataclass(frozen=True, slots=True)
class PastNode:
    """A node as it was. `available`: the content of that version can still be read."""

    id: NodeId
    mount: MountId
    parent: NodeId | None
    name: bytes
    kind: NodeKind
    state: str
    version: int
    size: int
    sha256: bytes | None
    checksum: str | None
    metadata: str
    """JSON"""
    valid_from: datetime
    valid_to: datetime | None
    created: datetime
    available: bool


@dataclass(frozen=True, slots=True)
class After:
    """The last of the entries of a directory that were read. There is none before `FIRST`."""

    kind: NodeKind
    name: bytes
    id: int


FIRST = After(NodeKind.DIRECTORY, b"", 0)


@dataclass(frozen=True, slots=True)
class Scanned:
    """How far the versions of a span were looked at, in the order in which they began."""

    time: datetime
    id: int
    version: int


UNSCANNED = Scanned(datetime(1, 1, 2, tzinfo=UTC), 0, 0)


@dataclass(frozen=True, slots=True)
class Side:
    """A node on one side of a difference; its path is counted from the directory that is compared."""

    path: bytes
    version: int
    size: int
    sha256: bytes | None
    since: datetime


@dataclass(frozen=True, slots=True)
class Difference:
    """`change`: added, removed, moved or changed"""

    change: str
    node: NodeId
    kind: str
    before: Side | None
    after: Side | None


@dataclass(frozen=True, slots=True)
class Differences:
    """`end`: where the look goes on; None: the whole span was looked at."""

    found: Sequence[Difference]
    end: Scanned | None


@dataclass(frozen=True, slots=True)
class Compared:
    """The pictures: of a mount at two times, each from the directory that was at a path; None: there was none."""

    mount: MountId
    before: NodeId | None
    after: NodeId | None
    since: datetime
    until: datetime


async def now(connection: Connection) -> datetime:
    row = await (await connection.execute(SQL["now"])).fetchone()
    assert row is not None
    moment: datetime = row["at"]
    return moment


async def root_of(connection: Connection, mount: MountId) -> NodeId | None:
    row = await (await connection.execute(SQL["root_of"], {"mount": mount})).fetchone()
    return None if row is None else NodeId(row["id"])


async def at_path(connection: Connection, mount: MountId, path: NodePath, at: datetime) -> NodeId | None:
    """The node that lay there."""
    root = await root_of(connection, mount)
    if root is None:
        return None
    names = path.raw.split(b"/") if path.raw else []
    found = await chain(connection, root, names, at)
    return found[-1][0] if len(found) > len(names) else None


async def chain(
    connection: Connection, start: NodeId, names: Sequence[bytes], at: datetime
) -> list[tuple[NodeId, NodeKind]]:
    """The nodes on a path from a directory down, that one first; fewer where the path was not there."""
    cursor = await connection.execute(SQL["chain"], {"start": start, "names": list(names), "at": at})
    return [(NodeId(row["id"]), NodeKind(row["kind"])) for row in await cursor.fetchall()]


async def node(connection: Connection, id: NodeId, tenant: str, at: datetime) -> tuple[PastNode, NodePath] | None:
    """A node as it was, and where it lay. None: it did not live then."""
    values = {"id": id, "tenant": tenant, "at": at}
    root = await (await connection.execute(SQL["root"], values)).fetchone()
    if root is None:
        return None
    if root["id"] == id:
        return _past(root), NodePath(b"")
    row = await (await connection.execute(_VERSION, values)).fetchone()
    if row is None or row["state"] == "deleted":
        return None
    lay = await (await connection.execute(SQL["path"], values | {"root": root["id"]})).fetchone()
    return None if lay is None or lay["path"] is None else (_past(row), NodePath(bytes(lay["path"])))


async def children(
    connection: Connection, directory: NodeId, at: datetime, *, after: After = FIRST, limit: int
) -> list[PastNode]:
    """By kind, then by the bytes of the name."""
    values = {
        "id": directory, "at": at, "limit": limit,
        "after_kind": after.kind.value, "after_name": after.name, "after_id": after.id,
    }  # fmt: skip
    cursor = await connection.execute(_CHILDREN, values)
    return [_past(row) for row in await cursor.fetchall()]


async def count_children(connection: Connection, directory: NodeId, at: datetime) -> int:
    row = await (await connection.execute(SQL["count_children"], {"id": directory, "at": at})).fetchone()
    assert row is not None
    return int(row["total"])


async def differences(
    connection: Connection, compared: Compared, *, after: Scanned = UNSCANNED, limit: int
) -> Differences:
    """One look: at most SCAN versions, at most `limit` differences. Those of the two directories themselves, where they are
    not the same, are `bases`."""
    values = {
        "mount": compared.mount, "before": compared.before, "after": compared.after, "since": compared.since,
        "until": compared.until, "scan": SCAN, "limit": limit,
        "after_time": after.time, "after_id": after.id, "after_version": after.version,
    }  # fmt: skip
    rows = await (await connection.execute(SQL["differences"], values)).fetchall()
    found = [row for row in rows if row["change"] is not None]
    end: Scanned | None = None
    if found and len(found) == limit:
        end = Scanned(found[-1]["valid_from"], found[-1]["node_id"], found[-1]["version"])
    elif rows and rows[0]["full"]:
        end = Scanned(rows[0]["last_time"], rows[0]["last_id"], rows[0]["last_version"])
    return Differences([_difference(row) for row in found], end)


async def bases(connection: Connection, compared: Compared) -> list[Difference]:
    """Where the path names another node now: what became of that of then, and where that of now comes from."""
    if compared.before == compared.after:
        return []
    values = {
        "before": compared.before, "after": compared.after, "since": compared.since, "until": compared.until,
    }  # fmt: skip
    return [_difference(row) for row in await (await connection.execute(SQL["bases"], values)).fetchall()]


def _difference(row: Mapping[str, Any]) -> Difference:
    before = after = None
    if row["old_path"] is not None:
        old = _bytes(row["old_sha256"])
        before = Side(bytes(row["old_path"]), row["old_version"], row["old_size"], old, row["old_from"])
    if row["new_path"] is not None:
        new = _bytes(row["sha256"])
        after = Side(bytes(row["new_path"]), row["version"], row["size_bytes"], new, row["valid_from"])
    return Difference(row["change"], NodeId(row["node_id"]), row["kind"], before, after)


def _past(row: Mapping[str, Any]) -> PastNode:
    return PastNode(
        NodeId(row["id"]), MountId(row["mount_id"]), None if row["parent_id"] is None else NodeId(row["parent_id"]),
        bytes(row["name"]), NodeKind(row["kind"]), row["state"], row["version"], row["size_bytes"],
        _bytes(row["sha256"]), row["checksum"], row["metadata"], row["valid_from"], row["valid_to"], row["created_at"],
        row["available"],
    )  # fmt: skip


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)
