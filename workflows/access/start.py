"""Start what access needs, with the names that a person looks for in the Temporal UI."""

from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy

from schema.ids import MountId
from workflows.access.approvals import WaitForApproval
from workflows.access.object_locks import KeepObjectLocks
from workflows.commands.attributes import FS_MOUNT
from workflows.queues import CONTROL_QUEUE, bulk_queue


async def keep_object_locks(client: Client, mount: MountId) -> None:
    """Doing it once more is harmless: one of a mount at a time."""
    await client.start_workflow(
        KeepObjectLocks.run,
        mount,
        id=f"object-locks/{mount}",
        task_queue=bulk_queue(mount),
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        static_summary="lock what is held in a bucket",
        search_attributes=TypedSearchAttributes([SearchAttributePair(FS_MOUNT, str(mount))]),
    )


async def wait_for_approval(client: Client, approval: int) -> None:
    """Or wake what waits: somebody has answered. Doing it once more is harmless."""
    await client.start_workflow(
        WaitForApproval.run,
        approval,
        id=f"approval/{approval}",
        task_queue=CONTROL_QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        start_signal="answered",
        static_summary="an act that waits for other people",
    )
