"""AuditMount: look at everything, and once more where something is gone; wait for a person where that would change much."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.drift.observe import LookEnd, LookOrder, Observe
    from workflows.drift.look import APART, details, look_once
    from workflows.policies import BACKGROUND

_LOOKS_MAX = 4
"""Two that agree; and one more for each that a yes was waited for"""
_PATIENCE = timedelta(days=7)
_ASK_AGAIN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Answer:
    """Of a person, about one look: the yes holds for its plan alone."""

    look: int
    yes: bool


@workflow.defn(name="AuditMount", failure_exception_types=[Exception])
class AuditMount:
    def __init__(self) -> None:
        self._answer: Answer | None = None
        self._again = False
        self._held: LookEnd | None = None

    @workflow.run
    async def run(self, order: LookOrder) -> LookEnd:
        end = await self._audit(order)
        if self._again:
            workflow.continue_as_new(replace(order, allows=0))
        return end

    async def _audit(self, order: LookOrder) -> LookEnd:
        end = LookEnd(0, "discarded")
        for _ in range(_LOOKS_MAX):
            found = await look_once(order)
            assert found is not None, "only a look at hints can find that there are none"
            end = found
            workflow.set_current_details(details(end))
            if end.state == "waiting":
                if not await self._is_released(end):
                    return end
                order = replace(order, allows=end.changes)
                continue
            if end.state != "concluded" or not (end.again or (end.unsure and not order.whole)):
                return end
            order = replace(order, whole=True)
            await workflow.sleep(APART, summary="what is gone is looked for once more")
        return end

    async def _is_released(self, end: LookEnd) -> bool:
        """The plan is shown; a yes counts for this look alone. After a week without an answer it is a no."""
        self._held = end
        deadline = workflow.now() + _PATIENCE
        while workflow.now() < deadline:
            with suppress(asyncio.TimeoutError):
                await workflow.wait_condition(lambda: self._answer is not None, timeout=_ASK_AGAIN)
            answer = self._answer.yes if self._answer is not None and self._answer.look == end.look else None
            self._answer = None
            if answer is None:
                answer = await workflow.execute_activity_method(
                    Observe.answer, end.look, summary="has a person decided?", **BACKGROUND
                )
            if answer is not None:
                await self._close(end, "A person has released it." if answer else "A person has refused it.")
                return answer
        await self._close(end, "It was not decided for a week.")
        return False

    async def _close(self, end: LookEnd, why: str) -> None:
        self._held = None
        await workflow.execute_activity_method(
            Observe.discard, args=[end.look, why], summary="this look is over", **BACKGROUND
        )

    @workflow.signal
    def answer(self, answer: Answer) -> None:
        """A person says yes or no to the plan of a look."""
        self._answer = answer

    @workflow.signal
    def again(self) -> None:
        """There is a reason for another audit."""
        self._again = True

    @workflow.query
    def held(self) -> LookEnd | None:
        return self._held
