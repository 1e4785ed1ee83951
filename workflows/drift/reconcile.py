"""ReconcilePlace: a reconciliation that was asked for by hand. It acts at its place, whatever the phase of the mount."""

from collections import Counter

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.drift.jobs import JobEnd, JobOrder, JobRef, Jobs
    from activities.drift.observe import LookEnd, LookOrder
    from workflows.drift.look import APART, details, look_once
    from workflows.policies import BACKGROUND

_LOOKS_MAX = 3


@workflow.defn(name="ReconcilePlace", failure_exception_types=[Exception])
class ReconcilePlace:
    @workflow.run
    async def run(self, job: JobRef) -> str:
        order: JobOrder | None = await workflow.execute_activity_method(
            Jobs.start, job, summary="what is to be looked at", **BACKGROUND
        )
        if order is None:
            return "ended"
        looks = await self._looks(order)
        status: str = await workflow.execute_activity_method(
            Jobs.end, _end(job, order, looks), summary="say how it ended", **BACKGROUND
        )
        return status

    async def _looks(self, order: JobOrder) -> list[LookEnd]:
        """At the place; and at everything, twice if need be, where only that can tell what became of it."""
        everything = not order.path and order.subtree
        look = LookOrder(
            order.mount,
            order.reason,
            order.principal,
            whole=everything,
            by_hand=True,
            paths=[order.path],
            subtree=order.subtree,
        )
        looks: list[LookEnd] = []
        for _ in range(_LOOKS_MAX):
            end = await look_once(look)
            assert end is not None, "only a look at hints can find that there are none"
            looks.append(end)
            workflow.set_current_details(details(end))
            if end.state != "concluded" or not (end.unsure or end.again):
                break
            if look.whole:
                await workflow.sleep(APART, summary="what is gone is looked for once more")
            look = LookOrder(order.mount, order.reason, order.principal, True, True, [order.path], order.subtree)
        return looks


def _end(job: JobRef, order: JobOrder, looks: list[LookEnd]) -> JobEnd:
    counts: Counter[str] = Counter()
    for look in looks:
        counts.update(look.counts)
    last = looks[-1]
    code, message = {
        "concluded": ("", ""),
        "waiting": ("BRAKE", f"It would change {last.changes} nodes. Release look {last.look}, or refuse it."),
    }.get(last.state, ("MOUNT_OFFLINE", last.problem or "The mount was not there."))
    status = "succeeded" if not code else "failed"
    return JobEnd(job, order.mount, order.path, status, dict(counts), [look.look for look in looks], code, message)
