"""The steps of a project between its states: nodes commit what they have, the hot store is emptied, a job ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from temporalio import activity

from activities.sync.pages import ProjectStep, TierOrder
from schema.access.acts import ActKind
from schema.store import objects, project_acts, project_log, projects, revisions
from schema.sync.happenings import state_changed
from schema.sync.tiers import Tier

if TYPE_CHECKING:
    from activities.sync.contents import Contents

FLUSH_SECONDS = 30.0
"""For so long nodes that are alive may commit what they have"""
LOOK_SECONDS = 0.5


class ProjectSteps:
    def __init__(self, contents: Contents, announce: Callable[[], None]) -> None:
        self._contents, self._pool, self._announce = contents, contents.pool, announce

    @activity.defn(name="sync_flush")
    async def flush(self, order: TierOrder) -> bool:
        """Nodes commit what they have. False: some did not get there, or are silent; what they have stays in their folders."""
        begun = end = monotonic()
        while end - begun < FLUSH_SECONDS:
            async with self._pool.connection() as connection:
                nodes = [one for one in await projects.nodes(connection, order.project) if one["state"] == "attached"]
            alive = [node for node in nodes if node["alive"]]
            if all(node["waiting"] == 0 and node["silence"] < end - begun for node in alive):
                return len(alive) == len(nodes)
            await asyncio.sleep(LOOK_SECONDS)
            end = monotonic()
        return False

    @activity.defn(name="sync_drop_hot")
    async def drop_hot(self, order: TierOrder) -> bool:
        """All of the hot store that a project has, once no row needs it. Whether that is so."""
        async with self._pool.connection() as connection:
            project = await projects.of_id(connection, order.project)
            assert project is not None
            totals = await objects.totals(connection, project.id)
        if any(tier in totals for tier in (Tier.HOT, Tier.HOT_COLD, Tier.EVICTING)):
            return False
        await self._contents.hot(project).drop(project.uuid)
        return True

    @activity.defn(name="sync_step")
    async def step(self, step: ProjectStep) -> bool:
        """The state of a project, and the end of a job."""
        async with self._pool.connection() as connection, connection.transaction():
            project = await projects.of_id(connection, step.project)
            assert project is not None
            moved = True
            if step.state:
                moved = await projects.set_state(connection, step.project, step.froms, step.state)
                if moved:
                    await revisions.tell(connection, project, [state_changed(project, step.state, project.principal)])
            if step.job and await projects.end_job(
                connection, step.job, step.problem or None, cancelled=step.cancelled
            ):
                await project_acts.record(
                    connection, project, ActKind.END_PROJECT_JOB, project_acts.SERVICE, job=step.job,
                    problem=step.problem or None, cancelled=step.cancelled,
                )  # fmt: skip
            await project_log.settle_durability(connection, step.project)
        self._announce()
        return moved
