"""Objects of projects: where their content is. Every change of a state is a move of `schema/sync/tiers.py`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from schema.sql import load
from schema.sync.tiers import MOVES, Tier, TierMove, begins_from

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL = load("objects")

LEASE_SECONDS = 3600.0
"""For so long after it was asked for or put a content is not condemned. A commit looks again in any case."""
FIRST = (datetime.fromtimestamp(0, UTC), b"")
NOTHING = b""


@dataclass(frozen=True, slots=True)
class ObjectRow:
    sha: str
    size: int
    tier: Tier
    generation: int
    cold_key: str | None
    last_access: datetime


async def known(connection: Connection, project: int, shas: Iterable[str]) -> dict[str, ObjectRow]:
    rows = await connection.execute(SQL["known"], {"project": project, "shas": _raw(shas)})
    return {row.sha: row for row in map(row_of, await rows.fetchall())}


async def lease(connection: Connection, project: int, shas: Iterable[str], seconds: float = LEASE_SECONDS) -> None:
    await connection.execute(SQL["lease"], {"project": project, "shas": _raw(shas), "seconds": seconds})


async def put(
    connection: Connection, project: int, sha: str, size: int, move: TierMove, cold_key: str | None = None
) -> ObjectRow | None:
    """A content was put. None: the row is in no state that this begins from: it has it already, or is being deleted."""
    values = _moves(move) | {
        "project": project, "sha": bytes.fromhex(sha), "size": size, "tier": MOVES[move][Tier.ABSENT].value,
        "cold_key": cold_key, "lease": LEASE_SECONDS,
    }  # fmt: skip
    row = await (await connection.execute(SQL["put"], values)).fetchone()
    return None if row is None else row_of(row)


async def put_hot(connection: Connection, project: int, sizes: Mapping[str, int]) -> set[str]:
    """Contents were put into the hot store; those whose rows say so now and did not before."""
    move = TierMove.PUT_HOT
    values = _moves(move) | {
        "project": project, "shas": _raw(sizes), "sizes": list(sizes.values()), "lease": LEASE_SECONDS,
        "tier": MOVES[move][Tier.ABSENT].value,
    }  # fmt: skip
    rows = await connection.execute(SQL["put_many"], values)
    return {row["sha"].hex() for row in await rows.fetchall()}


async def move(
    connection: Connection, project: int, step: TierMove, shas: Sequence[str], *, cold_keys: Sequence[str] | None = None,
    verified: bool = False, unpinned: bool = False,
) -> list[ObjectRow]:  # fmt: skip
    """Those that moved. `cold_keys`: where each is cold from now on. `verified`: that was looked at now. `unpinned`: not those that
    are pinned."""
    values = _moves(step) | {
        "project": project, "shas": _raw(shas), "cold_keys": list(cold_keys) if cold_keys else [None] * len(shas),
        "verified": verified, "unpinned": unpinned,
    }  # fmt: skip
    rows = await connection.execute(SQL["move"], values)
    return [row_of(row) for row in await rows.fetchall()]


async def lock(connection: Connection, project: int, shas: Iterable[str]) -> dict[str, tuple[Tier, Tier | None]]:
    """The states of their rows, and what condemned ones were. Nothing else moves them until the transaction ends."""
    rows = await connection.execute(SQL["lock"], {"project": project, "shas": _raw(shas)})
    return {
        row["sha"].hex(): (Tier(row["tier"]), None if row["was"] is None else Tier(row["was"]))
        for row in await rows.fetchall()
    }


async def rescue(connection: Connection, project: int, shas: Iterable[str]) -> None:
    await connection.execute(SQL["rescue"], {"project": project, "shas": _raw(shas)})


async def in_tier(
    connection: Connection, project: int, tier: Tier, limit: int, *, idle: float = 0.0, unpinned: bool = False,
    after: tuple[datetime, bytes] = FIRST,
) -> list[ObjectRow]:  # fmt: skip
    """`idle`: those that were not used for so many seconds."""
    values = {
        "project": project, "tier": tier.value, "limit": limit, "idle": idle, "unpinned": unpinned, "after": after[0],
        "after_sha": after[1],
    }  # fmt: skip
    return [row_of(row) for row in await (await connection.execute(SQL["in_tier"], values)).fetchall()]


async def below(
    connection: Connection, project: int, tier: Tier, paths: Sequence[bytes], limit: int
) -> list[ObjectRow]:
    """What is in a state, of these paths and of all below them."""
    values = {"project": project, "tier": tier.value, "paths": list(paths), "limit": limit}
    return [row_of(row) for row in await (await connection.execute(SQL["below"], values)).fetchall()]


async def after(connection: Connection, project: int, sha: bytes, limit: int) -> list[ObjectRow]:
    """All objects, by name."""
    rows = await connection.execute(SQL["after"], {"project": project, "after": sha, "limit": limit})
    return [row_of(row) for row in await rows.fetchall()]


async def touch(connection: Connection, project: int, shas: Iterable[str]) -> None:
    await connection.execute(SQL["touch"], {"project": project, "shas": _raw(shas)})


async def pin(connection: Connection, project: int, shas: Iterable[str] | None, until: datetime | None) -> int:
    """`shas` None: all that there are."""
    values = {"project": project, "shas": None if shas is None else _raw(shas), "until": until}
    return (await connection.execute(SQL["pin"], values)).rowcount


async def totals(connection: Connection, project: int) -> dict[str, tuple[int, int]]:
    """Objects and bytes, by state."""
    rows = await (await connection.execute(SQL["totals"], {"project": project})).fetchall()
    return {row["tier"]: (row["objects"], row["bytes"]) for row in rows}


# What nothing refers to


async def unreferenced(connection: Connection, project: int, after: bytes, limit: int) -> list[str]:
    values = {"project": project, "after": after, "limit": limit, "froms": _froms(TierMove.CONDEMN)}
    return [row["sha"].hex() for row in await (await connection.execute(SQL["unreferenced"], values)).fetchall()]


async def condemn(connection: Connection, project: int, shas: Sequence[str]) -> list[str]:
    """In a transaction of its own: the rows are locked first, and judged by a statement that begins after that."""
    values = {"project": project, "shas": _raw(shas), "froms": _froms(TierMove.CONDEMN)}
    async with connection.transaction():
        await lock(connection, project, shas)
        return [row["sha"].hex() for row in await (await connection.execute(SQL["condemn"], values)).fetchall()]


async def condemned(connection: Connection, project: int, grace: float, after: bytes, limit: int) -> list[str]:
    values = {"project": project, "grace": grace, "after": after, "limit": limit}
    return [row["sha"].hex() for row in await (await connection.execute(SQL["condemned"], values)).fetchall()]


async def begin_delete(connection: Connection, project: int, shas: Sequence[str], grace: float) -> list[str]:
    values = {"project": project, "shas": _raw(shas), "grace": grace}
    async with connection.transaction():
        await lock(connection, project, shas)
        return [row["sha"].hex() for row in await (await connection.execute(SQL["begin_delete"], values)).fetchall()]


async def forget(connection: Connection, project: int, shas: Sequence[str]) -> int:
    return (await connection.execute(SQL["forget"], {"project": project, "shas": _raw(shas)})).rowcount


def _moves(step: TierMove) -> dict[str, Any]:
    """A move as the queries take it: pairs of states, and only those that a row can have."""
    pairs = [(source, target) for source, target in MOVES[step].items() if source is not Tier.ABSENT]
    return {"froms": [source.value for source, _ in pairs], "tos": [target.value for _, target in pairs]}


def _froms(step: TierMove) -> list[str]:
    return [tier.value for tier in begins_from(step)]


def _raw(shas: Iterable[str]) -> list[bytes]:
    return [bytes.fromhex(sha) for sha in shas]


def row_of(row: DictRow) -> ObjectRow:
    return ObjectRow(
        row["sha"].hex(), row["size_bytes"], Tier(row["tier"]), row["generation"], row["cold_key"], row["last_access"]
    )
