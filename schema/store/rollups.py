"""Folding deltas: of rollups, and of what is counted for quotas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema.locks import Lock
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("rollups")


async def fold(connection: Connection, limit: int = 10_000) -> int:
    """Fold up to `limit` deltas of each kind, in the caller's transaction. 0: nothing to fold, or another process folds."""
    row = await (await connection.execute(SQL["lock_fold"], {"lock": Lock.FOLD})).fetchone()
    if not row or not row["mine"]:
        return 0
    folded = 0
    for query in (SQL["fold"], SQL["fold_charges"]):
        row = await (await connection.execute(query, {"limit": limit})).fetchone()
        folded += int(row["folded"]) if row else 0
    return folded


async def hold_fold(connection: Connection) -> None:
    """Until the transaction ends nothing is folded: for what writes to many rollups, as the fold does."""
    await connection.execute(SQL["hold_fold"], {"lock": Lock.FOLD})
