"""What is done to projects, in the journal: by whom, and what. It is sealed and anchored with the journal, and copied from there
into the audit stream of the hot store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schema.access.acts import ActKind, AdministrativeAct
from schema.principals import Principal
from schema.sql import load
from schema.store import acts

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow
    from schema.store.projects import Project

SQL = load("project_acts")
SERVICE = "filestore"
"""The principal of work that nobody asked for"""


async def record(
    connection: Connection, project: Project, kind: ActKind, principal: str, request: str | None = None, **payload: Any
) -> None:
    """In the transaction of what was done. `request`: its id."""
    by = Principal(principal, project.tenant, 0)
    told = {"project": project.name, "projectId": project.uuid, **payload}
    act = AdministrativeAct(
        kind=kind, tenant=project.tenant, by=by, mount=project.mount, payload=told, request_id=request
    )
    await acts.record(connection, act)


async def take(connection: Connection) -> int | None:
    """Up to which entry of the journal the audit stream goes, held until the transaction ends. None: another process holds it."""
    row = await (await connection.execute(SQL["take"])).fetchone()
    return None if row is None else row["audited"]


async def page(connection: Connection, after: int, limit: int) -> tuple[list[DictRow], int]:
    """The next entries about projects, and up to which entry of the journal these are all."""
    row = await (await connection.execute(SQL["settled"])).fetchone()
    assert row is not None
    values = {"after": after, "settled": row["settled"], "limit": limit}
    rows = await (await connection.execute(SQL["page"], values)).fetchall()
    return rows, rows[-1]["id"] if len(rows) == limit else max(after, row["settled"])


async def of_tenant(connection: Connection, tenant: str, after: int, last: int, limit: int) -> list[DictRow]:
    """The entries of one tenant, in their order."""
    values = {"tenant": tenant, "after": after, "last": last, "limit": limit}
    return await (await connection.execute(SQL["of_tenant"], values)).fetchall()


async def told(connection: Connection) -> int:
    """Up to which entry of the journal the audit streams go."""
    row = await (await connection.execute(SQL["told"])).fetchone()
    assert row is not None
    return int(row["audited"])


async def move(connection: Connection, entry: int) -> None:
    await connection.execute(SQL["move"], {"entry": entry})
