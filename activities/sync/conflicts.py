"""Conflicts that nobody decided in the time that their project gives: the project's rule decides."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from temporalio import activity

from activities.sync.commit import CommitRef
from activities.sync.pages import TierOrder
from schema.ids import MountId
from schema.store import project_log, projects, revisions
from schema.store.revisions import ChangeBatch
from schema.sync.happenings import INBOX

if TYPE_CHECKING:
    from schema.store.pool import Pool

PAGE = 200
BY_RULE = "rule"


@dataclass(frozen=True, slots=True)
class OverdueConflicts:
    """Some that are decided together. `batch`: what has to be committed for it, where something has."""

    mount: MountId
    project: int
    ids: list[int]
    decision: str
    batch: str = ""

    @property
    def ref(self) -> CommitRef:
        return CommitRef(self.mount, self.project, self.batch)


class DecidesConflicts:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @activity.defn(name="sync_overdue")
    async def overdue(self, order: TierOrder) -> OverdueConflicts:
        """The batch has the name of what it is about: once more it is the same."""
        async with self._pool.connection() as connection:
            project = await projects.of_id(connection, order.project)
            assert project is not None
            rows = await project_log.overdue_conflicts(connection, project.id, PAGE)
            found = OverdueConflicts(project.mount, project.id, [row["id"] for row in rows], project.decide_as)
            changes = [one for row in rows if (one := project_log.decided_change(row, project.decide_as)) is not None]
            if not changes:
                return found
            digest = hashlib.sha256(repr((found.ids, found.decision)).encode()).digest()
            batch = f"inbox-{digest.hex()[:32]}"
            await revisions.offer(connection, project.id, ChangeBatch(batch, INBOX, BY_RULE, digest, None, changes))
            return OverdueConflicts(project.mount, project.id, found.ids, found.decision, batch)

    @activity.defn(name="sync_decided")
    async def decided(self, found: OverdueConflicts) -> int:
        """What had to be committed is."""
        async with self._pool.connection() as connection:
            return await project_log.decide(connection, found.project, found.ids, found.decision, BY_RULE)
