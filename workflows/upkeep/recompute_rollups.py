"""RecomputeRollups: make the totals of a directory and of all below it right, however long that takes."""

from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from activities.upkeep.recompute import Recomputes, RecomputeStep
    from workflows.policies import BACKGROUND

_WAIT = timedelta(seconds=2)


def workflow_of(recompute: int) -> str:
    return f"rollups/recompute/{recompute}"


@workflow.defn(name="RecomputeRollups", failure_exception_types=[Exception])
class RecomputeRollups:
    @workflow.run
    async def run(self, recompute: int) -> str:
        step: RecomputeStep = await workflow.execute_activity_method(
            Recomputes.recompute, recompute, summary="directories, page by page, what lies deeper first", **BACKGROUND
        )
        if step.waits:
            await workflow.sleep(_WAIT, summary="a command is at what is wrong")
        if step.state == "running":
            workflow.continue_as_new(recompute)
        if step.following is not None:
            await start_recompute(step.following)
        return step.state


async def start_recompute(recompute: int) -> None:
    """From a workflow, that does not wait for it."""
    with suppress(WorkflowAlreadyStartedError):
        await workflow.start_child_workflow(
            RecomputeRollups.run,
            recompute,
            id=workflow_of(recompute),
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            static_summary="recompute the rollups of a mount",
        )
