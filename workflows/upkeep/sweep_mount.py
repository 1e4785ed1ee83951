"""SweepMount: on a schedule, clear what crashes left on one mount and fold its rollup deltas."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.upkeep.sweep import Sweep, Swept
    from schema.ids import MountId
    from workflows.policies import BACKGROUND


@workflow.defn(name="SweepMount", failure_exception_types=[Exception])
class SweepMount:
    @workflow.run
    async def run(self, mount: MountId) -> Swept:
        return await workflow.execute_activity_method(
            Sweep.sweep, mount, summary="leftovers, orphaned stages, rollup deltas", **BACKGROUND
        )
