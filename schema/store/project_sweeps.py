"""What nobody needs any more of projects: pages of former manifests, and all of what was deleted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("project_sweeps")


async def kept_from(connection: Connection, project: int) -> tuple[int, str] | None:
    """The revision from which on trees are kept, and its manifest. None: all are kept."""
    row = await (await connection.execute(SQL["kept_from"], {"project": project})).fetchone()
    return None if row is None else (row["revision"], row["manifest_sha"])


async def old_pages(connection: Connection, project: int, revision: int, after: bytes, limit: int) -> list[str]:
    """Pages that no commit after this revision wrote."""
    values = {"project": project, "revision": revision, "after": after, "limit": limit}
    return [row["sha"].hex() for row in await (await connection.execute(SQL["old_pages"], values)).fetchall()]


async def collected(connection: Connection, project: int) -> None:
    await connection.execute(SQL["collected"], {"project": project})


async def drop_pages(connection: Connection, project: int, revision: int, shas: Sequence[str]) -> int:
    values = {"project": project, "revision": revision, "shas": [bytes.fromhex(sha) for sha in shas]}
    return (await connection.execute(SQL["drop_pages"], values)).rowcount


async def due_for_purge(connection: Connection, project: int) -> bool:
    return await (await connection.execute(SQL["due_for_purge"], {"project": project})).fetchone() is not None


async def purge(connection: Connection, project: int, limit: int) -> int:
    """A part of the rows of a deleted project. How many; 0 once there are none."""
    values = {"project": project, "limit": limit}
    for query in (
        SQL["purge_paths"],
        SQL["purge_changes"],
        SQL["purge_pages"],
        SQL["purge_conflicts"],
        SQL["purge_objects"],
        SQL["purge_packs"],
    ):
        if gone := (await connection.execute(query, values)).rowcount:
            return gone
    await connection.execute(SQL["purged"], {"project": project})
    return 0


async def said_elsewhere(connection: Connection, tenant: str, project: int, shas: Iterable[str]) -> set[str]:
    """Of these contents those that another project of the tenant has."""
    values = {"tenant": tenant, "project": project, "shas": [bytes.fromhex(sha) for sha in shas]}
    return {row["sha"] for row in await (await connection.execute(SQL["said_elsewhere"], values)).fetchall()}
