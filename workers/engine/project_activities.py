"""The activities of projects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from activities.sync.collect import Collects
from activities.sync.commit import SyncCommits
from activities.sync.conflicts import DecidesConflicts
from activities.sync.pages import TierPages
from activities.sync.rehydrate import Rehydrates
from activities.sync.repacks import Repacks
from activities.sync.steps import ProjectSteps
from activities.sync.sweeps import Sweeps
from activities.sync.tiers import Tiers

if TYPE_CHECKING:
    from activities.sync.contents import Contents


@dataclass(frozen=True)
class ProjectActivities:
    commits: SyncCommits
    tiers: Tiers
    rehydrates: Rehydrates
    collects: Collects
    steps: ProjectSteps
    sweeps: Sweeps
    decides: DecidesConflicts
    repacks: Repacks

    @property
    def brief(self) -> Sequence[Callable[..., Any]]:
        """Those of SyncCommit: they are local, wherever the workflow runs."""
        return [self.commits.commit, self.commits.publish]

    @property
    def bulk(self) -> Sequence[Callable[..., Any]]:
        """Those of ProjectWork."""
        pages: list[Callable[..., Any]] = [
            self.tiers.archive,
            self.tiers.evict,
            self.tiers.look,
            self.rehydrates.rehydrate,
        ]
        waste: list[Callable[..., Any]] = [
            self.collects.condemn,
            self.collects.collect,
            self.sweeps.pages,
            self.sweeps.copies,
            self.repacks.repack,
            self.sweeps.collected,
        ]
        steps: list[Callable[..., Any]] = [self.steps.flush, self.steps.drop_hot, self.steps.step, self.commits.publish]
        return [
            *pages,
            *waste,
            *steps,
            self.rehydrates.thaw,
            self.sweeps.purge,
            self.decides.overdue,
            self.decides.decided,
        ]


def project_activities(contents: Contents, announce: Callable[[], None], repack_share: float) -> ProjectActivities:
    """`announce`: called when there are new events in the feed. `repack_share`: packs of which less is needed are written anew."""
    pages = TierPages(contents, announce)
    return ProjectActivities(
        SyncCommits(contents, announce), Tiers(pages), Rehydrates(pages), Collects(pages), ProjectSteps(contents, announce),
        Sweeps(contents), DecidesConflicts(contents.pool), Repacks(pages, repack_share),
    )  # fmt: skip
