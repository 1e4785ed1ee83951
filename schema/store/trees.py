"""Copies of whole directories, from the plan to the staged entries. Every function takes the caller's connection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import orjson

from schema.ids import CommandId
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow
    from schema.store.pool import LimitedConnection

SQL = load("trees")
LONGEST_SECONDS = 900.0
"""For a whole tree, in place of the limit of the pool, which some hundred thousand nodes would pass: enough for a million on a
slow disk. It stays below what the activities that record it have (`RECORD` in workflows/policies.py)."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A node below the directory that is copied (or goes item by item), as the record has it."""

    path: bytes
    """Below that directory"""
    shown: str
    kind: str
    state: str
    sha256: bytes | None
    identity: Sequence[int | str] | None
    staged: Sequence[int | str] | None = None
    """The identity of its copy, where an execution that was broken off has staged that"""


async def plan(connection: Connection, command: CommandId, directory: int) -> tuple[int, bool]:
    """The same for a copy that may have been broken off. How many nodes, and whether some of them are staged as they are now.
    Where something is not there any more it begins anew."""
    values = {"command": command, "directory": directory}
    async with connection.transaction():
        await allow_time(connection)
        planned = (await connection.execute(SQL["plan_entries"], values)).rowcount
        row = await (await connection.execute(SQL["known_entries"], values)).fetchone()
        if row is not None and row["entries"] == planned:
            return planned, row["staged"]
    return await plan_anew(connection, command, directory), False


async def plan_anew(connection: Connection, command: CommandId, directory: int, *, deleted: bool = False) -> int:
    """Write down what goes along with a directory: exactly what the record knows below it; or, where it is `deleted`, what
    was deleted with it. Returns how many nodes."""
    query = SQL["plan_return"] if deleted else SQL["plan_entries"]
    async with connection.transaction():
        await allow_time(connection)
        await connection.execute(SQL["forget_entries"], {"ids": [command]})
        cursor = await connection.execute(query, {"command": command, "directory": directory})
    return cursor.rowcount


async def allow_time(connection: Connection) -> None:
    """For a statement until the transaction ends; for its answer until the connection is given back."""
    cast("LimitedConnection", connection).answer_seconds = LONGEST_SECONDS
    await connection.execute(SQL["allow_time"], {"timeout": f"{LONGEST_SECONDS:.0f}s"})


async def page(connection: Connection, command: CommandId, after: bytes, limit: int) -> list[Planned]:
    """The next entries by path, parents before children."""
    values = {"command": command, "after": after, "limit": limit}
    cursor = await connection.execute(SQL["planned_page"], values)
    return [_planned(row) for row in await cursor.fetchall()]


async def remaining(connection: Connection, command: CommandId, limit: int) -> list[Planned]:
    """What is still to be cleared, children before parents."""
    cursor = await connection.execute(SQL["remaining_page"], {"command": command, "limit": limit})
    return [_planned(row) for row in await cursor.fetchall()]


async def cleared(connection: Connection, command: CommandId, first: bytes) -> None:
    """Everything from this path on is cleared."""
    await connection.execute(SQL["forget_cleared"], {"command": command, "first": first})


async def forget(connection: Connection, commands: Sequence[CommandId]) -> None:
    """Nothing of these is left to do."""
    if commands:
        await connection.execute(SQL["forget_entries"], {"ids": list(commands)})


def _planned(row: DictRow) -> Planned:
    return Planned(
        bytes(row["path"]), row["path_text"], row["kind"], row["state"], row["sha256"], row["identity"], row["staged"]
    )


async def keep(connection: Connection, command: CommandId, copies: Sequence[tuple[bytes, Sequence[int | str]]]) -> None:
    """The identities of staged copies."""
    items = [{"path": path.hex(), "identity": list(identity)} for path, identity in copies]
    await connection.execute(SQL["keep_entries"], {"command": command, "items": orjson.dumps(items).decode()})


async def record_stage(
    connection: Connection, command: CommandId, attempt: int, staged: Sequence[int | str], *, tree: bool
) -> None:
    """Before the visible step: the intent learns what was staged. Nothing happens when another attempt has taken over."""
    values = {"command": command, "attempt": attempt, "staged": orjson.dumps(list(staged)).decode(), "tree": tree}
    await connection.execute(SQL["record_stage"], values)
