"""Start what access needs, with the names that a person looks for in the Temporal UI."""

from temporalio.client import Client, WorkflowHandle
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy

from activities.access.carry_out import CarriedOut
from schema.ids import MountId
from workflows.access.approvals import WaitForApproval
from workflows.access.carry_out import CarryOutApproval
from workflows.access.object_locks import KeepObjectLocks
from workflows.commands.attributes import FS_MOUNT
from workflows.queues import ACTS_QUEUE, CONTROL_QUEUE, bulk_queue


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


async def carry_out_approval(client: Client, approval: int) -> CarriedOut:
    """Have what was agreed to done, and how that ended. Two callers at once are one workflow."""
    done: CarriedOut = await (await _carrying(client, approval)).result()
    return done


async def start_carrying_out(client: Client, approval: int) -> None:
    """The same, and no one waits."""
    await _carrying(client, approval)


async def _carrying(client: Client, approval: int) -> WorkflowHandle[CarryOutApproval, CarriedOut]:
    return await client.start_workflow(
        CarryOutApproval.run,
        approval,
        id=f"approval/{approval}/act",
        task_queue=ACTS_QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        static_summary="an act that other people have said yes to",
    )
