"""The rows of commands: open, fence, end, answer. Every function takes a list, and the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from schema.commands import Applied, Outcome, Request, Status
from schema.ids import CommandId, MountId, NodeId
from schema.nodes import NodeKind, NodeState
from schema.paths import NodePath
from schema.sql import load
from schema.verdicts import Go, Known, KnownNode, Refuse, Situation

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

    Connection = AsyncConnection[DictRow]

SQL = load("commands")


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


@dataclass(frozen=True, slots=True)
class Row:
    """A running command as `apply` reads it under its lock."""

    id: CommandId
    attempt: int
    intent: Mapping[str, Any]
    path: NodePath
    shown: str


async def lock_mount(connection: Connection, mount: MountId) -> None:
    await connection.execute(SQL["lock_mount"], {"mount": mount})


async def look(connection: Connection, mount: MountId, requests: Sequence[Request]) -> dict[CommandId, Situation]:
    items = [_looked_for(request) for request in requests]
    cursor = await connection.execute(SQL["look"], {"mount": mount, "items": _json(items)})
    return {CommandId(row["id"]): _situation(row) for row in await cursor.fetchall()}


def _looked_for(request: Request) -> dict[str, Any]:
    path = request.node_path
    return {
        "id": request.id,
        "kind": request.kind,
        "tenant": request.tenant,
        "principal": request.principal,
        "key": request.effective_key,
        "path": path.raw.hex(),
        "parent": path.parent.as_directory.hex(),
        "name": path.name.hex(),
        "above": [above.raw.hex() for above in path.ancestors()],
        "subtree": request.claims_subtree,
    }


def _situation(row: DictRow) -> Situation:
    known = None
    if row["known_id"] is not None:
        known = Known(
            CommandId(row["known_id"]), Status(row["known_status"]), row["known_attempt"], row["known_hash"],
            row["known_retryable"], row["known_code"], row["known_outcome"], row["known_owner"],
        )  # fmt: skip
    return Situation(
        fresh_node=NodeId(row["fresh_node"]),
        mount_state=row["mount_state"],
        mount_access=row["mount_access"] or "rw",
        known=known,
        parent=_known_node(row["parent"]),
        node=_known_node(row["node"], row["has_children"]),
        gone=_known_node(row["gone"]),
        busy=CommandId(row["busy"]) if row["busy"] else None,
    )


def _known_node(facts: Mapping[str, Any] | None, has_children: bool | None = False) -> KnownNode | None:
    if facts is None:
        return None
    return KnownNode(
        NodeId(facts["id"]), NodeKind(facts["kind"]), NodeState(facts["state"]), facts["version"], facts["size"],
        facts["sha256"], facts["identity"], bool(has_children),
    )  # fmt: skip


async def open_rows(
    connection: Connection, mount: MountId, workflow: str, verdicts: Sequence[tuple[Request, Go | Refuse]]
) -> set[CommandId]:
    """Write the verdicts down. A command that is missing from the answer met its own key in another transaction."""
    items = [_opened(request, verdict) for request, verdict in verdicts]
    values = {"mount": mount, "workflow": workflow, "items": _json(items)}
    cursor = await connection.execute(SQL["open"], values)
    return {CommandId(row["id"]) for row in await cursor.fetchall()}


def _opened(request: Request, verdict: Go | Refuse) -> dict[str, Any]:
    path = request.node_path
    item: dict[str, Any] = {
        "id": verdict.id,
        "stage": request.id,
        "tenant": request.tenant,
        "principal": request.principal,
        "token_id": request.token_id,
        "key": request.effective_key,
        "kind": request.kind,
        "path": path.raw.hex(),
        "request": {name: value for name in Request.__slots__ if (value := getattr(request, name)) is not None}
        | {"name_text": path.name.decode("utf-8", "replace")},
        "hash": request.hash,
        "attempt": verdict.attempt,
        "request_id": request.request_id,
        "trace_id": request.trace_id,
        "subtree": request.claims_subtree,
    }
    if isinstance(verdict, Go):
        return item | {"status": Status.RUNNING, "intent": verdict.intent}
    error = verdict.error
    intent = {
        "step": "refused",
        "stage": request.id if request.staged else None,
        "staged": request.staged,
        "message": error.message,
        "details": error.details,
    }
    return item | {"status": Status.FAILED, "intent": intent, "code": error.code, "retryable": error.retryable}


async def read_running(
    connection: Connection, ids: Sequence[CommandId], *, raise_attempt: bool
) -> dict[CommandId, Row]:
    """The rows that may still be acted on; with `raise_attempt` under a number no earlier execution can commit with."""
    query = SQL["raise_attempt"] if raise_attempt else SQL["read_running"]
    cursor = await connection.execute(query, {"ids": list(ids)})
    return {CommandId(row["id"]): _row(row) for row in await cursor.fetchall()}


def _row(row: DictRow) -> Row:
    return Row(CommandId(row["id"]), row["attempt"], row["intent"], NodePath(bytes(row["path"])), row["shown"] or "")


@dataclass(frozen=True, slots=True)
class EndedRow:
    step: str
    shown: str
    """The path, for people"""


async def end(connection: Connection, applied: Sequence[Applied]) -> dict[CommandId, EndedRow]:
    """Fence and end: the commands that really end here."""
    items = _json(list(applied))
    cursor = await connection.execute(SQL["end"], {"items": items})
    return {CommandId(row["id"]): EndedRow(row["step"], row["shown"]) for row in await cursor.fetchall()}


async def record(
    connection: Connection, ids: Sequence[CommandId], *, close: bool, retention_days: int
) -> tuple[list[Outcome], list[CommandId]]:
    """Nodes, snapshots, rollups, journal, events, cleanups; claims go. `close`: old versions end here.

    Returns the stored answers, and the commands that left something to clear. Raises RecordMismatch when a node was not as
    expected. In a pipeline the statements travel together.
    """
    values = {"ids": list(ids)}
    if close:
        await connection.execute(SQL["close_snapshots"], values | {"retention_days": retention_days})
    recorded = await connection.execute(SQL["record"], values)
    answered = await connection.execute(SQL["answer"], values)
    row = await recorded.fetchone()
    assert row is not None
    if row["written"] != row["expected"]:
        raise RecordMismatch(f"{row['expected']} nodes to write, {row['written']} written")
    rows = await answered.fetchall()
    return [outcome_of(row) for row in rows], [CommandId(row["id"]) for row in rows if row["leftovers"]]


class RecordMismatch(Exception):
    """A node's version moved under a claim: the record and the effect disagree."""


