"""Projects, the nodes that follow them, and their jobs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from schema.ids import MountId
from schema.sql import load
from schema.sync.manifests import empty_root
from schema.sync.merge import ConflictRule

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL = load("projects")


@dataclass(frozen=True, slots=True)
class Project:
    """`uuid`: its name in the hot and the cold store. `manifest`: the page of its tree at `revision`."""

    id: int
    uuid: str
    tenant: str
    name: str
    mount: MountId
    description: str | None
    state: str
    rule: ConflictRule
    promotion: str
    keep_days: float
    evict_after: float | None
    hot_max: int | None
    decide_after: float | None
    decide_as: str
    revision: int
    manifest: str
    files: int
    size: int
    published: int
    principal: str
    created_at: datetime
    updated_at: datetime

    @property
    def strict(self) -> bool:
        """A commit waits until its content is cold."""
        return self.promotion == "strict"

    @property
    def takes_commits(self) -> bool:
        return self.state in ("active", "flushing", "reactivating")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewProject:
    tenant: str
    name: str
    mount: MountId
    principal: str
    description: str | None = None
    rule: ConflictRule = ConflictRule.LAST
    promotion: str = "fast"
    keep_days: float = 30.0
    evict_after: float | None = None
    hot_max: int | None = None
    decide_after: float | None = None
    decide_as: str = "winner"


async def on_mount(connection: Connection, mount: MountId) -> list[str]:
    """Names of up to ten projects whose contents are cold there."""
    rows = await (await connection.execute(SQL["on_mount"], {"mount": mount})).fetchall()
    return [row["name"] for row in rows]


async def tenants(connection: Connection) -> list[str]:
    """Those that ever had a project."""
    return [row["tenant"] for row in await (await connection.execute(SQL["tenants"])).fetchall()]


async def create(connection: Connection, new: NewProject) -> Project | None:
    """In the caller's transaction. None: the name is taken."""
    root, page = empty_root()
    values = {
        "tenant": new.tenant, "name": new.name, "mount": new.mount, "principal": new.principal, "description": new.description,
        "rule": new.rule.value, "promotion": new.promotion, "keep_days": new.keep_days, "evict_after": new.evict_after,
        "hot_max": new.hot_max, "decide_after": new.decide_after, "decide_as": new.decide_as, "manifest": bytes.fromhex(root),
    }  # fmt: skip
    row = await (await connection.execute(SQL["create"], values)).fetchone()
    if row is None:
        return None
    pages = load("revisions")["put_pages"]
    values = {"project": row["id"], "revision": 0, "shas": [bytes.fromhex(root)], "bodies": [page]}
    await connection.execute(pages, values)
    return project_of(row)


async def find(connection: Connection, tenant: str, name: str) -> Project | None:
    row = await (await connection.execute(SQL["find"], {"tenant": tenant, "name": name})).fetchone()
    return None if row is None else project_of(row)


async def of_id(connection: Connection, project: int) -> Project | None:
    row = await (await connection.execute(SQL["of_id"], {"project": project})).fetchone()
    return None if row is None else project_of(row)


async def content_at(connection: Connection, project: int, path: bytes) -> str | None:
    """The content of the file that is there now. None: there is none."""
    row = await (await connection.execute(SQL["content_at"], {"project": project, "path": path})).fetchone()
    return None if row is None else row["sha"].hex()


async def listed(connection: Connection, tenant: str, after: str, limit: int) -> list[Project]:
    rows = await connection.execute(SQL["listed"], {"tenant": tenant, "after": after, "limit": limit})
    return [project_of(row) for row in await rows.fetchall()]


async def change(
    connection: Connection, project: int, *, description: str | None = None, rule: ConflictRule | None = None,
    promotion: str | None = None, keep_days: float | None = None, evict_after: float | None = None, hot_max: int | None = None,
    decide_after: float | None = None, decide_as: str | None = None,
) -> None:  # fmt: skip
    values = {
        "project": project, "description": description, "rule": rule and rule.value, "promotion": promotion,
        "keep_days": keep_days, "evict_after": evict_after, "hot_max": hot_max, "decide_after": decide_after,
        "decide_as": decide_as,
    }  # fmt: skip
    await connection.execute(SQL["change"], values)


