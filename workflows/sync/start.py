"""Start what projects need, with the names that a person looks for in the Temporal UI."""

from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy

from activities.sync.commit import CommitEnd, CommitRef
from schema.ids import MountId
from workflows.commands.attributes import FS_MOUNT
from workflows.queues import mutation_queue
from workflows.sync.commit import SyncCommit


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


def of_mount(mount: MountId) -> TypedSearchAttributes:
    return TypedSearchAttributes([SearchAttributePair(FS_MOUNT, str(mount))])
