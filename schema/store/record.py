"""The record of what a list did: read and fence its running rows, end them, write nodes, journal, events and answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

import orjson

from schema.commands.command import Status
from schema.commands.intents import Intent, copied_of, of_json
from schema.commands.payloads import Applied, Outcome
from schema.ids import CommandId, MountId
from schema.paths import NodePath
from schema.sql import load
from schema.store import trees
from schema.store.outcomes import outcome_of

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL, ANSWERS, TREES = load("record"), load("answers"), load("trees")


@dataclass(frozen=True, slots=True)
class Row:
    """A running command as `apply` reads it under its lock."""

    id: CommandId
    attempt: int
    intent: Intent
    path: NodePath
    shown: str

    @property
    def unstaged(self) -> bool:
        """What it copies is still to be staged, or what a tree holds is still to be laid where it goes."""
        return (copied_of(self.intent) is not None or self.by_item) and not self.intent.staged

    @property
    def by_item(self) -> bool:
        """A directory with its content, on storage that knows no trees."""
        return self.intent.items


async def read_running(
    connection: Connection, ids: Sequence[CommandId], *, raise_attempt: bool
) -> dict[CommandId, Row]:
    """The rows that may still be acted on; with `raise_attempt` under a number no earlier execution can commit with."""
    query = SQL["raise_attempt"] if raise_attempt else SQL["read_running"]
    cursor = await connection.execute(query, {"ids": list(ids)})
    return {CommandId(row["id"]): _row(row) for row in await cursor.fetchall()}


def _row(row: DictRow) -> Row:
    return Row(
        CommandId(row["id"]), row["attempt"], of_json(row["intent"]), NodePath(bytes(row["path"])), row["shown"] or ""
    )


@dataclass(frozen=True, slots=True)
class EndedRow:
    status: Status
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
    of_operation: bool = False
    """It carries out an item of an operation"""
    heals: bool = False
    """It heals a finding"""
    first: bool = False
    """A version ends that no row tells of yet"""

    @property
    def writes(self) -> bool:
        """It leaves its node another one than it was."""
        return self.status is Status.SUCCEEDED and self.step != "none"


async def end(connection: Connection, applied: Sequence[Applied]) -> dict[CommandId, EndedRow]:
    """Fence and end: the commands that really end here."""
    items = orjson.dumps(list(applied)).decode()
    cursor = await connection.execute(SQL["end"], {"items": items})
    return {
        CommandId(row["id"]): EndedRow(
            Status(row["status"]),
            row["step"],
            row["shown"],
            row["tree"],
            row["ousts"],
            row["copies"],
            row["items"],
            row["of_operation"],
            row["heals"],
            row["first"],
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
    values = {"ids": list(ended), "retention_days": retention_days}
    if any(row.tree for row in ended.values()):
        await trees.allow_time(connection)
    cursors = {query: await connection.execute(query, values) for query in _statements(ended.values())}
    rows = await cursors[ANSWERS["answer"]].fetchall()
    expected = sum(row.writes for row in ended.values())
    written = sum(cursors[query].rowcount for query in _NODES if query in cursors)
    if written != expected:
        raise RecordMismatch(f"{expected} nodes to write, {written} written")
    left = [(CommandId(row["id"]), None) for row in rows if row["leftovers"]]
    leave = [(CommandId(row["id"]), MountId(row["leaves"])) for row in rows if row["leaves"] is not None]
    return [outcome_of(row) for row in rows], [*left, *leave]


_NODES = (SQL["create_nodes"], SQL["change_nodes"])


def _statements(ended: Collection[EndedRow]) -> list[LiteralString]:
    """In their order: each sees what the ones before it wrote. The journal and the totals ask what was."""
    before, after = _around_the_nodes(ended)
    written = {row.step for row in ended if row.writes}
    begun = {row.status for row in ended if row.step != "refused"}
    return [
        *before,
        SQL["journal"],
        *_when(written - {"describe"}, SQL["roll"]),
        *_when("create" in written, SQL["create_nodes"]),
        *_when(written - {"create"}, SQL["change_nodes"]),
        *_when(Status.INCONSISTENT in begun, SQL["doubt"]),
        *_when(Status.FAILED in begun, SQL["put_back"]),
        SQL["let_go"],
        *after,
        ANSWERS["answer"],
        ANSWERS["tell"],
    ]


def _when(needed: object, query: LiteralString) -> list[LiteralString]:
    return [query] if needed else []


def _around_the_nodes(ended: Collection[EndedRow]) -> tuple[list[LiteralString], list[LiteralString]]:
    """What has to be written before the nodes of a list themselves, and what after. Mostly little: a list of new files
    needs none of it."""
    before: list[LiteralString] = []
    after: list[LiteralString] = []
    steps = {row.step for row in ended if row.tree}
    if any(row.first for row in ended):
        before.append(SQL["keep_first"])
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
