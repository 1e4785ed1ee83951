"""What a look concluded becomes the record: nodes, versions, totals, journal, events, findings. In the caller's transaction.

In one order: names are given up, directories come and go to their places from the top down, then everything else.
"""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, LiteralString

import orjson

from schema.drift.acts import Act, Deed, LookOutcome, Report
from schema.drift.looks import Look
from schema.drift.sightings import Believed
from schema.events import EventType
from schema.ids import CommandId, new_command_id
from schema.nodes import NodeKind, NodeState
from schema.operations.imports import DIRECTORY_LONGEST
from schema.paths import NodePath
from schema.sql import load
from schema.store import trees

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("conclude")


class BeyondRecord(Exception):
    """A directory went so deep that the record can not hold all that is below it. Nothing was written; the look is concluded anew
    without it."""

    def __init__(self, path: bytes) -> None:
        super().__init__(path)
        self.path = path


VERSIONED = (Deed.CREATE, Deed.CONTENT, Deed.PLACE, Deed.MISS, Deed.DISPLACE)


class JudgedMismatch(Exception):
    """A node changed under a conclusion: nothing was written, and the look is concluded anew."""


@dataclass(slots=True)
class _Written:
    """What is written of one look, with ids by path for what is made."""

    look: Look
    acts: Sequence[Act]
    conclusion: int = 0
    made: dict[bytes, int] = field(default_factory=dict)
    commands: dict[int, CommandId] = field(default_factory=dict)
    """By the number of the act"""

    def of(self, *deeds: Deed) -> list[Act]:
        return [act for act in self.acts if act.deed in deeds]

    def parent(self, act: Act) -> int:
        return act.parent if isinstance(act.parent, int) else self.made[act.parent]

    def node(self, act: Act) -> int:
        return self.made[act.sighting.path] if act.node is None else act.node.id


async def write(
    connection: Connection, look: Look, outcome: LookOutcome, made: Mapping[bytes, int] | None = None
) -> None:
    """`made`: ids that new nodes have already, by their paths. Raises JudgedMismatch."""
    work = _Written(look, outcome.acts, made=dict(made or {}))
    counts = orjson.dumps(dict(outcome.counts)).decode()
    values = {
        "mount": look.mount, "whole": look.whole, "started": look.started_at, "look": look.id, "found": counts,
    }  # fmt: skip
    row = await (await connection.execute(SQL["count"], values)).fetchone()
    assert row is not None
    work.conclusion = row["conclusions"]
    if outcome.acts:
        await trees.allow_time(connection)
        await _write_nodes(connection, work)
        await _tell(connection, work)
    await _find(connection, look, outcome)
    await connection.execute(SQL["conclude"], {"look": look.id, "counts": counts})


async def delete(connection: Connection, look: Look, node: Believed) -> None:
    """A node whose file is gone leaves the record, with all below it: a person has said that this is right."""
    command = new_command_id()
    row = await (await connection.execute(SQL["weigh"], {"directory": node.id})).fetchone()
    assert row is not None
    files, directories = (row["file_count"], row["directory_count"]) if node.is_directory else (1, 0)
    size = row["size_bytes"] if node.is_directory else node.size
    await _roll(connection, [_shift(node.parent or 0, -size, -files, -directories, -1)])
    cursor = await connection.execute(SQL["forget"], {"node": node.id, "version": node.version, "command": command})
    if not cursor.rowcount:
        raise JudgedMismatch("the node that was to leave the record is another one by now")
    act = {
        "n": 0, "node": node.id, "command": command, "path": node.path.hex(), "verdict": "accepted", "before": _before(node),
        "payload": {"path": spelled(node.path)[0], "path_b64": spelled(node.path)[1], "reason": look.reason},
        "also": {"tree": {"size": size, "files": files, "directories": directories}} if node.is_directory else None,
    }  # fmt: skip
    values = {"mount": look.mount, "principal": look.principal, "look": look.id, "reason": look.reason}
    await connection.execute(SQL["journal"], values | {"acts": _json([act]), "started": look.started_at})
    event = {
        "n": 0, "rank": 0, "node": node.id, "type": EventType.NODE_DELETED, "command": command, "previous": node.state,
        "delta": -size,
    }  # fmt: skip
    await connection.execute(SQL["tell"], values | {"events": _json([event])})
    await connection.execute(SQL["conclude"], {"look": look.id, "counts": _json({"accepted": 1})})


