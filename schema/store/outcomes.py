"""How commands stand: for those that wait for an answer, and for the sweep. Every function takes a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from schema.commands.command import Command, NamedCommand, Status
from schema.commands.payloads import Outcome
from schema.ids import CommandId, MountId
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("outcomes")


async def touch(connection: Connection, id: CommandId) -> bool:
    """Whether its operation pauses, or is cancelled."""
    row = await (await connection.execute(SQL["touch"], {"id": id})).fetchone()
    return row is not None and bool(row["interrupted"])


def outcome_of(row: Mapping[str, Any]) -> Outcome:
    return Outcome(CommandId(row["id"]), Status(row["status"]), row["body"] or "", row["code"])


async def outcomes(connection: Connection, ids: Sequence[CommandId]) -> list[Outcome]:
    """How these commands stand; those without a row are not in the answer."""
    cursor = await connection.execute(SQL["outcomes"], {"ids": list(ids)})
    return [outcome_of(row) for row in await cursor.fetchall()]


async def by_key(connection: Connection, requests: Sequence[Command]) -> dict[CommandId, Outcome]:
    """How the commands stand that these requests have opened before, under whatever id, of those that did. A request without
    a hash is taken for the same as any with its key."""
    return await _by_key(connection, [_keyed(request) for request in requests])


async def ended_by_key(connection: Connection, waiting: Sequence[tuple[Command, float]]) -> dict[CommandId, Outcome]:
    """The same of those that ended under an earlier id. With each comes how many seconds it has waited: a failure that
    another attempt may follow counts only when it is younger."""
    return await _by_key(connection, [_keyed(request) | {"age": age} for request, age in waiting])


async def _by_key(connection: Connection, items: Sequence[Mapping[str, Any]]) -> dict[CommandId, Outcome]:
    cursor = await connection.execute(SQL["by_key"], {"items": orjson.dumps(items).decode()})
    return {CommandId(row["request"]): outcome_of(row) for row in await cursor.fetchall()}


def _keyed(request: Command) -> dict[str, Any]:
    return {
        "request": request.id,
        "tenant": request.tenant,
        "principal": request.principal,
        "key": request.effective_key,
        "hash": request.hash,
    }


async def overdue(connection: Connection, mount: MountId, seconds: float) -> list[CommandId]:
    cursor = await connection.execute(SQL["overdue"], {"mount": mount, "seconds": seconds})
    return [CommandId(row["id"]) for row in await cursor.fetchall()]


async def named(connection: Connection, ids: Sequence[CommandId]) -> list[NamedCommand]:
    """What a person calls these commands."""
    cursor = await connection.execute(SQL["named"], {"ids": list(ids)})
    return [NamedCommand(**row) for row in await cursor.fetchall()]


async def overdue_atomic(connection: Connection, mount: MountId, seconds: float) -> list[list[CommandId]]:
    """Whole lists of which all are recorded or none: never resumed one by one."""
    cursor = await connection.execute(SQL["overdue_atomic"], {"mount": mount, "seconds": seconds})
    return [[CommandId(id) for id in row["ids"]] for row in await cursor.fetchall()]
