"""ScrubMount: a round of reading again all that a mount holds. It remembers nothing: the record says how far it is."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.drift.scrub import Scrub, ScrubTurn
    from schema.ids import MountId
    from workflows.policies import LONG

_TURNS_MAX = 200


@workflow.defn(name="ScrubMount", failure_exception_types=[Exception])
class ScrubMount:
    @workflow.run
    async def run(self, mount: MountId) -> ScrubTurn:
        for _ in range(_TURNS_MAX):
            turn: ScrubTurn = await workflow.execute_activity_method(
                Scrub.scrub, args=[mount, workflow.info().run_id], summary="read contents again, and compare", **LONG
            )
            workflow.set_current_details(f"{turn.files:,} files, {turn.size:,} bytes; **{turn.damaged} damaged**")
            if turn.over:
                return turn
        workflow.continue_as_new(mount)