async def _write_nodes(connection: Connection, work: _Written) -> None:
    work.commands = {n: new_command_id() for n, act in enumerate(work.acts) if rises(act)}
    ended = [act.node.id for n, act in enumerate(work.acts) if n in work.commands and act.node is not None]
    await connection.execute(SQL["keep_first"], {"ids": ended})
    await connection.execute(SQL["close_snapshots"], {"ids": ended})
    lost = [act.node.id for act in work.acts if act.node is not None and (act.content or act.deed is Deed.CONTENT)]
    await connection.execute(SQL["lose_content"], {"ids": lost})
    await _leave_trash(connection, work)
    await _number(connection, work)
    await _give_up_names(connection, work)
    await _place_directories(connection, work)
    await _roll(connection, _shifts(work))
    files = [act for act in work.of(Deed.CREATE) if act.sighting.kind != NodeKind.DIRECTORY]
    await _create(connection, work, files)
    await _change(connection, work)
    await _lead(connection, work)
    await _lose(connection, work)
    versions = [{"node": work.node(work.acts[n]), "command": command} for n, command in work.commands.items()]
    await connection.execute(SQL["snapshots"], {"acts": _json(versions)})


async def _leave_trash(connection: Connection, work: _Written) -> None:
    """A file that has another name may lie there all the same."""
    seen = [act.sighting for act in work.of(Deed.CREATE, Deed.CONTENT) if act.sighting.links == 1]
    known = [(one.sha256, *one.key) for one in seen if one.sha256 is not None and one.key is not None]
    if known:
        hashes, devices, inodes, births = zip(*known, strict=True)
        values = {"mount": work.look.mount, "hashes": [*hashes], "inodes": [*inodes], "births": [*births]}
        await connection.execute(SQL["leave_trash"], values | {"devices": [*devices]})


def rises(act: Act) -> bool:
    """The node has a new version."""
    return act.deed in VERSIONED or (act.deed is Deed.STAMPS and act.node is not None and act.node.is_missing)


async def _number(connection: Connection, work: _Written) -> None:
    new = [act for act in work.of(Deed.CREATE) if act.sighting.path not in work.made]
    cursor = await connection.execute(SQL["new_ids"], {"count": len(new)})
    for act, row in zip(new, await cursor.fetchall(), strict=True):
        work.made[act.sighting.path] = row["id"]


# Names and places


async def _give_up_names(connection: Connection, work: _Written) -> None:
    await give_up_names(connection, [act.node for act in work.of(Deed.PLACE, Deed.DISPLACE) if act.node is not None])


async def give_up_names(connection: Connection, leaving: Sequence[Believed]) -> None:
    await connection.execute(SQL["give_up_names"], {"ids": [node.id for node in leaving if not node.is_directory]})
    for node in leaving:
        if node.is_directory and b"\0" not in node.name:
            name = node.name + b"\0%d" % node.id
            await _place(connection, node.id, node.parent or 0, name, f"{_text(node.name)} (missing {node.id})")


async def take_names_back(connection: Connection, nodes: Sequence[Believed]) -> None:
    """Of nodes that have given them up in this transaction, and are where they were: their names are free again."""
    for node in nodes:
        if node.is_directory:
            await _place(connection, node.id, node.parent or 0, node.name, _text(node.name))
        else:
            values = {"node": node.id, "name": node.name, "name_text": _text(node.name)}
            await connection.execute(SQL["take_name_back"], values)


