"""ProveRollups: on a schedule, compare a mount's totals with what its directories hold; where they differ, recompute them."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.upkeep.recompute import ProofPart, ProofStep, Recomputes
    from schema.ids import MountId
    from workflows.policies import BACKGROUND
    from workflows.upkeep.recompute_rollups import start_recompute


@workflow.defn(name="ProveRollups", failure_exception_types=[Exception])
class ProveRollups:
    @workflow.run
    async def run(self, mount: MountId, most: int | None) -> ProofStep:
        """`most`: so many directories; None: up to the end of the mount."""
        step: ProofStep = await workflow.execute_activity_method(
            Recomputes.prove, ProofPart(mount, most), summary="do the totals add up?", **BACKGROUND
        )
        if step.recompute is not None:
            await start_recompute(step.recompute)
        if step.more:
            workflow.continue_as_new(args=[mount, None if most is None else most - step.looked])
        return step
