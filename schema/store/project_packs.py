"""Packs of the cold store as rows: how much of each is needed, and which were written anew."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from schema.sql import load
from schema.store.objects import ObjectRow, row_of
from schema.sync.cold_packs import ENTRY_BYTES, KnownPack

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("project_packs")


async def add(connection: Connection, project: int, sizes: Mapping[str, int]) -> None:
    """Packs that are there, and their bytes."""
    await connection.execute(SQL["add"], {"project": project, "keys": list(sizes), "sizes": list(sizes.values())})


async def measure(connection: Connection, project: int, after: str, limit: int) -> list[KnownPack]:
    """The next ones, by key, of those that were not written anew."""
    values = {"project": project, "after": after, "limit": limit, "entry": ENTRY_BYTES}
    rows = await (await connection.execute(SQL["measure"], values)).fetchall()
    found = [KnownPack(row["key"], row["size_bytes"], row["live_bytes"]) for row in rows]
    return sorted(found, key=lambda pack: pack.key)


async def members(connection: Connection, project: int, keys: Sequence[str]) -> list[ObjectRow]:
    rows = await connection.execute(SQL["members"], {"project": project, "keys": list(keys)})
    return [row_of(row) for row in await rows.fetchall()]


async def switch(
    connection: Connection, project: int, packs: Sequence[str], rows: Sequence[ObjectRow], places: Mapping[str, str],
    made: Mapping[str, int],
) -> list[ObjectRow]:  # fmt: skip
    """Contents of these packs lie at other places from now on, in the pack that was made. Those whose rows say so now: of two that
    do this at once each has those that the other has not."""
    chosen = [row for row in rows if row.sha in places]
    values = {
        "project": project, "shas": [bytes.fromhex(row.sha) for row in chosen], "olds": [row.cold_key for row in chosen],
        "news": [places[row.sha] for row in chosen], "keys": list(packs),
    }  # fmt: skip
    async with connection.transaction():
        moved = [row_of(row) for row in await (await connection.execute(SQL["switch"], values)).fetchall()]
        await connection.execute(SQL["replaced"], values)
        if moved:
            await add(connection, project, made)
    return moved


async def needed(connection: Connection, project: int, keys: Collection[str], grace: float) -> set[str]:
    """Of these packs those that may not go yet. `grace`: for so many seconds one that was written anew may still be read."""
    values = {"project": project, "keys": list(keys), "grace": grace}
    return {row["pack"] for row in await (await connection.execute(SQL["needed"], values)).fetchall()}


async def gone(connection: Connection, project: int, keys: Iterable[str]) -> None:
    await connection.execute(SQL["gone"], {"project": project, "keys": list(keys)})
