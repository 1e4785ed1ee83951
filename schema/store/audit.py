"""Seal the journal, and read the chain of seals."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from schema.audit.chain import ChainHead, Seal, SealedEntries, following
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL = load("audit")
NEXT = SQL["sums"] + "\n  FROM (" + SQL["line"] + "\n" + SQL["behind"] + ") e"
OF_RANGES = SQL["of_ranges"] + SQL["sums"] + "\n  FROM (" + SQL["line"] + "\n" + SQL["in_range"]


@dataclass(frozen=True, slots=True)
class Unsealed:
    """Entries behind the last seal, counted up to 100,000, and when the first of them was written."""

    entries: int
    since: datetime | None


async def seal(connection: Connection, limit: int) -> Seal | None:
    """Seal the next entries, up to so many. None: there are none, or another process is at it."""
    async with connection.transaction():
        row = await (await connection.execute(SQL["lock_head"])).fetchone()
        if row is None or row["settled"] <= row["last"]:
            return None
        values = {"after": row["last"], "settled": row["settled"], "limit": limit}
        found = await (await connection.execute(NEXT, values)).fetchone()
        if found is None or not found["entries"]:
            return None
        made = following(_head(row), _entries(found), datetime.now(UTC))
        told = {name: getattr(made, name) for name in Seal.__dataclass_fields__}
        await connection.execute(SQL["add"], told)
        await connection.execute(SQL["remember"], told)
        return made


async def head(connection: Connection) -> tuple[ChainHead, Unsealed]:
    row = await (await connection.execute(SQL["head"])).fetchone()
    assert row is not None
    return _head(row), Unsealed(row["unsealed"], row["unsealed_since"])


async def seals(connection: Connection, after: int, limit: int) -> list[Seal]:
    rows = await (await connection.execute(SQL["seals"], {"after": after, "limit": limit})).fetchall()
    return [_seal(row) for row in rows]


async def entries_of(connection: Connection, some: Sequence[Seal]) -> dict[int, SealedEntries]:
    """By number, what is made of the entries that these seals cover, as they are now."""
    values: dict[str, Any] = {
        "numbers": [one.number for one in some], "after": [one.after for one in some], "last": [one.last for one in some],
    }  # fmt: skip
    rows = await (await connection.execute(OF_RANGES, values)).fetchall()
    return {row["number"]: _entries(row) for row in rows}


async def hashes(connection: Connection, numbers: Collection[int]) -> dict[int, bytes]:
    rows = await (await connection.execute(SQL["hashes"], {"numbers": sorted(numbers)})).fetchall()
    return {row["number"]: bytes(row["hash"]) for row in rows}


async def to_copy(connection: Connection, after: int, limit: int) -> list[DictRow]:
    return await (await connection.execute(SQL["hashes_behind"], {"after": after, "limit": limit})).fetchall()


async def newest(connection: Connection) -> DictRow | None:
    return await (await connection.execute(SQL["newest"])).fetchone()


def _head(row: DictRow) -> ChainHead:
    return ChainHead(row["number"], bytes(row["hash"]), row["last"], row["moved"])


def _entries(row: DictRow) -> SealedEntries:
    return SealedEntries(row["entries"], row["last"], bytes(row["root"]), bytes(row["leaves"]))


def _seal(row: DictRow) -> Seal:
    raw = {name: bytes(row[name]) for name in ("root", "leaves", "previous", "hash")}
    return Seal(row["number"], row["after"], row["last"], row["entries"], raw["root"], raw["leaves"], raw["previous"],
                row["sealed_at"], row["format"], raw["hash"])  # fmt: skip
