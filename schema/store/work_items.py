"""Items that an operation carries out itself, without commands: what is begun, what has ended, what they are about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from schema.ids import NodeId
from schema.operations.operation import ItemState
from schema.paths import NodePath
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("work_items")


@dataclass(frozen=True, slots=True)
class ItemEnd:
    """How an item ended; `PENDING`: not yet, it waits for another turn."""

    item: int
    state: ItemState
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class FileItem:
    """The file of an item, as the record knows it now."""

    item: int
    node: NodeId
    seen: int | None
    """The version that the plan saw"""
    version: int
    state: str
    planned: NodePath
    path: NodePath
    sha256: bytes | None
    identity: Sequence[int | str] | None

    @property
    def as_planned(self) -> bool:
        return self.version == self.seen and self.state != "deleted" and self.path == self.planned


async def in_flight(connection: Connection, id: str, limit: int, *, records: bool = False) -> list[int]:
    """`records`: only those that are about records of the Metastore."""
    cursor = await connection.execute(SQL["in_flight"], {"id": id, "limit": limit, "records": records})
    return [int(row["item"]) for row in await cursor.fetchall()]


async def begin(connection: Connection, id: str, items: Sequence[int], seconds: float) -> None:
    """`seconds`: how long the limits forbid more after them."""
    await connection.execute(SQL["begin"], {"id": id, "items": list(items), "seconds": seconds})


async def end(connection: Connection, id: str, ends: Sequence[ItemEnd]) -> None:
    rows = [{"item": one.item, "state": one.state, "code": one.code, "message": one.message} for one in ends]
    if rows:
        await connection.execute(SQL["end"], {"id": id, "items": orjson.dumps(rows).decode()})


async def wanted(connection: Connection, id: str) -> tuple[bool, float | None]:
    """Whether the operation goes on, and how many bytes it may read in a second."""
    row = await (await connection.execute(SQL["wanted"], {"id": id})).fetchone()
    return (False, None) if row is None else (row["goes"], row["rate"])


async def files(connection: Connection, id: str, items: Sequence[int]) -> list[FileItem]:
    rows = await (await connection.execute(SQL["files"], {"id": id, "items": list(items)})).fetchall()
    return [
        FileItem(
            row["item"], NodeId(row["id"]), row["seen"], row["version"], row["state"], NodePath(bytes(row["planned"])),
            NodePath(bytes(row["path"])), None if row["sha256"] is None else bytes(row["sha256"]), row["identity"],
        )
        for row in rows
    ]  # fmt: skip


async def verified(connection: Connection, right: Sequence[tuple[NodeId, int, bytes]]) -> None:
    """Nodes, the versions that were read, and their hashes. In one order, so that two lists can not wait for each other."""
    if right:
        nodes, versions, hashes = zip(*sorted(right), strict=True)
        values = {"nodes": list(nodes), "versions": list(versions), "hashes": list(hashes)}
        await connection.execute(SQL["verified"], values)
