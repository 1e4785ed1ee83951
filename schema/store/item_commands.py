"""Items of operations in the transactions of `begin` and `commit`: which commands may open, and what opens and closes with them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

import orjson

from schema.commands.command import Command
from schema.ids import CommandId
from schema.operations.operation import LEFT_MOST, ItemState, OperationState, Want
from schema.operations.standing import Admission, HeldOperation, opens
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL = load("item_commands")


async def admit(connection: Connection, commands: Sequence[Command]) -> Admission:
    """Lock the operations of these commands, before anything else in a transaction is locked. Which of them may not open: their
    operation paused, turned or ended after it had handed them out, or their item was taken from it."""
    operations = sorted({command.operation_id for command in commands if command.operation_id is not None})
    if not operations:
        return Admission()
    rows = await (await connection.execute(SQL["lock"], {"ids": operations})).fetchall()
    standing = {row["id"]: _standing(row) for row in rows}
    items = await (await connection.execute(SQL["states"], {"items": _items(commands)})).fetchall()
    states = {CommandId(row["id"]): ItemState(row["state"]) for row in items}
    aside = {
        command.id
        for command in commands
        if command.operation_id is not None
        and not opens(standing.get(command.operation_id), states.get(command.id), command)
    }
    return Admission(aside, {id for id, one in standing.items() if one.stops and not one.back})


async def set_aside(connection: Connection, commands: Iterable[Command]) -> None:
    await connection.execute(SQL["set_aside"], {"items": _items(commands)})


async def open_items(connection: Connection, commands: Collection[CommandId]) -> None:
    """These commands were opened: those of items are in flight."""
    await connection.execute(SQL["open_items"], {"ids": list(commands)})


async def close_items(connection: Connection, commands: Collection[CommandId]) -> list[tuple[str, int]]:
    """These commands end: so do the items that they carried out. Returns their operations, with their turns."""
    await connection.execute(SQL["lock_of_commands"], {"ids": list(commands)})
    cursor = await connection.execute(SQL["close_items"], {"ids": list(commands), "most": LEFT_MOST})
    return [(row["id"], row["turn"]) for row in await cursor.fetchall()]


def _items(commands: Iterable[Command]) -> str:
    return orjson.dumps([
        {"id": command.id, "operation": command.operation_id, "item": command.item}
        for command in commands
        if command.operation_id is not None
    ]).decode()  # fmt: skip


def _standing(row: DictRow) -> HeldOperation:
    return HeldOperation(
        row["id"], OperationState(row["state"]), Want(row["want"]) if row["want"] else None, row["back"], row["turn"],
        row["claimed"], row["stops"], row["changed"],
    )  # fmt: skip
