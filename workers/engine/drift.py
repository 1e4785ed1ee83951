"""What looks at mounts, where it has to be started from the rows: hints that wait, jobs by hand, audits by the policies."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING

from temporalio.client import Client, ScheduleActionStartWorkflow

from activities.drift.jobs import JobRef
from activities.drift.observe import LookOrder
from schema.store import drift_hints, heals
from schema.store import looks as look_store
from schema.store import reconciliations as job_store
from workers.engine.schedules import ensure
from workflows.drift.audit import AuditMount
from workflows.drift.start import heal, look_at, reconcile
from workflows.queues import bulk_queue

if TYPE_CHECKING:
    from schema.drift.policy import AuditTarget
    from schema.ids import MountId
    from schema.store.pool import Pool

_PREFIX = "drift-audit/"


async def start_due(client: Client, pool: Pool, mount: MountId, silent_seconds: float) -> None:
    """Hints without a look, findings without a heal, and jobs whose workflow was not heard of."""
    async with pool.connection() as connection:
        hinted = await drift_hints.waiting(connection)
        jobs = await job_store.due(connection, mount, silent_seconds)
        healable = await heals.due_mounts(connection, [mount])
    if mount in hinted:
        await look_at(client, mount)
    if healable:
        await heal(client, mount)
    for job, tenant in jobs:
        await reconcile(client, mount, JobRef(job, tenant))


async def ensure_audits(client: Client, pool: Pool, mounts: list[MountId]) -> None:
    """A schedule for each target of each policy, and none for those that are not in one any more."""
    async with pool.connection() as connection:
        targets = await look_store.audit_targets(connection, mounts)
    wanted = {_name(mount, target): (mount, target) for mount, target in targets}
    for name, (mount, target) in wanted.items():
        order = LookOrder(mount, "audit", whole=not target.path, paths=[target.path.encode().hex()], subtree=True)
        action = ScheduleActionStartWorkflow(AuditMount.run, order, id=name, task_queue=bulk_queue(mount))
        await ensure(client, name, action, timedelta(seconds=target.every_seconds))
    ours = tuple(f"{_PREFIX}{mount}/" for mount in mounts)
    async for found in await client.list_schedules():
        if found.id.startswith(ours) and found.id not in wanted:
            await client.get_schedule_handle(found.id).delete()


def _name(mount: MountId, target: AuditTarget) -> str:
    return f"{_PREFIX}{mount}/{hashlib.sha256(target.path.encode()).hexdigest()[:12]}"
