"""One look, as every workflow about drift takes it: begin, read, conclude."""

from dataclasses import replace
from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.drift.observe import LookEnd, LookOrder, Observe
    from workflows.policies import BACKGROUND, LONG

APART = timedelta(seconds=2)
"""Between two looks that have to agree that something is gone"""


async def look_once(order: LookOrder) -> LookEnd | None:
    """None: no hint waits."""
    order = replace(order, key=str(workflow.uuid4()))
    look: int | None = await workflow.execute_activity_method(
        Observe.begin, order, summary="the record as it is before the storage is read", **BACKGROUND
    )
    if look is None:
        return None
    read: bool = await workflow.execute_activity_method(
        Observe.read, look, summary="names, times, and the content of what differs", **LONG
    )
    if not read:
        return LookEnd(look, "discarded", problem="The mount was not there for all of the look.")
    return await workflow.execute_activity_method(
        Observe.conclude, look, summary="judge what was seen, and write it down", **BACKGROUND
    )


def details(end: LookEnd) -> str:
    """For the run's page. Markdown."""
    counts = ", ".join(f"{count} {what}" for what, count in sorted(end.counts.items())) or "nothing differs"
    return f"look {end.look}: **{end.state}**, {counts}; {end.waiting} places wait for another look. {end.problem}"
