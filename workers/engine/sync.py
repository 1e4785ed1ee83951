"""What projects need, where it has to be started from the rows: cold copies, pointers in the hot store, evictions by age,
jobs whose workflow was not heard of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio.client import Client

from activities.sync.tiers import TierOrder
from schema.store import objects, projects
from schema.sync.tiers import Tier
from workflows.sync.start import tell_hot, work
from workflows.sync.tiers import ProjectJob

if TYPE_CHECKING:
    from schema.ids import MountId
    from schema.store.pool import Pool
    from schema.store.projects import Project


async def start_due(client: Client, pool: Pool, mounts: list[MountId], grace: float) -> None:
    """Doing it once more is harmless."""
    async with pool.connection() as connection:
        found = await projects.serving(connection, mounts)
    for project in found:
        await _start(client, pool, project, grace)


async def _start(client: Client, pool: Pool, project: Project, grace: float) -> None:
    async with pool.connection() as connection:
        warm = await objects.in_tier(connection, project.id, Tier.HOT, 1)
        old = project.evict_after is not None and await objects.in_tier(
            connection, project.id, Tier.HOT_COLD, 1, idle=project.evict_after, unpinned=True
        )
        running = await projects.running_jobs(connection, project.id)
    for job in running:
        order = TierOrder(project.mount, project.id, str(job["id"]), job["options"].get("idle", 0.0))
        await work(client, ProjectJob(job["kind"], order, grace))
    kinds = {job["kind"] for job in running}
    if warm and "archive" not in kinds:
        await work(client, ProjectJob("archive", TierOrder(project.mount, project.id)))
    if old and "evict" not in kinds:
        await work(client, ProjectJob("evict", TierOrder(project.mount, project.id, idle=project.evict_after or 0.0)))
    if project.published < project.revision:
        await tell_hot(client, project.mount, project.id)