async def _place_directories(connection: Connection, work: _Written) -> None:
    """From the top down: where a directory goes there is the one that it goes into."""
    levels: defaultdict[int, list[Act]] = defaultdict(list)
    for act in work.of(Deed.CREATE, Deed.PLACE):
        if act.sighting.kind == NodeKind.DIRECTORY:
            levels[act.sighting.depth].append(act)
    for depth in sorted(levels):
        await _create(connection, work, [act for act in levels[depth] if act.deed is Deed.CREATE])
        for act in levels[depth]:
            if act.deed is Deed.PLACE and act.node is not None:
                await _move_directory(connection, work, act, act.node)


async def _move_directory(connection: Connection, work: _Written, act: Act, node: Believed) -> None:
    """Totals follow it: they leave the directories above, and come to those that are above it then."""
    await _check_depth(connection, act, node)
    row = await (await connection.execute(SQL["weigh"], {"directory": node.id})).fetchone()
    assert row is not None
    weight = (row["size_bytes"], row["file_count"], row["directory_count"])
    await _roll(connection, [_shift(node.parent or 0, -weight[0], -weight[1], -weight[2], -1)])
    parent = work.parent(act)
    await _place(connection, node.id, parent, act.sighting.name, _text(act.sighting.name))
    await _roll(connection, [_shift(parent, *weight, 1)])


async def _check_depth(connection: Connection, act: Act, node: Believed) -> None:
    """Raises BeyondRecord."""
    deeper = len(act.sighting.path) - len(node.path)
    if deeper <= 0:
        return
    row = await (await connection.execute(SQL["deepest_below"], {"directory": node.id})).fetchone()
    if row is not None and row["longest"] is not None and row["longest"] + deeper > DIRECTORY_LONGEST:
        raise BeyondRecord(act.sighting.path)


async def _place(connection: Connection, node: int, parent: int, name: bytes, text: str) -> None:
    values = {"node": node, "parent": parent, "name": name, "name_text": text}
    await connection.execute(SQL["place_directory"], values)


# Totals


def _shifts(work: _Written) -> list[dict[str, int]]:
    """What files, and new directories, change. Directories that move have shifted theirs."""
    shifts: list[dict[str, int]] = []
    for act in work.acts:
        size = size_of(act)
        if act.deed is Deed.CREATE:
            is_directory = act.sighting.kind == NodeKind.DIRECTORY
            shifts.append(_shift(work.parent(act), size, int(not is_directory), int(is_directory), 1))
        elif act.node is None or act.node.is_directory:
            continue
        elif act.deed is Deed.PLACE:
            shifts.append(_shift(act.node.parent or 0, -act.node.size, -1, 0, -1))
            shifts.append(_shift(work.parent(act), size, 1, 0, 1))
        elif act.deed is Deed.CONTENT:
            shifts.append(_shift(act.node.parent or 0, size - act.node.size, 0, 0, 0))
    return shifts


def size_of(act: Act) -> int:
    """Bytes that the node counts for afterwards."""
    if act.deed in (Deed.CREATE, Deed.CONTENT) or act.content:
        return int(act.sighting.facts[3]) if act.sighting.kind == NodeKind.FILE else 0
    return act.node.size if act.node is not None else 0


def _shift(directory: int, bytes: int, files: int, directories: int, children: int) -> dict[str, int]:
    return {
        "directory": directory, "bytes": bytes, "files": files, "directories": directories, "children": children,
    }  # fmt: skip


async def _roll(connection: Connection, shifts: Sequence[Mapping[str, int]]) -> None:
    if shifts:
        await connection.execute(SQL["roll"], {"shifts": _json(shifts)})


# Nodes


async def _create(connection: Connection, work: _Written, acts: Sequence[Act]) -> None:
    if not acts:
        return
    rows = [
        {
            "node": work.node(act), "parent": work.parent(act), "name": act.sighting.name.hex(),
            "name_text": _text(act.sighting.name), "kind": act.sighting.kind, "facts": act.sighting.facts,
            "sha256": act.sighting.sha256.hex() if act.sighting.sha256 else None,
        }
        for act in acts
    ]  # fmt: skip
    await connection.execute(SQL["create_nodes"], {"acts": _json(rows), "conclusion": work.conclusion})


