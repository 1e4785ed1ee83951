"""Start what plans or runs an operation, with the names that a person looks for in the Temporal UI."""

from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy

from schema.ids import MountId
from workflows.commands.attributes import FS_MOUNT
from workflows.operations.plan import PlanOperation
from workflows.operations.run import RunOperation
from workflows.queues import bulk_queue


def workflow_of(id: str, turn: int, *, plans: bool) -> str:
    """The id of the workflow that is at an operation."""
    return f"operation/{id}/plan" if plans else f"operation/{id}/{turn}"


async def drive(client: Client, mount: MountId, id: str, turn: int, *, plans: bool) -> None:
    """Start the planner or the runner, or wake the one that is there. Doing it once more is harmless."""
    await client.start_workflow(
        (PlanOperation if plans else RunOperation).run,
        id,
        id=workflow_of(id, turn, plans=plans),
        task_queue=bulk_queue(mount),
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        start_signal=None if plans else "nudge",
        static_summary="plan an operation" if plans else "the items of an operation, as commands",
        search_attributes=TypedSearchAttributes([SearchAttributePair(FS_MOUNT, str(mount))]),
    )
