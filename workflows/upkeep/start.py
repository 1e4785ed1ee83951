"""Start a recompute of rollups, with the names that a person looks for in the Temporal UI."""

from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy

from schema.ids import MountId
from workflows.commands.attributes import FS_MOUNT
from workflows.queues import bulk_queue
from workflows.upkeep.recompute_rollups import RecomputeRollups, workflow_of


async def run_recompute(client: Client, mount: MountId, recompute: int) -> None:
    """Doing it once more is harmless."""
    await client.start_workflow(
        RecomputeRollups.run,
        recompute,
        id=workflow_of(recompute),
        task_queue=bulk_queue(mount),
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        static_summary="recompute the rollups of a directory and all below it",
        search_attributes=TypedSearchAttributes([SearchAttributePair(FS_MOUNT, str(mount))]),
    )
