"""The log of a project, read: what was changed since a revision, its history, the inbox of conflicts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from schema.sql import load
from schema.sync.changes import ChangeKind, PathChange
from schema.sync.merge import conflict_name

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL = load("revisions")


async def changes(
    connection: Connection, project: int, revision: int, limit: int, ordinal: int = 2**31 - 1
) -> list[DictRow]:
    """After this revision, or after a change in it."""
    values = {"project": project, "revision": revision, "ordinal": ordinal, "limit": limit}
    return await (await connection.execute(SQL["changes"], values)).fetchall()


async def commits(connection: Connection, project: int, limit: int, before: int | None = None) -> list[DictRow]:
    values = {"project": project, "before": before, "limit": limit}
    return await (await connection.execute(SQL["commits"], values)).fetchall()


async def commit_at(
    connection: Connection, project: int, revision: int = 2**62, at: datetime | None = None
) -> DictRow | None:
    """The last one up to there."""
    values = {"project": project, "revision": revision, "at": at}
    return await (await connection.execute(SQL["commit_at"], values)).fetchone()


async def settle_durability(connection: Connection, project: int) -> list[int]:
    """The commits whose content is all cold by now, and was not."""
    rows = await connection.execute(SQL["settle_durability"], {"project": project})
    return [row["revision"] for row in await rows.fetchall()]


async def conflicts(connection: Connection, project: int, state: str, after: int, limit: int) -> list[DictRow]:
    values = {"project": project, "state": state, "after": after, "limit": limit}
    return await (await connection.execute(SQL["conflicts"], values)).fetchall()


async def open_conflicts(connection: Connection, project: int, ids: Sequence[int]) -> list[DictRow]:
    return await (await connection.execute(SQL["open_conflicts"], {"project": project, "ids": list(ids)})).fetchall()


async def overdue_conflicts(connection: Connection, project: int, limit: int) -> list[DictRow]:
    """Those that nobody decided in the time that the project gives."""
    return await (await connection.execute(SQL["overdue_conflicts"], {"project": project, "limit": limit})).fetchall()


async def count_conflicts(connection: Connection, project: int) -> int:
    """Those that are open."""
    row = await (await connection.execute(SQL["count_conflicts"], {"project": project})).fetchone()
    return 0 if row is None else int(row["open"])


def decided_change(row: DictRow, decision: str) -> PathChange | None:
    """What a decision on a conflict commits. None: all is as it should be."""
    if decision == "winner" or (decision == "both" and row["kept_as"] is not None):
        return None
    path = row["path"] if decision == "loser" else conflict_name(row["path"], row["loser"], row["loser_node"])
    return PathChange(ChangeKind.PUT, path, None, row["loser"], row["loser_size"], row["loser_mode"], checked=False)


async def decide(connection: Connection, project: int, ids: Sequence[int], decision: str, principal: str) -> int:
    values = {"project": project, "ids": list(ids), "decision": decision, "principal": principal}
    return (await connection.execute(SQL["decide"], values)).rowcount


async def prune_batches(connection: Connection, seconds: float) -> int:
    """What ended so long ago."""
    return (await connection.execute(SQL["prune_batches"], {"seconds": seconds})).rowcount
