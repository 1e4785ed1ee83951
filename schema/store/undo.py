"""What an undo by selection reads: the changes that it takes, the runs of their nodes, and what came between."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, LiteralString

import orjson

from schema.commands.command import CommandKind
from schema.ids import CommandId, MountId, NodeId
from schema.metastore.changes import RecordChangeKind
from schema.nodes import NodeKind
from schema.operations.operation import OperationItem
from schema.operations.undo import UndoStep
from schema.operations.undo_changes import (
    Departed,
    JournalChange,
    NodePlace,
    RecordChange,
    RecordRun,
    Replaced,
    Run,
    RunVersion,
)
from schema.operations.undo_selection import MACHINES, UndoSelection
from schema.paths import NodePath
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL = load("undo")
FOREVER = 2**62
_OF_RECORDS = frozenset(RecordChangeKind)


def with_taken(query: LiteralString) -> LiteralString:
    return query.replace("/* taken */ true", "(" + SQL["taken"] + ")")


def _of_mounts(query: LiteralString, mounts: Sequence[MountId]) -> LiteralString:
    """One mount by equality: then its entries come from an index in their order, and a page reads no more than a page."""
    return query if len(mounts) == 1 else query.replace(_ONE_MOUNT, _SEVERAL)


_ONE_MOUNT: LiteralString = "j.mount_id = %(mount)s"
_SEVERAL: LiteralString = "j.mount_id = ANY(%(mounts)s::bigint[])"
QUERIES: Mapping[str, LiteralString] = {name: with_taken(query) for name, query in SQL.items()}


@dataclass(frozen=True, slots=True)
class Taken:
    """A selection, as the queries ask for it."""

    tenant: str
    mounts: Sequence[MountId]
    """Where its changes lie, that of the operation first"""
    selection: UndoSelection
    bound: int = FOREVER
    """The last entry that counts"""
    units: Sequence[str] = ()

    def values(self) -> dict[str, Any]:
        asked = self.selection
        return {
            "tenant": self.tenant, "principal": asked.principal, "bound": self.bound,
            "mount": next(iter(self.mounts), None), "mounts": list(self.mounts),
            "token": asked.token_id, "correlation": asked.correlation_id, "commands": list(asked.commands) or None,
            "operation": asked.operation_id, "since": asked.since, "until": asked.until, "units": list(self.units),
            "machines": MACHINES, "kinds": [*CommandKind, *RecordChangeKind],
            "path": asked.path.raw if asked.path is not None and asked.path.raw else None,
            "authored": asked.names_its_author,
        }  # fmt: skip


async def rows_of(connection: Connection, query: LiteralString, values: dict[str, Any]) -> list[DictRow]:
    # Planned with these very values: most conditions vanish, and with them whatever would keep the indexes from being used.
    return await (await connection.execute(query, values, prepare=False)).fetchall()


@dataclass(frozen=True, slots=True)
class TouchedPlace:
    mount: MountId
    path: NodePath | None
    """Only of named commands"""
    reads: bool
    """A copy came from there, and nothing was changed"""


async def touched(connection: Connection, tenant: str, selection: UndoSelection) -> list[TouchedPlace]:
    """Where the selection has changes, and what they read."""
    rows = await rows_of(connection, QUERIES["places"], Taken(tenant, (), selection).values())
    return [TouchedPlace(MountId(row["mount"]), _path(row["path"]), row["reads"]) for row in rows]


async def begin(connection: Connection, taken: Taken, asked_at: datetime) -> tuple[int, list[str]] | None:
    """The last entry that the undo looks at, and which pieces of work are meant as a whole. None: a command that began before
    the undo was asked for has not ended."""
    (row,) = await rows_of(connection, QUERIES["running"], taken.values() | {"asked_at": asked_at})
    if row["running"]:
        return None
    (last,) = await rows_of(connection, QUERIES["bound"], {})
    if taken.selection.since is None and taken.selection.until is None:
        return last["bound"], []
    values = replace(taken, bound=last["bound"]).values()
    units = _of_mounts(QUERIES["units"], taken.mounts)
    return last["bound"], [row["correlation_id"] for row in await rows_of(connection, units, values)]


async def count(connection: Connection, taken: Taken) -> int | None:
    """How many changes there are. None: no index says it, and all of the journal would be read."""
    if not taken.selection.names_its_author:
        return None
    (row,) = await rows_of(connection, _of_mounts(QUERIES["count"], taken.mounts), taken.values())
    return int(row["changes"])


async def span(connection: Connection, taken: Taken) -> tuple[int, int]:
    """Between which entries about all changes are that a selection takes: the first of its time, and the one behind its last.
    Entries are numbered in about the order of their times."""
    cursor = await connection.execute(QUERIES["oldest"], {"mounts": list(taken.mounts)})
    row = await cursor.fetchone()
    first, end = (int(row["id"]) if row is not None else 0), taken.bound + 1
    since, until = taken.selection.since, taken.selection.until
    low = first if since is None else await _first_at(connection, since, first, end)
    high = end if until is None else await _first_at(connection, until, low, end)
    return low, max(low, high)


async def _first_at(connection: Connection, at: datetime, low: int, high: int) -> int:
    """The first entry that was not recorded before a time: found by halves, for no index knows it."""
    while low < high:
        middle = (low + high) // 2
        row = await (await connection.execute(QUERIES["recorded_before"], {"id": middle, "at": at})).fetchone()
        low, high = (middle + 1, high) if row is not None and row["before"] else (low, middle)
    return low


async def changes(connection: Connection, taken: Taken, below: int, limit: int) -> list[JournalChange | RecordChange]:
    """The newest first, from below an entry on."""
    query = _of_mounts(QUERIES["changes"], taken.mounts)
    rows = await rows_of(connection, query, taken.values() | {"below": below, "limit": limit})
    return [_record_change(row) if row["kind"] in _OF_RECORDS else _change(row) for row in rows]


async def record_runs(connection: Connection, taken: Taken, nodes: Collection[NodeId]) -> dict[NodeId, RecordRun]:
    if not nodes:
        return {}
    rows = await rows_of(connection, QUERIES["record_runs"], taken.values() | {"nodes": sorted(nodes)})
    return {
        NodeId(row["node"]): RecordRun(
            node_kind=NodeKind(row["kind"]), current=row["current"], before=row["before"], last=row["last"]
        )
        for row in rows
    }


async def runs(connection: Connection, taken: Taken, nodes: Collection[NodeId]) -> dict[NodeId, Run]:
    rows = await rows_of(connection, QUERIES["runs"], taken.values() | {"nodes": sorted(nodes)})
    of_node: dict[NodeId, list[DictRow]] = {}
    for row in rows:
        of_node.setdefault(NodeId(row["node"]), []).append(row)
    return {node: _run(versions) for node, versions in of_node.items()}


async def changed_below(connection: Connection, taken: Taken, changes: Sequence[JournalChange]) -> set[int]:
    """The entries of those that made or moved a directory below which something outside of the selection has changed since."""
    trees = [
        {"entry": change.entry, "path": change.place.raw.hex(), "mount": change.mount}
        for change in changes
        if change.appears_with_a_tree
    ]
    if not trees:
        return set()
    rows = await rows_of(connection, QUERIES["changed_below"], taken.values() | {"trees": orjson.dumps(trees).decode()})
    return {row["entry"] for row in rows}


async def refused(connection: Connection, taken: Taken, steps: Sequence[UndoStep]) -> dict[int, str]:
    """Which of these items can not go, with their codes."""
    places = [
        {"item": s.item.item, "parent": s.appears.parent, "name": s.appears.name.hex(), "node": s.item.node_id, "entry": s.entry}
        for s in steps if s.appears is not None
    ]  # fmt: skip
    contents = [
        {"item": s.item.item, "node": s.item.node_id, "version": s.content} for s in steps if s.content is not None
    ]
    values = taken.values()
    asked: tuple[tuple[LiteralString, str, list[dict[str, Any]], str], ...] = (
        (QUERIES["expired"], "contents", contents, "CONTENT_EXPIRED"),
        (QUERIES["taken_places"], "places", places, "NODE_EXISTS"),
    )
    found: dict[int, str] = {}
    for query, key, listed, code in asked:
        if listed:
            rows = await rows_of(connection, query, values | {key: orjson.dumps(listed).decode()})
            found |= {row["item"]: code for row in rows}
    return found


async def raised(connection: Connection, id: str, steps: Sequence[OperationItem]) -> list[OperationItem]:
    """Items that go back, of an undo that can have several for one node: each goes from the version that the later ones have
    left, unless something else has changed the node since."""
    asked = [{"item": one.item, "node": one.node_id, "version": one.version} for one in steps]
    rows = await rows_of(connection, QUERIES["own_versions"], {"id": id, "items": orjson.dumps(asked).decode()})
    now = {row["item"]: row["version"] for row in rows}
    return [replace(one, version=now.get(one.item, one.version)) for one in steps]


def _run(rows: Sequence[DictRow]) -> Run:
    """`rows`: newest first; the last one may be what was there before the run."""
    mine = [row for row in rows if row["mine"]]
    before = rows[-1] if not rows[-1]["mine"] else None
    return Run(
        current=rows[0]["current"],
        versions=[_version(row) for row in mine],
        made=bool(mine) and mine[-1]["version"] == 1,
        same_content=bool(before and before["same_content"]),
        same_metadata=bool(before and before["same_metadata"]),
    )


def _version(row: DictRow) -> RunVersion:
    kind, lived = row["kind"], row["own"] and row["was"] not in ("none", "deleted")
    content = lived and kind in (CommandKind.UPLOAD, CommandKind.COPY, CommandKind.RESTORE)
    # What replaces content can bring metadata along.
    return RunVersion(
        row["version"], row["entry"] or 0, deletes=row["own"] and kind == CommandKind.DELETE, content=content,
        metadata=content or (lived and kind == CommandKind.DESCRIBE),
    )  # fmt: skip


def _record_change(row: DictRow) -> RecordChange:
    return RecordChange(
        entry=row["id"], mount=MountId(row["mount_id"]), node=NodeId(row["node_id"]), version=row["version"],
        path=NodePath(bytes(row["path"])),
    )  # fmt: skip


def _change(row: DictRow) -> JournalChange:
    before, after, also = row["before"], row["after"], row["also"] or {}
    tree = also.get("tree")
    return JournalChange(
        entry=row["id"],
        command=CommandId(row["command"]),
        mount=MountId(row["mount_id"]),
        kind=CommandKind(row["kind"]),
        node=NodeId(row["node_id"]),
        node_kind=NodeKind(row["node_kind"]),
        version=row["version"],
        previous=before["version"] if before else None,
        revived=bool(before) and before["state"] == "deleted",
        path=NodePath(bytes(row["path"])),
        target=_path(row["target"]),
        was=_place(before) if before and before["parent"] is not None else None,
        at=_place(after) if after["parent"] is not None else None,
        size=tree["size"] if tree else row["size"],
        nodes=tree["files"] + tree["directories"] if tree else 1,
        replaced=_replaced(also.get("replaced")),
        departed=_departed(also.get("departed")),
        followed=row["followed"],
        superseded=row["superseded"],
    )


def _replaced(gone: Mapping[str, Any] | None) -> Replaced | None:
    return (
        None
        if gone is None
        else Replaced(node=gone["id"], version=gone["version"], size=gone["size"], place=_place(gone))
    )


def _departed(gone: Mapping[str, Any] | None) -> Departed | None:
    if gone is None:
        return None
    return Departed(
        node=gone["id"], version=gone["version"], size=gone["size"], place=_place(gone), mount=MountId(gone["mount"])
    )


def _place(node: Mapping[str, Any]) -> NodePlace:
    return NodePlace(parent=node["parent"], name=bytes.fromhex(node["name"]))


def _path(raw: bytes | None) -> NodePath | None:
    return None if raw is None else NodePath(bytes(raw))
