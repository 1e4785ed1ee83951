"""LookAt: look where hints say that something happened, until no hint waits. One for each mount."""

import asyncio
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from activities.drift.observe import LookOrder
    from schema.ids import MountId
    from workflows.drift.audit import AuditMount
    from workflows.drift.look import details, look_once

_LOOKS_MAX = 50
_GATHER = timedelta(milliseconds=200)
"""Events come in bursts: so many more hints are taken at once"""
_LONGEST = timedelta(seconds=30)
"""Between two looks at places that a command, or another program, is still at"""


def audit_of(mount: MountId) -> str:
    return f"audit/{mount}"


@workflow.defn(name="LookAt", failure_exception_types=[Exception])
class LookAt:
    def __init__(self) -> None:
        self._nudged = False

    @workflow.run
    async def run(self, mount: MountId, waits: int = 0) -> int:
        """`waits`: how often in a row places had to wait. Returns how many looks this run took."""
        for looks in range(_LOOKS_MAX):
            self._nudged = False
            await workflow.sleep(_GATHER, summary="events come in bursts")
            end = await look_once(LookOrder(mount, "drift", hinted=True))
            if end is None:
                return looks
            workflow.set_current_details(details(end))
            if end.unsure or end.again:
                await self._audit(mount)
            waits = waits + 1 if end.waiting or end.state == "discarded" else 0
            if waits:
                await self._rest(waits)
        workflow.continue_as_new(args=[mount, waits])

    async def _rest(self, waits: int) -> None:
        pause = min(_LONGEST, timedelta(milliseconds=250) * 2 ** min(waits, 10))
        with suppress(asyncio.TimeoutError):
            await workflow.wait_condition(lambda: self._nudged, timeout=pause)

    async def _audit(self, mount: MountId) -> None:
        """What a look at some places can not tell, one at all of them can. It goes on by itself."""
        try:
            await workflow.start_child_workflow(
                AuditMount.run,
                LookOrder(mount, "drift", whole=True, paths=[""], subtree=True),
                id=audit_of(mount),
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                static_summary="what a look at some places could not tell",
            )
        except WorkflowAlreadyStartedError:
            with suppress(Exception):
                await workflow.get_external_workflow_handle_for(AuditMount.run, audit_of(mount)).signal(
                    AuditMount.again
                )

    @workflow.signal
    def nudge(self) -> None:
        """There are new hints."""
        self._nudged = True