async def set_state(connection: Connection, project: int, froms: Sequence[str], state: str) -> bool:
    """False: it is in none of the states that lead there."""
    values = {"project": project, "froms": list(froms), "state": state}
    return (await connection.execute(SQL["set_state"], values)).rowcount == 1


async def published(connection: Connection, project: int, revision: int) -> None:
    await connection.execute(SQL["published"], {"project": project, "revision": revision})


async def republish(connection: Connection, project: int) -> None:
    await connection.execute(SQL["republish"], {"project": project})


# Nodes


async def attach(connection: Connection, project: int, name: str, host: str, folder: str) -> DictRow:
    values = {"project": project, "name": name, "host": host, "folder": folder}
    row = await (await connection.execute(SQL["attach"], values)).fetchone()
    assert row is not None
    return row


async def detach(connection: Connection, project: int, name: str) -> bool:
    return (await connection.execute(SQL["detach"], {"project": project, "name": name})).rowcount == 1


async def beat(
    connection: Connection, project: int, name: str, revision: int, waiting: int, problem: str | None
) -> tuple[int, int] | None:
    """How far it was, and is. None: the node is not attached."""
    values = {"project": project, "name": name, "revision": revision, "waiting": waiting, "problem": problem}
    row = await (await connection.execute(SQL["beat"], values)).fetchone()
    return None if row is None else (row["before"], row["revision"])


async def nodes(connection: Connection, project: int) -> list[DictRow]:
    return await (await connection.execute(SQL["nodes"], {"project": project})).fetchall()


# Jobs


async def begin_job(
    connection: Connection, id: str, project: int, kind: str, options: Mapping[str, Any], principal: str,
    totals: tuple[int, int] = (0, 0),
) -> tuple[DictRow, bool]:  # fmt: skip
    """The job, and whether it is new: of each kind one runs at a time. `totals`: the contents and bytes before it."""
    values = {
        "id": id, "project": project, "kind": kind, "options": json.dumps(options), "principal": principal,
        "items_total": totals[0], "bytes_total": totals[1],
    }  # fmt: skip
    while True:
        row = await (await connection.execute(SQL["begin_job"], values)).fetchone()
        if row is not None:
            return row, True
        row = await (await connection.execute(SQL["running_job"], values)).fetchone()
        if row is not None:
            return row, False


async def advance_job(connection: Connection, id: str, phase: str, items: int = 0, size: int = 0) -> bool:
    """Whether it should stop."""
    values = {"id": id, "phase": phase, "items": items, "bytes": size}
    row = await (await connection.execute(SQL["advance_job"], values)).fetchone()
    return row is not None and bool(row["stops"])


async def is_behind(connection: Connection, mount: MountId, rank: int) -> bool:
    """Whether a job that goes before those of this rank runs on the mount."""
    row = await (await connection.execute(SQL["is_behind"], {"mount": mount, "rank": rank})).fetchone()
    return row is not None and bool(row["behind"])


async def ask_cancel(connection: Connection, project: int, id: str) -> DictRow | None:
    """None: there is no such job, or it has ended."""
    return await (await connection.execute(SQL["ask_cancel"], {"project": project, "id": id})).fetchone()


async def end_job(connection: Connection, id: str, problem: str | None = None, *, cancelled: bool = False) -> bool:
    """Whether it ended now: once."""
    state = "cancelled" if cancelled else "succeeded" if problem is None else "failed"
    return (await connection.execute(SQL["end_job"], {"id": id, "state": state, "problem": problem})).rowcount > 0


async def jobs(
    connection: Connection, project: int, limit: int, before: tuple[datetime, str] | None = None
) -> list[DictRow]:
    at, id = before or (None, None)
    values = {"project": project, "limit": limit, "before": at, "before_id": id}
    return await (await connection.execute(SQL["jobs"], values)).fetchall()


def project_of(row: DictRow) -> Project:
    return Project(
        row["id"], str(row["project_uuid"]), row["tenant"], row["name"], MountId(row["mount_id"]), row["description"],
        row["state"], ConflictRule(row["conflict_rule"]), row["promotion"], row["keep_days"], row["evict_after_seconds"],
        row["hot_max_bytes"], row["decide_after_seconds"], row["decide_as"], row["revision"],
        row["manifest"].hex(), row["files"], row["size_bytes"], row["published"], row["principal"],
        row["created_at"], row["updated_at"],
    )  # fmt: skip
