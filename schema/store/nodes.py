"""Read nodes. They come as JSON text, rendered by the database: see the view `node_documents`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from schema.access.places import EVERYWHERE, Places
from schema.ids import MountId, NodeId
from schema.nodes import NodeKind, NodeState
from schema.paths import NAME_MAX, ROOT, NodePath
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL = load("nodes")
_SOME_CHILDREN = SQL["some_children"] + "\n" + SQL["matching"] + "\n" + SQL["some_children_page"]
_TREE = SQL["tree"] + "\n" + SQL["matching"] + "\n" + SQL["tree_page"]
_COLLISIONS = SQL["tree"] + "\n" + SQL["matching"] + "\n" + SQL["tree_collisions"] + "\n" + SQL["tree_page"]

_KINDS = [kind.value for kind in NodeKind]
"""In the order of the database's enumeration."""
LIVING = tuple(state.value for state in NodeState if state is not NodeState.DELETED)
_ANY_DEPTH = 2**31 - 1


@dataclass(frozen=True, slots=True)
class FoundNode:
    """A node: where it lies, and the JSON text that clients read."""

    id: NodeId
    mount: MountId
    path: NodePath
    document: str
    protection: str | None = None
    """The hold on it, as JSON text"""


@dataclass(frozen=True, slots=True)
class Rolled:
    """What a directory's totals must be."""

    states: Sequence[str] | None = None
    min_child_count: int | None = None
    max_child_count: int | None = None
    min_file_count: int | None = None
    max_file_count: int | None = None
    min_directory_count: int | None = None
    max_directory_count: int | None = None
    min_size_bytes: int | None = None
    max_size_bytes: int | None = None
    calculated_after: datetime | None = None
    calculated_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Matching:
    """What the nodes of a list must have in common. All of it holds at once; None asks for nothing."""

    states: Sequence[str] = LIVING
    kinds: Sequence[str] | None = None
    drift_only: bool = False
    search: str | None = None
    query: str | None = None
    metadata: Sequence[tuple[str, Any]] = ()
    min_size: int | None = None
    max_size: int | None = None
    seen_after: datetime | None = None
    seen_before: datetime | None = None
    rollup: Rolled | None = None
    readable: Places | None = None
    """Only what the asker may read. None: that is all"""

    def values(self) -> dict[str, Any]:
        rollup = self.rollup or Rolled()
        totals = {name: getattr(rollup, name) for name in Rolled.__dataclass_fields__}
        totals["rollup_states"] = totals.pop("states")
        own = {
            name: getattr(self, name) for name in Matching.__dataclass_fields__ if name not in ("rollup", "readable")
        }
        return totals | own | (self.readable or EVERYWHERE).values() | {
            "states": list(self.states),
            "metadata": [json.dumps({key: value}) for key, value in self.metadata],
            "rolled_up": self.rollup is not None,
            "deleted": NodeState.DELETED in self.states,
        }  # fmt: skip


EVERYTHING = Matching()


@dataclass(frozen=True, slots=True)
class PageEnd:
    """Where a page ends: what its last node is ordered by. The next page begins behind it, whatever comes and goes meanwhile."""

    rank: int
    """Of a tree the depth, of children the kind's place among the kinds"""
    key: bytes
    """Of a tree the path, of children the name"""
    id: int


@dataclass(frozen=True, slots=True)
class NodePage:
    """`items` are the elements of a JSON array without its brackets. `further`: where the next page goes on, if there is one."""

    items: str
    total: int
    further: PageEnd | None


