"""HealFindings: what policy or a person has decided to put right on a mount, as lists of commands, until nothing waits."""

import asyncio
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ChildWorkflowError

with workflow.unsafe.imports_passed_through():
    from activities.drift.heal import Heal, HealStep
    from schema.commands.payloads import Batch
    from schema.ids import MountId
    from workflows.commands import attributes
    from workflows.commands.run import RunCommands
    from workflows.policies import BACKGROUND, LONG
    from workflows.queues import bulk_queue

_LISTS_MAX = 100


@workflow.defn(name="HealFindings", failure_exception_types=[Exception])
class HealFindings:
    def __init__(self) -> None:
        self._nudged = False

    @workflow.run
    async def run(self, mount: MountId, healed: int = 0) -> int:
        """Returns how many were healed."""
        for _ in range(_LISTS_MAX):
            if workflow.info().is_continue_as_new_suggested():
                break
            self._nudged = False
            step: HealStep = await workflow.execute_activity_method(
                Heal.prepare, mount, summary="look again, and stage our copies", **LONG
            )
            workflow.set_current_details(f"{healed} healed, {len(step.commands)} at work, {step.held} wait for a yes")
            if step.commands:
                healed += await self._carry_out(step)
            elif step.wait_seconds is None:
                return healed
            else:
                await self._rest(step.wait_seconds)
        workflow.continue_as_new(args=[mount, healed])

    async def _carry_out(self, step: HealStep) -> int:
        """As any list of commands. One that fails, or has to wait for its path, keeps no other from being healed."""
        with suppress(ChildWorkflowError):
            await workflow.execute_child_workflow(
                RunCommands.run,
                Batch(step.mount, step.commands, shows=True),
                id=f"heal/{step.mount}/list/{step.commands[0].id}",
                task_queue=bulk_queue(step.mount),
                static_summary=attributes.summary(step.commands),
                search_attributes=attributes.of_commands(step.commands, step.mount),
            )
        healed: int = await workflow.execute_activity_method(
            Heal.end, step, summary="what was healed, and what has to wait", **BACKGROUND
        )
        return healed

    async def _rest(self, seconds: float) -> None:
        with suppress(asyncio.TimeoutError):
            await workflow.wait_condition(lambda: self._nudged, timeout=timedelta(seconds=max(0.1, seconds)))

    @workflow.signal
    def nudge(self) -> None:
        """There is something to heal."""
        self._nudged = True
