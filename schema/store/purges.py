"""What is removed from the trash for good: marked, then unlinked, then cleared from the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, LiteralString

import orjson

from schema.access.holds import HoldInForce, Taking
from schema.ids import MountId
from schema.locks import Lock
from schema.operations.operation import ItemKind, OperationItem
from schema.paths import NodePath
from schema.sql import load
from schema.store import holds
from schema.store.begin import lock_mounts

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL: Mapping[str, LiteralString] = load("purges")
_COUNTED_ON = SQL["below"] + "\n" + SQL["counted_on"]
_MARK = SQL["below"] + "\n" + SQL["mark"]
_DEEP = SQL["below"] + "\n" + SQL["deep"]
_CLEAR = SQL["below"] + "\n" + SQL["clear"]


@dataclass(frozen=True, slots=True)
class TrashPlace:
    """What an item names, and where it lies in the trash; None: it does not."""

    item: int
    path: NodePath
    node: int
    place: bytes | None
    command: str | None
    """What put it there"""


@dataclass(frozen=True, slots=True)
class Marked:
    """`places` are kept no longer, and may be unlinked. `counted_on`: those that stay, and the operations that need them; None: a
    command does. `held`: those that stay until a hold ends."""

    places: list[TrashPlace]
    gone: list[TrashPlace]
    counted_on: dict[int, str | None]
    deep: list[bytes]
    held: dict[int, HoldInForce] = field(default_factory=dict)


async def share(connection: Connection) -> None:
    """In the transaction of a plan that counts on what the trash keeps."""
    await connection.execute(SQL["share"], {"lock": Lock.TRASH})


async def mark(connection: Connection, mount: MountId, operation: str, items: Sequence[int]) -> Marked:
    """In a transaction of its own: no plan and no command counts on any of it then."""
    await connection.execute(SQL["alone"], {"lock": Lock.TRASH})
    await lock_mounts(connection, [mount])
    cursor = await connection.execute(SQL["places"], {"id": operation, "items": list(items)})
    every = [
        TrashPlace(
            row["item"], NodePath(bytes(row["path"])), row["node"],
            None if row["place"] is None else bytes(row["place"]), row["command"],
        )
        for row in await cursor.fetchall()
    ]  # fmt: skip
    there = [one for one in every if one.place is not None]
    in_the_way = await holds.in_the_way(connection, [Taking(mount, one.path, True) for one in there])
    held = {there[n].item: hold for n, hold in in_the_way.items()}
    lying = [one for one in there if one.item not in held]
    values = {"places": _json(lying), "mount": mount}
    rows = await (await connection.execute(_COUNTED_ON, values)).fetchall()
    counted_on = {int(row["item"]): row["operation"] for row in rows}
    going = [one for one in lying if one.item not in counted_on]
    await connection.execute(_MARK, {"places": _json(going)})
    deep = await (await connection.execute(_DEEP, {"places": _json(going)})).fetchall()
    gone = [one for one in every if one.place is None]
    return Marked(going, gone, counted_on, [bytes(row["place"]) for row in deep], held)


async def clear(connection: Connection, places: Sequence[TrashPlace]) -> None:
    """They are unlinked."""
    await connection.execute(_CLEAR, {"places": _json(places)})


async def expired(connection: Connection, items: Sequence[OperationItem]) -> set[int]:
    """Which of these items would bring back what is kept no longer."""
    asked = [
        {"item": one.item, "node": one.node_id, "version": one.content_version or (one.version or 1) - 1}
        for one in items
        if one.kind is ItemKind.RESTORE
    ]
    if not asked:
        return set()
    rows = await (await connection.execute(SQL["expired"], {"items": orjson.dumps(asked).decode()})).fetchall()
    return {int(row["item"]) for row in rows}


async def retention_of(connection: Connection, mount: MountId) -> tuple[str, Mapping[str, Any]] | None:
    """The tenant of a mount, and for how long its trash keeps what."""
    row = await (await connection.execute(SQL["policies"], {"mount": mount})).fetchone()
    return None if row is None else (row["tenant"], row["retention"])


def _json(places: Sequence[TrashPlace]) -> str:
    return orjson.dumps([
        {"item": one.item, "node": one.node, "place": (one.place or b"").hex(), "command": one.command} for one in places
    ]).decode()  # fmt: skip
