"""What projects need, where it has to be started from the rows: cold copies, pointers in the hot store, evictions by age,
or for space, conflicts that nobody decided, jobs whose workflow was not heard of, the end of what was deleted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from temporalio.client import Client

from activities.sync.pages import TierOrder, order_of
from schema.store import project_due
from workflows.sync.start import tell_hot, work
from workflows.sync.tiers import ProjectJob

if TYPE_CHECKING:
    from schema.ids import MountId
    from schema.settings import Settings
    from schema.store.pool import Pool
    from schema.store.project_due import DueProject


async def start_due(client: Client, pool: Pool, mounts: list[MountId], settings: Settings) -> None:
    """Doing it once more is harmless."""
    async with pool.connection() as connection:
        found = await project_due.due(connection, mounts, settings.sync_collect_seconds)
        crowded = await project_due.crowded(connection, mounts)
    for project in found:
        for job in jobs_of(project, settings.sync_grace_seconds):
            await work(client, job)
        if project.untold:
            await tell_hot(client, project.mount, project.id)
    for full in crowded:
        await work(client, ProjectJob("evict", TierOrder(full.mount, full.id, room=full.hot_max)))


def jobs_of(project: DueProject, grace: float) -> list[ProjectJob]:
    """Those that were asked for, and those that the rows ask for."""
    jobs = [
        ProjectJob(job["kind"], order_of(project.mount, project.id, str(job["id"]), job["options"]), grace)
        for job in project.jobs
    ]
    kinds = {job.kind for job in jobs}
    order, gone = TierOrder(project.mount, project.id), project.state == "deleted"
    if project.over:
        return [ProjectJob("delete", order)]
    if project.warm and "archive" not in kinds:
        jobs.append(ProjectJob("archive", order))
    if project.idle and "evict" not in kinds:
        idle = 0.0 if gone else project.evict_after or 0.0
        jobs.append(ProjectJob("evict", replace(order, idle=idle, pinned=gone)))
    if project.uncollected and "gc" not in kinds:
        jobs.append(ProjectJob("gc", order, grace))
    if project.undecided:
        jobs.append(ProjectJob("decide", order))
    return jobs