@dataclass(frozen=True, slots=True)
class Children:
    """A directory and a page of what it holds."""

    parent: FoundNode
    kind: str
    page: NodePage


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What the record knows of a file's content. `identity`: the facts of an executor's Identity; None: never seen."""

    id: NodeId
    mount: MountId
    path: NodePath
    name: str
    kind: str
    state: str
    version: int
    size: int
    sha256: bytes | None
    checksum: str | None
    mime_type: str | None
    identity: Sequence[int | str | None] | None
    modified: datetime
    busy: bool
    """A command is at work on this very path, or on a whole tree that holds it."""


def _found(row: Mapping[str, Any] | None) -> FoundNode | None:
    if row is None:
        return None
    path = NodePath(bytes(row["path"]))
    return FoundNode(NodeId(row["id"]), MountId(row["mount_id"]), path, row["document"], row.get("protection"))


async def by_id(connection: Connection, node: NodeId, tenant: str) -> FoundNode | None:
    """Deleted ones too."""
    cursor = await connection.execute(SQL["by_id"], {"id": node, "tenant": tenant})
    return _found(await cursor.fetchone())


async def by_path(connection: Connection, mount: MountId, path: NodePath, tenant: str) -> FoundNode | None:
    """The living node at this path; where there is none, the one that was deleted last."""
    values: dict[str, Any] = {"mount": mount, "tenant": tenant, "parent": path.parent.as_directory, "name": path.name}
    if not path.raw:
        cursor = await connection.execute(SQL["root"], values)
        return _found(await cursor.fetchone())
    cursor = await connection.execute(SQL["living"], values)
    if row := await cursor.fetchone():
        return _found(row)
    return await latest_deleted(connection, mount, path, tenant)


async def latest_deleted(connection: Connection, mount: MountId, path: NodePath, tenant: str) -> FoundNode | None:
    """The node that was deleted last at this path, whatever lives there now."""
    values = {"mount": mount, "tenant": tenant, "names": path.raw.split(b"/")}
    cursor = await connection.execute(SQL["latest_deleted"], values)
    return _found(await cursor.fetchone())


async def children(
    connection: Connection,
    directory: NodeId,
    tenant: str,
    *,
    limit: int,
    offset: int = 0,
    after: PageEnd | None = None,
    matching: Matching = EVERYTHING,
    path: NodePath = ROOT,
) -> Children | None:
    """By kind, then by name; after a place or an offset. None when there is no such node; whether it is a directory says `kind`.
    `path`: where it lies, if `matching` says what is readable."""
    values = {"id": directory, "tenant": tenant, "limit": limit, "offset": offset, "directory": path.as_directory}
    if after is None and replace(matching, readable=None) == EVERYTHING:
        row = await _all_children(connection, values, matching.readable, path)
    else:
        # Planned with these very values: most conditions vanish. One plan for all of them would keep every one.
        rank = None if after is None else _KINDS[after.rank]
        cursor = await connection.execute(
            _SOME_CHILDREN, values | _after(after, rank) | matching.values(), prepare=False
        )
        row = await cursor.fetchone()
    if row is None:
        return None
    parent = FoundNode(directory, MountId(row["mount_id"]), NodePath(bytes(row["path"])), row["parent"])
    more = row.get("more", offset + limit < row["total"])
    place = (
        PageEnd(_KINDS.index(row["last_rank"]), bytes(row["last_key"]), row["last_id"])
        if more and row["items"]
        else None
    )
    return Children(parent, row["kind"], NodePage(row["items"] or "", row["total"], place))


async def _all_children(
    connection: Connection, values: dict[str, Any], readable: Places | None, path: NodePath
) -> DictRow | None:
    """Where a directory fits into a page, and all of it may be seen, grants cost Postgres nothing."""
    if readable is None or path.raw not in readable.hides:
        row = await (await connection.execute(SQL["children"], values)).fetchone()
        if row is None or readable is None or _is_seen_whole(row, values, readable, path):
            return row
        readable.hides.add(path.raw)
    return await (await connection.execute(SQL["readable_children"], values | readable.names_in(path))).fetchone()


def _is_seen_whole(row: DictRow, values: Mapping[str, Any], readable: Places, path: NodePath) -> bool:
    whole = values["offset"] == 0 and row["total"] <= values["limit"]
    names = bytes(row["names"]).split(b"/") if row["names"] is not None else []
    return whole and readable.hold_all_in(path, names)


def _after(place: PageEnd | None, rank: object) -> dict[str, Any]:
    return {"after_rank": rank, "after_key": place and place.key, "after_id": place and place.id}


async def tree(
    connection: Connection,
    mount: MountId,
    path: NodePath,
    *,
    depth: int | None = None,
    limit: int,
    offset: int = 0,
    after: PageEnd | None = None,
    matching: Matching = EVERYTHING,
    collisions: bool = False,
) -> NodePage:
    """The node at `path` and all below it, by depth, then by path; after a place or an offset. `depth` counts from there.
    `collisions`: only those below it whose names collide on a file system that ignores case, or normalises names.

    The root itself is left out: no client made it.
    """
    low = path.as_directory
    values = {
        "mount": mount,
        "parent": path.parent.as_directory,
        "name": path.name,
        "low": low,
        # '0' comes right after '/'. No name is longer than this many 0xff.
        "high": low[:-1] + b"0" if low else b"\xff" * (NAME_MAX + 1),
        "deepest": _ANY_DEPTH if depth is None else path.depth + depth,
        "limit": limit,
        "offset": offset,
    }
    values |= _after(after, after and after.rank)
    query = _COLLISIONS if collisions else _TREE
    cursor = await connection.execute(query, values | matching.values(), prepare=False)
    row = await cursor.fetchone()
    assert row is not None
    place = PageEnd(row["last_rank"], bytes(row["last_key"]), row["last_id"]) if row["more"] else None
    return NodePage(row["items"] or "", row["total"], place)


async def collides_with(connection: Connection, node: NodeId) -> str:
    """A JSON array of the names beside it that a file system which ignores case, or normalises names, takes for its own.
    Looks at every name in the directory."""
    cursor = await connection.execute(SQL["collides_with"], {"id": node})
    row = await cursor.fetchone()
    assert row is not None
    return str(row["names"])


async def file(connection: Connection, node: NodeId, tenant: str) -> FileRecord | None:
    cursor = await connection.execute(SQL["content"], {"id": node, "tenant": tenant})
    row = await cursor.fetchone()
    if row is None:
        return None
    return FileRecord(
        NodeId(row["id"]), MountId(row["mount_id"]), NodePath(bytes(row["path"])), row["name_text"], row["kind"],
        row["state"], row["version"], row["size_bytes"], row["sha256"] and bytes(row["sha256"]), row["checksum"],
        row["mime_type"], row["identity"], row["last_modified_at"] or row["created_at"], row["busy"],
    )  # fmt: skip
