"""DeliverEvents: one for each subscription, for as long as it is active; it waits between attempts, for days if need be."""

from contextlib import suppress
from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.events.deliver import Deliver
    from workflows.policies import DELIVERY


@workflow.defn(name="DeliverEvents", failure_exception_types=[Exception])
class DeliverEvents:
    def __init__(self) -> None:
        self._nudged = False

    @workflow.run
    async def run(self, id: str) -> None:
        while not workflow.info().is_continue_as_new_suggested():
            self._nudged = False
            turn = await workflow.execute_activity_method(
                Deliver.deliver, id, summary="events, in their order", **DELIVERY
            )
            if turn.ended:
                return
            if turn.seconds:
                workflow.set_current_details(f"The next attempt is due in {turn.seconds:.0f} s.")
                with suppress(TimeoutError):
                    await workflow.wait_condition(lambda: self._nudged, timeout=timedelta(seconds=turn.seconds))
        workflow.continue_as_new(id)

    @workflow.signal
    def nudge(self) -> None:
        """Something was changed: look at once."""
        self._nudged = True
