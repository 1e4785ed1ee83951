"""Hints: reasons to look at a place of a mount. Watchers and notifications write them, a look takes them when it begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from schema.drift.hints import Hint as Hint
from schema.ids import MountId
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("drift_hints")


@dataclass(frozen=True, slots=True)
class Waiting:
    """The hints of a mount that no look has taken yet."""

    hints: int
    since: datetime


async def hint(connection: Connection, mount: MountId, hints: Sequence[Hint]) -> None:
    """Notice these places. Repeating it is harmless; of a place there is one hint, as old as the first."""
    merged: dict[bytes, Hint] = {}
    for one in hints:
        known = merged.get(one.path)
        merged[one.path] = Hint(one.path, one.subtree or (known is not None and known.subtree), one.reason)
    places = list(merged.values())
    values = {
        "mount": mount,
        "paths": [place.path for place in places],
        "subtrees": [place.subtree for place in places],
        "reasons": [place.reason for place in places],
    }
    await connection.execute(SQL["hint"], values)


async def take(connection: Connection, mount: MountId, limit: int) -> list[Hint]:
    """The oldest hints, in the transaction that begins the look: they are gone when that is durable, and not before."""
    cursor = await connection.execute(SQL["take"], {"mount": mount, "limit": limit})
    return [
        Hint(bytes(row["path"]), row["subtree"], row["reason"], row["noticed_at"]) for row in await cursor.fetchall()
    ]


async def waiting(connection: Connection) -> dict[MountId, Waiting]:
    """Of each mount that has hints."""
    cursor = await connection.execute(SQL["waiting"])
    return {MountId(row["mount_id"]): Waiting(row["hints"], row["since"]) for row in await cursor.fetchall()}
