"""The numbers of projects, as operators watch them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("project_numbers")

PROJECTS = 500
"""Those of the first so many are shown"""
MOST = 10_000
"""Nothing is counted further than this."""


@dataclass(frozen=True, slots=True)
class NumbersOfProject:
    """`untold`: revisions that the hot store does not know. `lag`: of the node that is furthest behind. `waiting`: changes that
    nodes have not committed. `silent`: nodes not heard of for half a minute. `unarchived`: contents that are hot alone; `lost`:
    those in neither store. `dead_bytes`: of packs in the cold store that no content needs any more."""

    tenant: str
    name: str
    revision: int
    untold: int
    files: int
    bytes: int
    conflicts: int
    unarchived: int
    lost: int
    lag: int
    waiting: int
    silent: int
    dead_bytes: int


@dataclass(frozen=True, slots=True)
class ProjectActivity:
    """Commits and their changes in the last minute. `rehydrated`: contents, bytes, seconds of the last job about that."""

    commits: int
    changes: int
    rehydrated: tuple[int, int, float] | None


async def activity(connection: Connection, project: int) -> ProjectActivity:
    row = await (await connection.execute(SQL["activity"], {"project": project, "most": MOST})).fetchone()
    assert row is not None
    last = None if row["seconds"] is None else (row["objects"], row["bytes"], row["seconds"])
    return ProjectActivity(row["commits"], row["changes"], last)


async def numbers(connection: Connection) -> list[NumbersOfProject]:
    rows = await (await connection.execute(SQL["numbers"], {"most": MOST, "projects": PROJECTS})).fetchall()
    return [NumbersOfProject(**{field.name: row[field.name] for field in fields(NumbersOfProject)}) for row in rows]