async def _change(connection: Connection, work: _Written) -> None:
    rows = [_changed(work, act, act.node) for act in work.of(Deed.STAMPS, Deed.CONTENT, Deed.PLACE) if act.node]
    await _exactly(connection, work, SQL["change_nodes"], rows)


async def _lead(connection: Connection, work: _Written) -> None:
    rows = [
        {"node": work.node(act), "target": act.sighting.target.hex()}
        for act in work.of(Deed.CREATE, Deed.STAMPS, Deed.CONTENT, Deed.PLACE)
        if act.sighting.target is not None
    ]
    if rows:
        await connection.execute(SQL["put_targets"], {"acts": _json(rows)})


def _changed(work: _Written, act: Act, node: Believed) -> dict[str, Any]:
    goes = act.deed is Deed.PLACE and not node.is_directory
    return {
        "node": node.id, "version": node.version, "rise": int(rises(act)), "facts": act.sighting.facts,
        "parent": work.parent(act) if goes else None, "name": act.sighting.name.hex() if goes else None,
        "name_text": _text(act.sighting.name) if goes else None,
        "content": act.content or act.deed is Deed.CONTENT,
        "drift": rises(act) or node.state != NodeState.ACTIVE,
        "sha256": act.sighting.sha256.hex() if act.sighting.sha256 else None,
    }  # fmt: skip


async def _lose(connection: Connection, work: _Written) -> None:
    doubted = [_place_of(act) for act in work.of(Deed.DOUBT)]
    displaced = [_place_of(act) for act in work.of(Deed.DISPLACE) if act.node and not act.node.is_missing]
    await _exactly(connection, work, SQL["doubt"], [*doubted, *displaced])
    await _exactly(connection, work, SQL["miss"], [_place_of(act) for act in work.of(Deed.MISS, Deed.DISPLACE)])


def _place_of(act: Act) -> dict[str, Any]:
    assert act.node is not None
    return {"node": act.node.id, "version": act.node.version, "missed_in": act.missed_in}


async def _exactly(
    connection: Connection, work: _Written, query: LiteralString, rows: Sequence[Mapping[str, Any]]
) -> None:
    if not rows:
        return
    cursor = await connection.execute(query, {"acts": _json(rows), "conclusion": work.conclusion})
    written = len(await cursor.fetchall())
    if written != len(rows):
        raise JudgedMismatch(f"{len(rows)} nodes to write, {written} written")


# Journal and events


async def _tell(connection: Connection, work: _Written) -> None:
    look = work.look
    acts = [_entry(work, n, command) for n, command in work.commands.items()]
    values = {"mount": look.mount, "principal": look.principal, "look": look.id, "reason": look.reason}
    if acts:
        await connection.execute(SQL["journal"], values | {"acts": _json(acts), "started": look.started_at})
    events = [event for n, act in enumerate(work.acts) for event in _events(work, n, act)]
    detected = [_detected(n, work.node(act), act) for n, act in enumerate(work.acts) if _is_drift(act)]
    if detected:
        await connection.execute(SQL["detect"], values | {"events": _json(detected)})
    if events:
        await connection.execute(SQL["tell"], values | {"events": _json(events)})


def _entry(work: _Written, n: int, command: CommandId) -> dict[str, Any]:
    act = work.acts[n]
    text, exact = spelled(act.node.path if act.node is not None else act.sighting.path)
    payload = {"path": text, "path_b64": exact, "reason": work.look.reason}
    if act.deed is Deed.PLACE:
        text, exact = spelled(act.sighting.path)
        payload |= {"target": text, "target_b64": exact}
    return {
        "n": n, "node": work.node(act), "command": command, "path": act.sighting.path.hex(), "verdict": act.deed,
        "payload": {key: value for key, value in payload.items() if value is not None}, "before": _before(act.node),
    }  # fmt: skip


