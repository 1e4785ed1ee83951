"""Look at the record for a list that wants to begin, and write its verdicts down. In the caller's transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import orjson

from schema.commands.command import Command, CommandKind, Status
from schema.commands.intents import RefusedIntent
from schema.commands.situations import KnownCommand, KnownNode, OldContent, Place, Situation
from schema.commands.verdicts import Go, Refuse
from schema.freezes import Freeze
from schema.ids import CommandId, MountId, NodeId
from schema.locks import Lock
from schema.nodes import NodeKind, NodeState
from schema.paths import PATH_MAX, NodePath
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL = load("begin")


async def lock_mounts(connection: Connection, mounts: Collection[MountId]) -> None:
    """Always in the same order, so that two lists never wait for each other."""
    for mount in sorted(mounts):
        await connection.execute(SQL["lock_mount"], {"lock": Lock.BEGIN, "mount": mount})


@asynccontextmanager
async def held_mount(connection: Connection, mount: MountId) -> AsyncIterator[None]:
    """The lock of a mount by the session: for a transaction that must not be older than the lock."""
    values = {"lock": Lock.BEGIN, "mount": mount}
    await connection.execute(SQL["hold_mount"], values)
    try:
        yield
    finally:
        await connection.execute(SQL["let_mount_go"], values)


async def look_where_they_lie(
    connection: Connection, requests: Sequence[Command], by_item: Collection[MountId]
) -> tuple[list[Command], dict[CommandId, Situation]]:
    """The requests, each that names a living node by its id at the path where that lies, and what `look` says of them.

    The locks of their mounts are held, so no other move begins. One that began before can be recorded between two
    statements: then both are done again, until they agree.
    """
    while True:
        placed = await _placed(connection, requests)
        found = await look(connection, placed, by_item=by_item)
        if placed == requests or all(_is_there(request, found[request.id]) for request in placed):
            return placed, found
        requests = placed


def _is_there(request: Command, found: Situation) -> bool:
    node = found.here.node
    return not request.follows_its_node or (node is not None and node.id == request.node_id)


async def _placed(connection: Connection, requests: Sequence[Command]) -> list[Command]:
    named = {request.node_id for request in requests if request.follows_its_node}
    if not named:
        return list(requests)
    cursor = await connection.execute(SQL["places"], {"ids": sorted(id for id in named if id is not None)})
    places = {NodeId(row["id"]): NodePath(bytes(row["path"])) for row in await cursor.fetchall()}
    return [_at_its_node(request, places) for request in requests]


def _at_its_node(request: Command, places: Mapping[NodeId, NodePath]) -> Command:
    place = places.get(request.node_id) if request.follows_its_node and request.node_id is not None else None
    return request if place is None else request.at(place)


async def look(
    connection: Connection, requests: Sequence[Command], *, by_item: Collection[MountId] = ()
) -> dict[CommandId, Situation]:
    """`by_item`: the mounts whose storage knows no trees. The record does not know; their executors do."""
    items = [end for request in requests for end in _ends(request)]
    cursor = await connection.execute(SQL["look"], {"items": orjson.dumps(items).decode()})
    ends: dict[str, dict[int, DictRow]] = {}
    for row in await cursor.fetchall():
        ends.setdefault(row["id"], {})[row["n"]] = row
    found = {request.id: _situation(request, ends[request.id], by_item) for request in requests}
    deep = await _too_deep(connection, requests, found)
    return {id: replace(situation, too_deep=id in deep) for id, situation in found.items()}


async def _too_deep(
    connection: Connection, requests: Sequence[Command], found: Mapping[CommandId, Situation]
) -> set[CommandId]:
    """Those that would bring something below a directory beyond the longest path. Asked only of those that could."""
    items = [
        {"id": request.id, "node": node.id, "most": PATH_MAX - len(request.appears_at.raw) - 1}
        for request in requests
        if (node := _goes_deeper(request, found[request.id])) is not None
    ]
    if not items:
        return set()
    cursor = await connection.execute(SQL["too_deep"], {"items": orjson.dumps(items).decode()})
    return {CommandId(row["id"]) for row in await cursor.fetchall()}


def _goes_deeper(request: Command, found: Situation) -> KnownNode | None:
    """The directory that may lie under a longer path then, with what is below it. Where a deleted one lay is not known here."""
    if request.kind is CommandKind.RESTORE:
        node = found.named if request.content_version is None else None
    elif request.kind in (CommandKind.MOVE, CommandKind.COPY):
        node = found.here.node if len(request.appears_at.raw) > len(request.node_path.raw) else None
    else:
        node = None
    return node if node is not None and node.kind is NodeKind.DIRECTORY and node.below > 0 else None


_TREES = (CommandKind.DELETE, CommandKind.MOVE, CommandKind.COPY, CommandKind.RESTORE)
"""Commands that concern what lies below their path as well."""


def _ends(request: Command) -> list[dict[str, Any]]:
    here = {
        "id": request.id,
        "n": 0,
        "mount": request.mount_id,
        "tenant": request.tenant,
        "principal": request.principal,
        "key": request.effective_key,
        "gone": request.kind is CommandKind.DELETE,
        "below": request.kind in _TREES,
        "node": request.node_id if request.kind is CommandKind.RESTORE else None,
        "version": request.content_version,
        "describes": request.kind is CommandKind.DESCRIBE,
        **_at(request.node_path, subtree=request.kind in _TREES, shared=request.kind is CommandKind.COPY),
    }
    target = request.target_path
    if target is None:
        return [here]
    mount = request.target_mount_id or request.mount_id
    there = {"id": request.id, "n": 1, "mount": mount, "tenant": request.tenant, "gone": False, "below": False}
    return [here, there | _at(target, subtree=True)]


def _at(path: NodePath, *, subtree: bool, shared: bool = False) -> dict[str, Any]:
    return {
        "path": path.raw.hex(),
        "parent": path.parent.as_directory.hex(),
        "name": path.name.hex(),
        "above": path.ancestor_lengths(),
        "subtree": subtree,
        "shared": shared,
    }


def _situation(request: Command, ends: Mapping[int, DictRow], by_item: Collection[MountId]) -> Situation:
    row, known = ends[0], None
    if row["known_id"] is not None:
        known = KnownCommand(
            CommandId(row["known_id"]), Status(row["known_status"]), row["known_attempt"], row["known_hash"],
            row["known_retryable"], row["known_code"], row["known_outcome"], row["known_owner"],
            row["known_long"], bool(row["known_unstaged"]), row["known_head"],
            row["known_atomic_id"], row["known_atomic_size"] or 0,
        )  # fmt: skip
    named = _known_node(row["named"])
    return Situation(
        fresh_node=NodeId(row["fresh_node"]),
        here=_place(request.mount_id, row, by_item),
        there=_place(request.target_mount_id or request.mount_id, ends[1], by_item) if 1 in ends else None,
        known=known,
        named=replace(named, below=row["below"] or 0) if named else None,
        old=_old(row["old"]),
        limited=row["limited"],
        metadata=None if row["metadata_after"] is None else (row["metadata_before"], row["metadata_after"]),
    )


def _place(mount: MountId, row: DictRow, by_item: Collection[MountId]) -> Place:
    return Place(
        mount, row["mount_state"], row["mount_access"] or "rw", mount not in by_item,
        parent=_known_node(row["parent"]),
        node=_known_node(row["node"], row["has_children"], row["below"]),
        gone=_known_node(row["gone"]),
        busy=CommandId(row["busy"]) if row["busy"] else None,
        freeze=Freeze.of_json(row["freeze"]) if row["freeze"] else None,
    )  # fmt: skip


def _known_node(
    facts: Mapping[str, Any] | None, has_children: bool | None = False, below: int | None = 0
) -> KnownNode | None:
    if facts is None:
        return None
    return KnownNode(
        NodeId(facts["id"]), NodeKind(facts["kind"]), NodeState(facts["state"]), facts["version"], facts["size"],
        facts["sha256"], facts["identity"], bool(has_children), below or 0, facts["parent"], facts["name"],
    )  # fmt: skip


def _old(facts: Mapping[str, Any] | None) -> OldContent | None:
    if facts is None:
        return None
    return OldContent(
        facts["version"], facts["size"], facts["sha256"], facts["place"], bool(facts["expired"]), facts["identity"]
    )


async def open_rows(
    connection: Connection, mount: MountId, workflow: str, verdicts: Sequence[tuple[Command, Go | Refuse]],
    *, atomic_id: str | None = None,
) -> set[CommandId]:  # fmt: skip
    """Write the verdicts down. A command that is missing from the answer met its own key in another transaction.

    `atomic_id`: the id of a list of which all are recorded or none. Its commands know it, and how many they are.
    """
    size = len(verdicts) if atomic_id is not None else None
    items = [_opened(request, verdict, size) for request, verdict in verdicts]
    if atomic_id is not None:
        items = [item | {"item": number} for number, item in enumerate(items)]
    values = {"mount": mount, "workflow": workflow, "atomic_id": atomic_id, "items": orjson.dumps(items).decode()}
    cursor = await connection.execute(SQL["open"], values)
    return {CommandId(row["id"]) for row in await cursor.fetchall()}


_BESIDE = {
    "id", "tenant", "principal", "token_id", "key", "kind", "hash", "request_id", "trace_id", "correlation_id",
    "staged", "has_metadata", "failure", "failure_message", "failure_details",
}  # fmt: skip
"""What columns of the row, its intent, or the metadata itself say already"""
_STATED = {field.name: field.default for field in fields(Command) if field.name not in _BESIDE}


def _asked(request: Command) -> dict[str, Any]:
    """What is stored of a request, in its row and in the journal: what no other column says, without what has its default."""
    values = {name: (getattr(request, name), default) for name, default in _STATED.items()}
    return {name: value for name, (value, default) in values.items() if value != default}


def _opened(request: Command, verdict: Go | Refuse, atomic_size: int | None) -> dict[str, Any]:
    item: dict[str, Any] = {
        "id": verdict.id,
        "stage": request.id,
        "tenant": request.tenant,
        "principal": request.principal,
        "token_id": request.token_id,
        "key": request.effective_key,
        "kind": request.kind,
        "path": (request.node_path if request.runs_on == request.mount_id else request.appears_at).raw.hex(),
        "request": _asked(request) | {"name_text": request.appears_at.name.decode("utf-8", "replace")},
        "hash": request.hash,
        "attempt": verdict.attempt,
        "request_id": request.request_id,
        "trace_id": request.trace_id,
        "correlation_id": request.correlation_id,
        "operation_id": request.operation_id,
        "item": request.item,
    }
    if isinstance(verdict, Go):
        claims = [
            {"mount": c.mount, "path": c.path.hex(), "subtree": c.subtree, "shared": c.shared} for c in verdict.claims
        ]
        intent = replace(verdict.intent, atomic_size=atomic_size)
        return item | {"status": Status.RUNNING, "intent": intent.to_json(), "claims": claims}
    error = verdict.error
    refused = RefusedIntent(
        # A stage that was borrowed is its upload's again.
        stage=request.stage if request.borrowed_stage is None else None,
        staged=request.staged,
        message=error.message,
        details=error.details,
        atomic_size=atomic_size,
    )
    retryable = error.retryable if verdict.retryable is None else verdict.retryable
    return item | {"status": Status.FAILED, "intent": refused.to_json(), "code": error.code, "retryable": retryable}


async def keep_metadata(
    connection: Connection, mount: MountId, items: Sequence[tuple[Command, Mapping[str, object]]]
) -> None:
    """Let metadata wait in Postgres until `begin` takes it: it never travels through Temporal."""
    rows = [
        {"id": request.id, "tenant": request.tenant, "principal": request.principal,
         "path": request.node_path.raw.hex(), "metadata": metadata}
        for request, metadata in items
    ]  # fmt: skip
    await connection.execute(SQL["keep_metadata"], {"mount": mount, "items": orjson.dumps(rows).decode()})
