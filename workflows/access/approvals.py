"""WaitForApproval: from the moment that an act waits for other people until it is over. It reminds, and it expires.

The votes, and what came of them, are rows: the workflow keeps the time. It is woken when somebody has answered, and then ends where
nothing waits any more.
"""

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.access.approvals import ApprovalMoment, PassTime
    from workflows.policies import PERSISTENT

_ROUNDS_MAX = 200
_NOT_BEFORE = 0.5
"""A moment that has come is not asked for more often than that"""


@workflow.defn(name="WaitForApproval", failure_exception_types=[Exception])
class WaitForApproval:
    def __init__(self) -> None:
        self._answered = False

    @workflow.signal
    def answered(self) -> None:
        """Somebody has said yes or no, or what was agreed to is done."""
        self._answered = True

    @workflow.run
    async def run(self, approval: int) -> str:
        """How it ended."""
        for _ in range(_ROUNDS_MAX):
            self._answered = False
            moment: ApprovalMoment = await workflow.execute_activity_method(
                PassTime.look, approval, summary="expire, or tell of it again", **PERSISTENT
            )
            workflow.set_current_details(f"**{moment.state}**")
            if moment.ended:
                return moment.state
            await self._until(moment.seconds)
        workflow.continue_as_new(approval)

    async def _until(self, seconds: float) -> None:
        try:
            await workflow.wait_condition(lambda: self._answered, timeout=timedelta(seconds=max(seconds, _NOT_BEFORE)))
        except TimeoutError:
            return
