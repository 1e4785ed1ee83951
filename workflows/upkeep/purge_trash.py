"""PurgeTrash: on a schedule, start the operation that purges what the trash of a mount keeps no longer."""

from contextlib import suppress

from temporalio import workflow
from temporalio.exceptions import WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from activities.operations.retain import RetainTrash
    from schema.ids import MountId
    from workflows.operations.plan import PlanOperation
    from workflows.policies import BACKGROUND


@workflow.defn(name="PurgeTrash", failure_exception_types=[Exception])
class PurgeTrash:
    @workflow.run
    async def run(self, mount: MountId) -> str | None:
        """The operation; None: there was nothing to purge."""
        operation: str | None = await workflow.execute_activity_method(
            RetainTrash.retain, mount, summary="what is kept for longer than it should be", **BACKGROUND
        )
        if operation is not None:
            with suppress(WorkflowAlreadyStartedError):
                await workflow.start_child_workflow(
                    PlanOperation.run,
                    operation,
                    id=f"operation/{operation}/plan",
                    parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                    static_summary="plan a purge of the trash",
                )
        return operation