def _before(node: Believed | None) -> dict[str, Any] | None:
    if node is None:
        return None
    return {
        "id": node.id, "parent": node.parent, "name": node.name.hex(), "kind": node.kind, "version": node.version,
        "state": node.state, "size": node.size, "sha256": node.sha256.hex() if node.sha256 else None,
    }  # fmt: skip


def _events(work: _Written, n: int, act: Act) -> Iterable[dict[str, Any]]:
    types = {
        Deed.CREATE: [EventType.NODE_CREATED, EventType.NODE_RECONCILED],
        Deed.CONTENT: [EventType.NODE_UPDATED, EventType.NODE_RECONCILED],
        Deed.PLACE: [EventType.NODE_UPDATED, EventType.NODE_MOVED, EventType.NODE_RECONCILED],
        Deed.STAMPS: [EventType.NODE_UPDATED, EventType.NODE_RECONCILED] if rises(act) else [],
        Deed.MISS: [EventType.NODE_MISSING],
        Deed.DISPLACE: [EventType.NODE_MISSING],
    }.get(act.deed, [])
    if act.deed is Deed.STAMPS and not types and act.node is not None and act.node.state != NodeState.ACTIVE:
        types = [EventType.NODE_RECONCILED]
    source = spelled(act.node.path) if act.deed is Deed.PLACE and act.node is not None else (None, None)
    for rank, type in enumerate(types):
        yield {
            "n": n, "rank": rank, "node": work.node(act), "type": type, "command": work.commands.get(n),
            "previous": act.node.state if act.node is not None else None,
            "delta": size_of(act) - (act.node.size if act.node is not None else 0),
            "moved_from": source[0], "moved_from_b64": source[1],
        }  # fmt: skip


def _is_drift(act: Act) -> bool:
    """What is told as noticed. New files are told as created."""
    if act.deed is Deed.DOUBT:
        return act.node is not None and act.node.state == NodeState.ACTIVE
    return act.deed in (Deed.CONTENT, Deed.PLACE, Deed.DISPLACE)


_KINDS = {Deed.CONTENT: "changed", Deed.PLACE: "moved", Deed.DISPLACE: "missing"}


def _detected(n: int, node: int | None, act: Act) -> dict[str, Any]:
    text, exact = spelled(act.sighting.path)
    kind = _KINDS.get(act.deed) or ("changed" if act.sighting.there else "missing")
    return {"n": n, "node": node, "path": text, "path_b64": exact, "kind": kind}


# Findings


async def _find(connection: Connection, look: Look, outcome: LookOutcome) -> None:
    values = {"mount": look.mount, "look": look.id, "reason": look.reason}
    if outcome.settled:
        await connection.execute(SQL["settle"], values | {"paths": outcome.settled})
    if not outcome.reports:
        return
    cursor = await connection.execute(SQL["report"], values | {"reports": _json([_report(r) for r in outcome.reports])})
    fresh = [row for row in await cursor.fetchall() if row["fresh"]]
    places = [spelled(bytes(row["path"])) for row in fresh]
    events = [
        {"n": n, "node": row["node_id"], "path": places[n][0], "path_b64": places[n][1], "kind": row["kind"]}
        for n, row in enumerate(fresh)
    ]
    if events:
        await connection.execute(SQL["detect"], values | {"events": _json(events)})


def _report(report: Report) -> dict[str, Any]:
    return {
        "path": report.path.hex(), "shown": spelled(report.path)[0], "kind": report.kind, "state": report.state,
        "action": report.action,
        "node": report.node.id if report.node is not None else None, "believed": report.believed,
        "observed": report.observed,
    }  # fmt: skip


def spelled(path: bytes) -> tuple[str, str | None]:
    """A path as JSON carries it: its text, and its bytes where the text does not say them. A text holds no NUL."""
    if b"\0" in path:
        return _text(path), base64.b64encode(path).decode("ascii")
    return NodePath(path).text, NodePath(path).b64


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace").replace("\0", " ")


def _json(rows: Any) -> str:
    return orjson.dumps(rows).decode()
