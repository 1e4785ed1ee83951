"""CarryOutApproval: an act that enough people have said yes to is done, whatever process dies.

A refusal is an end, too: one that can pass leaves the approval as it is, and the workflow is started again from the row.
"""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.access.carry_out import CarriedOut, CarryOut
    from workflows.policies import BACKGROUND


@workflow.defn(name="CarryOutApproval", failure_exception_types=[Exception])
class CarryOutApproval:
    @workflow.run
    async def run(self, approval: int) -> CarriedOut:
        done: CarriedOut = await workflow.execute_activity_method(
            CarryOut.carry_out, approval, summary="through the route that it was asked for at", **BACKGROUND
        )
        workflow.set_current_details(f"**{done.state}** {done.message or ''}")
        return done
