"""What is left to clear on the storage after commands have ended: stages, trash, sources that still have to go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import orjson

from schema.commands.command import Status
from schema.commands.intents import of_json
from schema.ids import CommandId, MountId
from schema.paths import NodePath
from schema.sql import load
from schema.store.record import Row

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("leftovers")

STUCK_MOST = 1000
"""Of a mount no more than this are counted."""


@dataclass(frozen=True, slots=True)
class Leftover:
    cleanup: int
    row: Row
    succeeded: bool
    departs: bool = False
    """It is the source of a move to another mount: it still has to go."""


@dataclass(frozen=True, slots=True)
class Stuck:
    """Leftovers of a mount that could not be cleared when that was last tried."""

    count: int
    since: datetime
    problem: str
    """Of the oldest"""


async def leftovers(connection: Connection, mount: MountId, ids: Sequence[CommandId] | None) -> list[Leftover]:
    """What is left to clear on a mount: of these commands, or (None) all that is due."""
    cursor = await connection.execute(SQL["cleanups"], {"mount": mount, "ids": None if ids is None else list(ids)})
    return [
        Leftover(
            row["id"],
            Row(CommandId(row["command"]), row["attempt"], of_json(row["intent"]), NodePath(bytes(row["path"])), ""),
            row["status"] == Status.SUCCEEDED,
            row["departs"],
        )
        for row in await cursor.fetchall()
    ]


async def close_leftovers(connection: Connection, cleanups: Sequence[int]) -> None:
    await connection.execute(SQL["close_cleanups"], {"ids": list(cleanups)})


async def postpone(connection: Connection, problems: Mapping[int, str]) -> None:
    """These cleanups failed, each for this reason. They are due again after a pause."""
    if problems:
        items = [{"id": cleanup, "problem": problem} for cleanup, problem in problems.items()]
        await connection.execute(SQL["postpone"], {"items": orjson.dumps(items).decode()})


async def hasten(connection: Connection, mount: MountId) -> None:
    """All that was postponed on a mount is due."""
    await connection.execute(SQL["hasten"], {"mount": mount})


async def stuck(connection: Connection) -> dict[MountId, Stuck]:
    """The mounts where something could not be cleared."""
    cursor = await connection.execute(SQL["stuck"], {"most": STUCK_MOST})
    return {MountId(row["mount"]): Stuck(row["stuck"], row["since"], row["problem"]) for row in await cursor.fetchall()}


async def disown(connection: Connection, command: CommandId) -> None:
    """Another program changed the source of a move to another mount: its bytes stay where they are, and are not ours."""
    await connection.execute(SQL["disown"], {"command": command})


async def forget_interrupted(connection: Connection, stages: Sequence[CommandId]) -> None:
    """What was staged of copies that were interrupted, and never went on."""
    await connection.execute(SQL["forget_interrupted"], {"stages": list(stages)})


async def live_stages(connection: Connection, mount: MountId, stages: Sequence[CommandId]) -> set[CommandId]:
    cursor = await connection.execute(SQL["live_stages"], {"mount": mount, "stages": list(stages)})
    return {CommandId(row["stage"]) for row in await cursor.fetchall()}


async def ended_stages(connection: Connection, mount: MountId, stages: Sequence[CommandId]) -> list[CommandId]:
    cursor = await connection.execute(SQL["ended_stages"], {"mount": mount, "stages": list(stages)})
    return [CommandId(row["stage"]) for row in await cursor.fetchall()]


async def forget_stages(connection: Connection, mount: MountId) -> None:
    await connection.execute(SQL["forget_stages"], {"mount": mount})
