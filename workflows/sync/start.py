"""Start what projects need, with the names that a person looks for in the Temporal UI."""

from contextlib import suppress

from temporalio.client import Client
from temporalio.common import Priority, SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy
from temporalio.service import RPCError

from activities.sync.commit import CommitEnd, CommitRef
from activities.sync.pages import TierOrder
from schema.ids import MountId
from workflows.commands.attributes import FS_MOUNT
from workflows.queues import bulk_queue, mutation_queue
from workflows.sync.commit import SyncCommit, commit_id
from workflows.sync.tiers import ProjectJob, ProjectWork


async def commit(client: Client, ref: CommitRef, node: str) -> CommitEnd:
    """Its end. The same batch at once from two callers is one workflow."""
    handle = await client.start_workflow(
        SyncCommit.run,
        ref,
        id=commit_id(ref, node),
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
        priority=Priority(priority_key=job.order.rank),
        search_attributes=of_mount(job.order.mount),
    )


async def stop(client: Client, project: int, kind: str) -> None:
    """A job was cancelled. Its row says so: a workflow that does not hear of this stops behind its next page."""
    with suppress(RPCError):
        await client.get_workflow_handle(f"project/{project}/{kind}").signal(ProjectWork.stop)


async def tell_hot(client: Client, mount: MountId, project: int) -> None:
    """The hot store did not hear of the head."""
    order = TierOrder(mount, project)
    await work(client, ProjectJob("publish", order))


def of_mount(mount: MountId) -> TypedSearchAttributes:
    return TypedSearchAttributes([SearchAttributePair(FS_MOUNT, str(mount))])
