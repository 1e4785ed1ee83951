"""PlanOperation: make the plan of an operation; one that is to run at once goes on with its runner."""

from contextlib import suppress

from temporalio import workflow
from temporalio.exceptions import WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from activities.operations.plan import PlanItems
    from workflows.operations.run import RunOperation
    from workflows.policies import LONG


@workflow.defn(name="PlanOperation", failure_exception_types=[Exception])
class PlanOperation:
    @workflow.run
    async def run(self, id: str) -> str:
        state: str = await workflow.execute_activity_method(
            PlanItems.plan, id, summary="items, page by page, from what the record knows", **LONG
        )
        if state == "running":
            with suppress(WorkflowAlreadyStartedError):
                await workflow.start_child_workflow(
                    RunOperation.run,
                    id,
                    id=f"operation/{id}/1",
                    parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                    static_summary="the items of the plan, as commands",
                )
        return state
