"""`start_job`, `end_job`: a reconciliation by hand, as its row tells it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from temporalio import activity

from schema.ids import MountId
from schema.paths import NodePath
from schema.store import reconciliations as store

if TYPE_CHECKING:
    from schema.store.pool import Pool


@dataclass(frozen=True, slots=True)
class JobRef:
    id: int
    tenant: str


@dataclass(frozen=True, slots=True)
class JobOrder:
    """What a job is to look at. `path`: hex"""

    mount: MountId
    path: str
    reason: str
    principal: str
    subtree: bool


@dataclass(frozen=True, slots=True)
class JobEnd:
    job: JobRef
    mount: MountId
    path: str
    status: str
    counts: dict[str, int] = field(default_factory=dict)
    looks: list[int] = field(default_factory=list)
    code: str = ""
    message: str = ""


class Jobs:
    def __init__(self, pool: Pool, announce: Callable[[], None]) -> None:
        self._pool, self._announce = pool, announce

    @activity.defn(name="start_job")
    async def start(self, job: JobRef) -> JobOrder | None:
        """None: it has ended already."""
        async with self._pool.connection() as connection, connection.transaction():
            started = await store.start(connection, job.id, job.tenant)
        self._announce()
        if started is None:
            return None
        return JobOrder(started.mount, started.path.hex(), started.reason, started.principal, started.detect_children)

    @activity.defn(name="end_job")
    async def end(self, end: JobEnd) -> str:
        path = NodePath(bytes.fromhex(end.path))
        async with self._pool.connection() as connection, connection.transaction():
            node = await store.node_at(connection, end.mount, path)
            result = {
                "outcome": "missing" if node is not None and node.state == "missing" else "reconciled",
                "nodeId": node.id if node is not None else None,
                "state": node.state if node is not None else None,
                "version": node.version if node is not None else None,
                "counts": end.counts,
                "looks": end.looks,
            }
            error = {"code": end.code, "message": end.message} if end.code else None
            await store.finish(
                connection,
                end.job.id,
                end.job.tenant,
                end.status,
                result=result if error is None else None,
                error=error,
                node=node.id if node is not None else None,
            )
        self._announce()
        return end.status
