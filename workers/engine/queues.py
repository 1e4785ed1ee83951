"""The Temporal worker of each task queue, and the activities that it runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.common import WorkerDeploymentVersion
from temporalio.worker import Interceptor, UnsandboxedWorkflowRunner, Worker, WorkerDeploymentConfig, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from activities.access.approvals import PassTime
from activities.access.carry_out import CarryOut
from activities.access.object_locks import ObjectLockKeeper
from activities.commands.apply import Apply
from activities.commands.begin import Begin
from activities.commands.commit import Commit
from activities.commands.finish import Finish
from activities.commands.stage import StageCopies
from activities.drift.heal import Heal
from activities.drift.jobs import Jobs
from activities.drift.observe import Observe
from activities.drift.scrub import Scrub
from activities.events.deliver import Deliver
from activities.events.publish import Publish
from activities.operations.chunk import NextChunk
from activities.operations.forget import ForgetNodes
from activities.operations.imports import ImportTree
from activities.operations.plan import PlanItems
from activities.operations.purge import PurgeItems
from activities.operations.retain import RetainTrash
from activities.operations.tag import TagRecords
from activities.operations.verify import VerifyFiles
from activities.upkeep.archive import Archive
from activities.upkeep.recompute import Recomputes
from activities.upkeep.retention import Retention
from activities.upkeep.sweep import Sweep
from schema.ids import MountId
from schema.settings import Settings
from workers.engine.project_activities import ProjectActivities
from workers.process.beats import EVERY_SECONDS, Beats
from workflows.access.approvals import WaitForApproval
from workflows.access.carry_out import CarryOutApproval
from workflows.access.object_locks import KeepObjectLocks
from workflows.commands.resume import ResumeCommands
from workflows.commands.run import RunCommands
from workflows.drift.audit import AuditMount
from workflows.drift.heal import HealFindings
from workflows.drift.look_at import LookAt
from workflows.drift.reconcile import ReconcilePlace
from workflows.drift.scrub import ScrubMount
from workflows.events.deliver import DeliverEvents
from workflows.events.publish import PublishEvents
from workflows.operations.plan import PlanOperation
from workflows.operations.run import RunOperation
from workflows.queues import ACTS_QUEUE, CONTROL_QUEUE, bulk_queue, mutation_queue
from workflows.sync.commit import SyncCommit
from workflows.sync.tiers import ProjectWork
from workflows.upkeep.archive_journal import ArchiveJournal
from workflows.upkeep.prove_rollups import ProveRollups
from workflows.upkeep.prune_record import PruneRecord
from workflows.upkeep.purge_trash import PurgeTrash
from workflows.upkeep.recompute_rollups import RecomputeRollups
from workflows.upkeep.sweep_mount import SweepMount

_VERSION = WorkerDeploymentVersion("filestore", "1")


@dataclass(frozen=True)
class Activities:
    begin: Begin
    stage: StageCopies
    apply: Apply
    commit: Commit
    finish: Finish
    publish: Publish
    deliveries: Deliver
    sweep: Sweep
    retention: Retention
    archive: Archive
    recomputes: Recomputes
    plan: PlanItems
    chunks: NextChunk
    verify: VerifyFiles
    purge: PurgeItems
    forgets: ForgetNodes
    tags: TagRecords
    retain: RetainTrash
    imports: ImportTree
    observe: Observe
    jobs: Jobs
    heal: Heal
    scrub: Scrub
    projects: ProjectActivities
    locks: ObjectLockKeeper
    passes: PassTime
    interceptors: Sequence[Interceptor] = (Beats(),)
    """Interceptors around each activity"""

    @property
    def brief(self) -> Sequence[Callable[..., Any]]:
        """The activities of RunCommands: they are local, wherever the workflow runs."""
        return [self.begin.begin, self.stage.stage, self.apply.apply, self.commit.commit, self.finish.finish]

    @property
    def bulk(self) -> Sequence[Callable[..., Any]]:
        """The activities of long work, and of lists that belong to an operation."""
        upkeep: list[Callable[..., Any]] = [self.sweep.sweep, self.recomputes.recompute, self.recomputes.prove]
        operations: list[Callable[..., Any]] = [self.plan.plan, self.chunks.next, self.imports.import_tree]
        alone: list[Callable[..., Any]] = [
            self.verify.verify,
            self.purge.purge,
            self.forgets.forget,
            self.tags.tag,
            self.retain.retain,
            self.locks.keep,
        ]
        return [*self.brief, self.begin.adopt, *upkeep, *operations, *alone, *self._drift, *self.projects.bulk]

    @property
    def _drift(self) -> Sequence[Callable[..., Any]]:
        steps: list[Callable[..., Any]] = [self.observe.begin, self.observe.read, self.observe.conclude]
        heals: list[Callable[..., Any]] = [self.heal.prepare, self.heal.end, self.scrub.scrub]
        return [*steps, self.observe.discard, self.observe.answer, self.jobs.start, self.jobs.end, *heals]


def mutation_worker(settings: Settings, client: Client, mount: MountId, activities: Activities) -> Worker:
    """RunCommands of one mount. In the API process it takes eager starts; elsewhere it finishes what a dead API began."""
    return Worker(
        client,
        task_queue=mutation_queue(mount),
        workflows=[RunCommands, SyncCommit],
        activities=[*activities.brief, *activities.projects.brief],
        no_remote_activities=True,
        max_concurrent_workflow_task_polls=2,
        **_common(settings, activities),
    )


def bulk_worker(settings: Settings, client: Client, mount: MountId, activities: Activities) -> Worker:
    return Worker(
        client,
        task_queue=bulk_queue(mount),
        workflows=[
            RunCommands,
            ResumeCommands,
            SweepMount,
            RecomputeRollups,
            ProveRollups,
            PurgeTrash,
            PlanOperation,
            RunOperation,
            LookAt,
            AuditMount,
            ReconcilePlace,
            ProjectWork,
            HealFindings,
            ScrubMount,
            KeepObjectLocks,
        ],
        activities=activities.bulk,
        max_concurrent_workflow_task_polls=2,
        max_concurrent_activity_task_polls=2,
        max_concurrent_activities=4,
        **_common(settings, activities),
    )


def control_worker(settings: Settings, client: Client, activities: Activities) -> Worker:
    return Worker(
        client,
        task_queue=CONTROL_QUEUE,
        workflows=[PublishEvents, PruneRecord, ArchiveJournal, DeliverEvents, WaitForApproval],
        activities=[
            activities.publish.publish,
            activities.publish.keep_publishing,
            activities.retention.prune,
            activities.archive.archive,
            activities.deliveries.deliver,
            activities.passes.look,
        ],
        max_concurrent_activities=500,  # each subscription has one that mostly waits
        max_concurrent_workflow_task_polls=2,
        max_concurrent_activity_task_polls=2,
        **_common(settings, activities),
    )


def acts_worker(settings: Settings, client: Client, activities: Activities, acts: CarryOut) -> Worker:
    return Worker(
        client,
        task_queue=ACTS_QUEUE,
        workflows=[CarryOutApproval],
        activities=[acts.carry_out],
        max_concurrent_activities=10,
        max_concurrent_workflow_task_polls=2,
        max_concurrent_activity_task_polls=1,
        **_common(settings, activities),
    )


def _common(settings: Settings, activities: Activities) -> dict[str, Any]:
    return {
        "workflow_runner": runner(settings),
        "max_cached_workflows": 500,
        # No threads for activities: all are asynchronous, and what blocks inside runs in the threads of its mount.
        "interceptors": activities.interceptors,
        "max_heartbeat_throttle_interval": timedelta(seconds=EVERY_SECONDS),
        "graceful_shutdown_timeout": timedelta(seconds=min(5.0, settings.drain_seconds)),
        # A build id of our own: otherwise every loaded module is hashed at each start.
        "deployment_config": WorkerDeploymentConfig(version=_VERSION, use_worker_versioning=False),
    }


def runner(settings: Settings) -> WorkflowRunner:
    """The sandbox proves determinism in the tests; in service it would double the processor time of a list."""
    return SandboxedWorkflowRunner() if settings.sandbox else UnsandboxedWorkflowRunner()
