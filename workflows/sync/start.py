"""Start what projects need, with the names that a person looks for in the Temporal UI."""

from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy

from activities.sync.commit import CommitEnd, CommitRef
from activities.sync.tiers import TierOrder
from schema.ids import MountId
from workflows.commands.attributes import FS_MOUNT
from workflows.queues import bulk_queue, mutation_queue
from workflows.sync.commit import SyncCommit
from workflows.sync.tiers import ProjectJob, ProjectWork


async def commit(client: Client, ref: CommitRef, node: str) -> CommitEnd:
    """Its end. The same batch at once from two callers is one workflow."""
    handle = await client.start_workflow(
        SyncCommit.run,
        ref,
        id=f"sync-commit/{ref.project}/{node}/{ref.batch}",
        task_queue=mutation_queue(ref.mount),
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        request_eager_start=True,
        static_summary=f"what {node} changed in project {ref.project}",
        search_attributes=of_mount(ref.mount),
    )
    end: CommitEnd = await handle.result()
    return end


async def work(client: Client, job: ProjectJob) -> None:
    """Doing it once more is harmless: one of its kind at a time."""
    await client.start_workflow(
        ProjectWork.run,
        job,
        id=f"project/{job.order.project}/{job.kind}",
        task_queue=bulk_queue(job.order.mount),
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        static_summary=f"{job.kind} project {job.order.project}",
        search_attributes=of_mount(job.order.mount),
    )


async def tell_hot(client: Client, mount: MountId, project: int) -> None:
    """The hot store did not hear of the head."""
    order = TierOrder(mount, project)
    await work(client, ProjectJob("publish", order))


def of_mount(mount: MountId) -> TypedSearchAttributes:
    return TypedSearchAttributes([SearchAttributePair(FS_MOUNT, str(mount))])
