"""Jobs: reconciliations that were asked for by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from schema.events import EventType
from schema.ids import MountId
from schema.paths import NodePath
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("reconciliations")
Seen = Callable[[MountId, NodePath], bool]
"""Whether a job that looks there exists for a client"""


@dataclass(frozen=True, slots=True)
class NewJob:
    tenant: str
    principal: str
    mount: MountId
    path: NodePath
    reason: str
    node: int | None = None
    detect_children: bool = False
    requested_hash: bool = False


@dataclass(frozen=True, slots=True)
class StartedJob:
    mount: MountId
    path: bytes
    reason: str
    principal: str
    detect_children: bool
    requested_hash: bool


@dataclass(frozen=True, slots=True)
class JobDocument:
    """The JSON text that clients read, and where the job looks."""

    id: int
    mount: MountId
    path: NodePath
    text: str


@dataclass(frozen=True, slots=True)
class JobFilter:
    mount: MountId | None = None
    prefix: NodePath | None = None
    statuses: Sequence[str] | None = None

    def values(self) -> dict[str, Any]:
        return {
            "mount": self.mount,
            "prefix": self.prefix.raw if self.prefix is not None and self.prefix.raw else None,
            "statuses": None if self.statuses is None else list(self.statuses),
            "mounts": None,
            "paths": None,
        }


async def ask(connection: Connection, new: NewJob) -> int:
    values = {
        "tenant": new.tenant, "principal": new.principal, "mount": new.mount, "node": new.node, "path": new.path.raw,
        "reason": new.reason, "detect_children": new.detect_children, "requested_hash": new.requested_hash,
        "shown": new.path.text,
    }  # fmt: skip
    row = await (await connection.execute(SQL["ask"], values)).fetchone()
    assert row is not None
    await _tell(connection, row["id"], new.tenant, EventType.JOB_QUEUED)
    return int(row["id"])


async def start(connection: Connection, job: int, tenant: str) -> StartedJob | None:
    """None: it has ended."""
    row = await (await connection.execute(SQL["start"], {"job": job})).fetchone()
    if row is None:
        return None
    await _tell(connection, job, tenant, EventType.JOB_STARTED)
    return StartedJob(
        MountId(row["mount_id"]), bytes(row["path"]), row["reason"], row["principal"], row["detect_children"],
        row["requested_hash"],
    )  # fmt: skip


async def finish(
    connection: Connection,
    job: int,
    tenant: str,
    status: str,
    *,
    result: Mapping[str, Any] | None = None,
    error: Mapping[str, Any] | None = None,
    node: int | None = None,
) -> bool:
    """False: it had ended before."""
    values = {
        "job": job, "status": status, "node": node,
        "result": None if result is None else orjson.dumps(result).decode(),
        "error": None if error is None else orjson.dumps(error).decode(),
    }  # fmt: skip
    cursor = await connection.execute(SQL["finish"], values)
    if not cursor.rowcount:
        return False
    ends = {"failed": EventType.JOB_FAILED, "cancelled": EventType.JOB_CANCELLED}
    await _tell(connection, job, tenant, ends.get(status, EventType.JOB_COMPLETED))
    return True


async def _tell(connection: Connection, job: int, tenant: str, type: EventType) -> None:
    shown = await document(connection, job, tenant)
    assert shown is not None, "it was written in this transaction"
    await connection.execute(SQL["tell"], {"job": job, "type": type, "document": shown.text})


async def document(connection: Connection, job: int, tenant: str) -> JobDocument | None:
    values = {"tenant": tenant, "job": job, "limit": 1, "offset": 0, **JobFilter().values()}
    row = await (await connection.execute(SQL["documents"], values)).fetchone()
    return (
        None if row is None else JobDocument(row["id"], row["mount_id"], NodePath(bytes(row["path"])), row["document"])
    )


async def listed(
    connection: Connection, tenant: str, asked: JobFilter, *, limit: int, offset: int, seen: Seen | None = None
) -> tuple[list[JobDocument], int]:
    """A page, and how many there are in all, of those places that are `seen`. None: all are."""
    values = {"tenant": tenant, "job": None, "limit": limit, "offset": offset, **asked.values()}
    if seen is not None:
        rows = await (await connection.execute(SQL["places"], values)).fetchall()
        among = [row for row in rows if seen(MountId(row["mount_id"]), NodePath(bytes(row["path"])))]
        values |= {"mounts": [row["mount_id"] for row in among], "paths": [row["path"] for row in among]}
    rows = await (await connection.execute(SQL["documents"], values)).fetchall()
    counted = await (await connection.execute(SQL["count"], values)).fetchone()
    assert counted is not None
    jobs = [JobDocument(row["id"], row["mount_id"], NodePath(bytes(row["path"])), row["document"]) for row in rows]
    return jobs, int(counted["total"])


async def due(connection: Connection, mount: MountId, silent_seconds: float) -> list[tuple[int, str]]:
    """Each with its tenant."""
    cursor = await connection.execute(SQL["due"], {"mount": mount, "silent": silent_seconds})
    return [(row["id"], row["tenant"]) for row in await cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class NodeAt:
    id: int
    state: str
    version: int


async def node_at(connection: Connection, mount: MountId, path: NodePath) -> NodeAt | None:
    values = {"mount": mount, "directory": path.parent.as_directory, "name": path.name}
    row = await (await connection.execute(SQL["node_at"], values)).fetchone()
    return None if row is None else NodeAt(row["id"], row["state"], row["version"])
