"""The rows of commands: open, fence, end, answer. Every function takes a list, and the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, LiteralString

import orjson

from schema.commands.command import Applied, CommandKind, Outcome, Request, Status
from schema.commands.situations import Known, KnownNode, OldContent, Place, Situation
from schema.commands.verdicts import Go, Refuse
from schema.ids import CommandId, MountId, NodeId
from schema.locks import Lock
from schema.nodes import NodeKind, NodeState
from schema.paths import NodePath
from schema.sql import load
from schema.store import trees

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

    Connection = AsyncConnection[DictRow]

SQL, TREES = load("commands"), load("trees")


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

    @property
    def unstaged(self) -> bool:
        """What it copies is still to be staged, or what a tree holds is still to be laid where it goes."""
        return ("source" in self.intent or self.by_item) and not self.intent.get("staged")

    @property
    def by_item(self) -> bool:
        """A directory with its content, on storage that knows no trees."""
        return "items" in self.intent


async def lock_mounts(connection: Connection, mounts: Collection[MountId]) -> None:
    """Always in the same order, so that two lists never wait for each other."""
    for mount in sorted(mounts):
        await connection.execute(SQL["lock_mount"], {"lock": Lock.BEGIN, "mount": mount})


async def look(connection: Connection, requests: Sequence[Request]) -> dict[CommandId, Situation]:
    items = [end for request in requests for end in _ends(request)]
    cursor = await connection.execute(SQL["look"], {"items": _json(items)})
    ends: dict[str, dict[int, DictRow]] = {}
    for row in await cursor.fetchall():
        ends.setdefault(row["id"], {})[row["n"]] = row
    return {request.id: _situation(request, ends[request.id]) for request in requests}


_TREES = (CommandKind.DELETE, CommandKind.MOVE, CommandKind.COPY, CommandKind.RESTORE)
"""Commands that concern what lies below their path as well."""


def _ends(request: Request) -> list[dict[str, Any]]:
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
        **_at(request.node_path, subtree=request.kind in _TREES),
    }
    target = request.target_path
    if target is None:
        return [here]
    mount = request.target_mount_id or request.mount_id
    there = {"id": request.id, "n": 1, "mount": mount, "tenant": request.tenant, "gone": False, "below": False}
    return [here, there | _at(target, subtree=True)]


def _at(path: NodePath, *, subtree: bool) -> dict[str, Any]:
    return {
        "path": path.raw.hex(),
        "parent": path.parent.as_directory.hex(),
        "name": path.name.hex(),
        "above": [above.raw.hex() for above in path.ancestors()],
        "subtree": subtree,
    }


def _situation(request: Request, ends: Mapping[int, DictRow]) -> Situation:
    row, known = ends[0], None
    if row["known_id"] is not None:
        known = Known(
            CommandId(row["known_id"]), Status(row["known_status"]), row["known_attempt"], row["known_hash"],
            row["known_retryable"], row["known_code"], row["known_outcome"], row["known_owner"],
            row["known_long"], bool(row["known_unstaged"]), row["known_atomic_id"], row["known_atomic_size"] or 0,
        )  # fmt: skip
    named = _known_node(row["named"])
    return Situation(
        fresh_node=NodeId(row["fresh_node"]),
        here=_place(request.mount_id, row),
        there=_place(request.target_mount_id or request.mount_id, ends[1]) if 1 in ends else None,
        known=known,
        named=replace(named, below=row["below"] or 0) if named else None,
        old=_old(row["old"]),
    )


def _place(mount: MountId, row: DictRow) -> Place:
    return Place(
        mount, row["mount_state"], row["mount_access"] or "rw", row["mount_kind"] or "local",
        parent=_known_node(row["parent"]),
        node=_known_node(row["node"], row["has_children"], row["below"]),
        gone=_known_node(row["gone"]),
        busy=CommandId(row["busy"]) if row["busy"] else None,
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
    connection: Connection, mount: MountId, workflow: str, verdicts: Sequence[tuple[Request, Go | Refuse]],
    *, atomic_id: str | None = None,
) -> set[CommandId]:  # fmt: skip
    """Write the verdicts down. A command that is missing from the answer met its own key in another transaction.

    `atomic_id`: the id of a list of which all are recorded or none. Its commands know it, and how many they are.
    """
    items = [_opened(request, verdict) for request, verdict in verdicts]
    if atomic_id is not None:
        for number, item in enumerate(items):
            item |= {"item": number, "intent": item["intent"] | {"atomic_size": len(items)}}
    values = {"mount": mount, "workflow": workflow, "atomic_id": atomic_id, "items": _json(items)}
    cursor = await connection.execute(SQL["open"], values)
    return {CommandId(row["id"]) for row in await cursor.fetchall()}


def _opened(request: Request, verdict: Go | Refuse) -> dict[str, Any]:
    item: dict[str, Any] = {
        "id": verdict.id,
        "stage": request.id,
        "tenant": request.tenant,
        "principal": request.principal,
        "token_id": request.token_id,
        "key": request.effective_key,
        "kind": request.kind,
        "path": (request.node_path if request.runs_on == request.mount_id else request.appears_at).raw.hex(),
        "request": {name: value for name in Request.__slots__ if (value := getattr(request, name)) is not None}
        | {"name_text": request.appears_at.name.decode("utf-8", "replace")},
        "hash": request.hash,
        "attempt": verdict.attempt,
        "request_id": request.request_id,
        "trace_id": request.trace_id,
    }
    if isinstance(verdict, Go):
        claims = [{"mount": c.mount, "path": c.path.hex(), "subtree": c.subtree} for c in verdict.claims]
        return item | {"status": Status.RUNNING, "intent": verdict.intent, "claims": claims}
    error = verdict.error
    intent = {
        "step": "refused",
        # A stage that was lent is its upload's again.
        "stage": request.stage if request.lent_stage is None else None,
        "staged": request.staged,
        "message": error.message,
        "details": error.details,
    }
    retryable = error.retryable if verdict.retryable is None else verdict.retryable
    return item | {"status": Status.FAILED, "intent": intent, "code": error.code, "retryable": retryable}


async def read_running(
    connection: Connection, ids: Sequence[CommandId], *, raise_attempt: bool
) -> dict[CommandId, Row]:
    """The rows that may still be acted on; with `raise_attempt` under a number no earlier execution can commit with."""
    query = SQL["raise_attempt"] if raise_attempt else SQL["read_running"]
    cursor = await connection.execute(query, {"ids": list(ids)})
    return {CommandId(row["id"]): _row(row) for row in await cursor.fetchall()}


def _row(row: DictRow) -> Row:
    return Row(CommandId(row["id"]), row["attempt"], row["intent"], NodePath(bytes(row["path"])), row["shown"] or "")


async def touch(connection: Connection, ids: Sequence[CommandId]) -> None:
    await connection.execute(SQL["touch"], {"ids": list(ids)})


@dataclass(frozen=True, slots=True)
class EndedRow:
    step: str
    shown: str
    """The path, for people"""
    tree: bool = False
    """A directory, with everything below it"""
    ousts: bool = False
    """Another file goes to the trash: a move took its name, or took it to another mount"""
    copies: bool = False
    items: bool = False
    """Its tree went item by item"""


async def end(connection: Connection, applied: Sequence[Applied]) -> dict[CommandId, EndedRow]:
    """Fence and end: the commands that really end here."""
    items = _json(list(applied))
    cursor = await connection.execute(SQL["end"], {"items": items})
    return {
        CommandId(row["id"]): EndedRow(
            row["step"], row["shown"], row["tree"], row["ousts"], row["copies"], row["items"]
        )
        for row in await cursor.fetchall()
    }


async def record(
    connection: Connection, ended: Mapping[CommandId, EndedRow], *, retention_days: int
) -> tuple[list[Outcome], list[tuple[CommandId, MountId | None]]]:
    """Nodes, snapshots, rollups, journal, events, cleanups; claims go.

    Returns the stored answers, and the commands that left something to clear: on their own mount (None), or a source on
    another one. Raises RecordMismatch when a node was not as expected. In a pipeline the statements travel together.
    """
    values = {"ids": list(ended)}
    if any(row.tree for row in ended.values()):
        await trees.allow_time(connection)
    before, after = _around_the_record(ended.values())
    for query in before:
        await connection.execute(query, values | {"retention_days": retention_days})
    recorded = await connection.execute(SQL["record"], values)
    for query in after:
        await connection.execute(query, values)
    answered = await connection.execute(SQL["answer"], values)
    row = await recorded.fetchone()
    assert row is not None
    if row["written"] != row["expected"]:
        raise RecordMismatch(f"{row['expected']} nodes to write, {row['written']} written")
    rows = await answered.fetchall()
    left = [(CommandId(row["id"]), None) for row in rows if row["leftovers"]]
    leave = [(CommandId(row["id"]), MountId(row["leaves"])) for row in rows if row["leaves"] is not None]
    return [outcome_of(row) for row in rows], [*left, *leave]


def _around_the_record(ended: Collection[EndedRow]) -> tuple[list[LiteralString], list[LiteralString]]:
    """What has to be written before the nodes of a list themselves, and what after. Mostly little: a list of new files
    needs none of it."""
    before: list[LiteralString] = []
    after: list[LiteralString] = []
    steps = {row.step for row in ended if row.tree}
    if any(row.ousts or row.step not in ("create", "none", "refused") for row in ended):
        before.append(SQL["close_snapshots"])
    if "delete" in steps or any(row.tree and row.ousts for row in ended):
        before.extend((TREES["close_buried"], TREES["bury"]))
    if any(row.ousts for row in ended):
        before.append(SQL["oust"])
    if "restore" in steps:
        before.append(TREES["close_raised"])
        after.append(TREES["raise"])
    if "move" in steps:
        after.append(TREES["rebase"])
    if "create" in steps:
        after.extend((TREES["settle"], TREES["settle_rollups"]))
    if any(row.items for row in ended):
        after.append(TREES["reidentify"])
    if any(row.copies and row.tree for row in ended):
        after.append(TREES["forget_settled"])
    return before, after


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


async def outcomes_by_key(
    connection: Connection, waiting: Sequence[tuple[Request, float]]
) -> list[tuple[CommandId, Outcome]]:
    """How these requests ended under an earlier id, of those that did. With each comes how many seconds it has waited."""
    items = [_keyed(request) | {"age": age} for request, age in waiting]
    cursor = await connection.execute(SQL["outcomes_by_key"], {"items": _json(items)})
    return [(CommandId(row["request"]), outcome_of(row)) for row in await cursor.fetchall()]


async def rows_by_key(connection: Connection, requests: Sequence[Request]) -> dict[CommandId, CommandId]:
    """The commands that these requests have opened before, of those that did."""
    cursor = await connection.execute(SQL["rows_by_key"], {"items": _json([_keyed(request) for request in requests])})
    return {CommandId(row["request"]): CommandId(row["id"]) for row in await cursor.fetchall()}


def _keyed(request: Request) -> dict[str, str | None]:
    return {
        "request": request.id,
        "tenant": request.tenant,
        "principal": request.principal,
        "key": request.key,
        "hash": request.hash,
    }


async def overdue(connection: Connection, mount: MountId, seconds: float) -> list[CommandId]:
    cursor = await connection.execute(SQL["overdue"], {"mount": mount, "seconds": seconds})
    return [CommandId(row["id"]) for row in await cursor.fetchall()]


async def overdue_atomic(connection: Connection, mount: MountId, seconds: float) -> list[list[CommandId]]:
    """Whole lists of which all are recorded or none: never resumed one by one."""
    cursor = await connection.execute(SQL["overdue_atomic"], {"mount": mount, "seconds": seconds})
    return [[CommandId(id) for id in row["ids"]] for row in await cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class Leftover:
    cleanup: int
    row: Row
    succeeded: bool
    departs: bool = False
    """It is the source of a move to another mount: it still has to go."""


async def leftovers(connection: Connection, mount: MountId, ids: Sequence[CommandId] | None) -> list[Leftover]:
    """What is left to clear on a mount: of these commands, or (None) of all."""
    cursor = await connection.execute(SQL["cleanups"], {"mount": mount, "ids": None if ids is None else list(ids)})
    return [
        Leftover(
            row["id"],
            Row(CommandId(row["command"]), row["attempt"], row["intent"], NodePath(bytes(row["path"])), ""),
            row["status"] == Status.SUCCEEDED,
            row["departs"],
        )
        for row in await cursor.fetchall()
    ]


async def close_leftovers(connection: Connection, cleanups: Sequence[int]) -> None:
    await connection.execute(SQL["close_cleanups"], {"ids": list(cleanups)})


async def disown(connection: Connection, command: CommandId) -> None:
    """The source of a move to another mount was changed by somebody: its bytes stay where they are, and are not ours."""
    await connection.execute(SQL["disown"], {"command": command})


async def live_stages(connection: Connection, mount: MountId, stages: Sequence[CommandId]) -> set[CommandId]:
    cursor = await connection.execute(SQL["live_stages"], {"mount": mount, "stages": list(stages)})
    return {CommandId(row["stage"]) for row in await cursor.fetchall()}


async def ended_stages(connection: Connection, mount: MountId, stages: Sequence[CommandId]) -> list[CommandId]:
    cursor = await connection.execute(SQL["ended_stages"], {"mount": mount, "stages": list(stages)})
    return [CommandId(row["stage"]) for row in await cursor.fetchall()]


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