def outcome_of(row: Mapping[str, Any]) -> Outcome:
    return Outcome(CommandId(row["id"]), Status(row["status"]), row["body"] or "", row["code"])


async def outcomes(connection: Connection, ids: Sequence[CommandId]) -> list[Outcome]:
    """How these commands stand; those without a row are not in the answer."""
    cursor = await connection.execute(SQL["outcomes"], {"ids": list(ids)})
    return [outcome_of(row) for row in await cursor.fetchall()]


async def outcome_by_key(connection: Connection, tenant: str, principal: str, key: str) -> Outcome | None:
    cursor = await connection.execute(SQL["outcome_by_key"], {"tenant": tenant, "principal": principal, "key": key})
    row = await cursor.fetchone()
    return outcome_of(row) if row else None


async def overdue(connection: Connection, mount: MountId, seconds: float) -> list[CommandId]:
    cursor = await connection.execute(SQL["overdue"], {"mount": mount, "seconds": seconds})
    return [CommandId(row["id"]) for row in await cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class Leftover:
    cleanup: int
    row: Row
    succeeded: bool


async def leftovers(connection: Connection, mount: MountId, ids: Sequence[CommandId] | None) -> list[Leftover]:
    """What is left to clear on a mount: of these commands, or (None) of all."""
    cursor = await connection.execute(SQL["cleanups"], {"mount": mount, "ids": None if ids is None else list(ids)})
    return [
        Leftover(
            row["id"],
            Row(CommandId(row["command"]), row["attempt"], row["intent"], NodePath(bytes(row["path"])), ""),
            row["status"] == Status.SUCCEEDED,
        )
        for row in await cursor.fetchall()
    ]


async def close_leftovers(connection: Connection, cleanups: Sequence[int]) -> None:
    await connection.execute(SQL["close_cleanups"], {"ids": list(cleanups)})


async def live_stages(connection: Connection, mount: MountId, stages: Sequence[CommandId]) -> set[CommandId]:
    cursor = await connection.execute(SQL["live_stages"], {"mount": mount, "stages": list(stages)})
    return {CommandId(row["stage"]) for row in await cursor.fetchall()}


async def forget_stages(connection: Connection, mount: MountId) -> None:
    await connection.execute(SQL["forget_stages"], {"mount": mount})


async def keep_metadata(
    connection: Connection, mount: MountId, items: Sequence[tuple[Request, Mapping[str, object]]]
) -> None:
    """Let metadata wait in Postgres until `begin` takes it: it never travels through Temporal."""
    rows = [
        {"id": request.id, "tenant": request.tenant, "principal": request.principal,
         "path": request.node_path.raw.hex(), "metadata": metadata}
        for request, metadata in items
    ]  # fmt: skip
    await connection.execute(SQL["keep_metadata"], {"mount": mount, "items": _json(rows)})
