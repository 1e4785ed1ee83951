"""What looks at mounts, where it has to be started from the rows: hints that wait, jobs by hand, audits by the policies."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from typing import TYPE_CHECKING

from temporalio.client import Client, ScheduleActionStartWorkflow

from activities.drift.jobs import JobRef
from activities.drift.observe import LookOrder
from schema.drift.scrub import pause
from schema.store import drift_hints, heals
from schema.store import looks as look_store
from schema.store import reconciliations as job_store
from schema.store import scrub as scrub_store
from workflows.drift.audit import AuditMount
from workflows.drift.scrub import ScrubMount
from workflows.drift.start import heal, look_at, reconcile
from workflows.queues import bulk_queue
from workflows.schedules import audit_at, audits_of, scrub_of

if TYPE_CHECKING:
    from schema.ids import MountId
    from schema.store.pool import Pool
    from workers.engine.schedules import Schedules


async def start_due(client: Client, pool: Pool, mount: MountId, silent_seconds: float) -> None:
    """Hints without a look, findings without a heal, and jobs whose workflow was not heard of."""
    async with pool.connection() as connection:
        hinted = mount in await drift_hints.waiting(connection) or await look_store.interrupted(connection, mount)
        jobs = await job_store.due(connection, mount, silent_seconds)
        healable = await heals.due_mounts(connection, [mount])
    if hinted:
        await look_at(client, mount)
    if healable:
        await heal(client, mount)
    for job, tenant in jobs:
        await reconcile(client, mount, JobRef(job, tenant))


async def ensure_schedules(schedules: Schedules, client: Client, pool: Pool, mounts: list[MountId]) -> None:
    """A schedule for each target and for the scrub of each policy, and none for what is in no policy any more."""
    async with pool.connection() as connection:
        targets = await look_store.audit_targets(connection, mounts)
        scrubs = await scrub_store.scrubbed(connection, mounts)
    wanted = {audit_at(mount, target): (mount, target) for mount, target in targets}
    for name, (mount, target) in wanted.items():
        order = LookOrder(mount, "audit", whole=not target.path, paths=[target.path.encode().hex()], subtree=True)
        audit = ScheduleActionStartWorkflow(AuditMount.run, order, id=name, task_queue=bulk_queue(mount))
        await schedules.ensure(client, name, audit, timedelta(seconds=target.every_seconds))
    for mount, policy in scrubs.items():
        name = scrub_of(mount)
        scrub = ScheduleActionStartWorkflow(ScrubMount.run, mount, id=name, task_queue=bulk_queue(mount))
        await schedules.ensure(client, name, scrub, pause(policy.scrub_seconds or 1))
    kept = {*wanted, *map(scrub_of, scrubs)}
    ours = of_mounts(mounts)
    await schedules.drop(client, lambda name: ours(name) and name not in kept)


def of_mounts(mounts: Collection[MountId]) -> Callable[[str], bool]:
    """Whether a schedule of this name audits or scrubs one of these mounts."""
    whole = {*map(audits_of, mounts), *map(scrub_of, mounts)}
    return lambda name: name in whole or f"{name.rpartition('/')[0]}/" in whole
