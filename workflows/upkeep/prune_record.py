"""PruneRecord: on a schedule, remove commands with their keys, and events, that were kept for as long as was promised."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.upkeep.retention import Pruned, Retention
    from workflows.policies import BACKGROUND


@workflow.defn(name="PruneRecord", failure_exception_types=[Exception])
class PruneRecord:
    @workflow.run
    async def run(self) -> Pruned:
        pruned: Pruned = await workflow.execute_activity_method(
            Retention.prune, summary="old commands with their keys, old events", **BACKGROUND
        )
        if pruned.more:
            workflow.continue_as_new()
        return pruned
