"""ResumeCommands: carry to their end commands that are long, that were too slow for their list, or whose owner died."""

from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from activities.commands.apply import Apply
    from activities.commands.begin import Begin
    from activities.commands.commit import Commit
    from activities.commands.finish import Finish
    from activities.commands.stage import StageCopies
    from schema.commands.payloads import AppliedList, Begun, CommandIds, Ended, Staged
    from workflows.commands.shown import Shown
    from workflows.policies import BACKGROUND, LONG, RECORD
    from workflows.queues import bulk_queue

_ROUNDS = 20
"""A held lock means that another process is still at it. After so many rounds the next sweep tries again."""


@workflow.defn(name="ResumeCommands", failure_exception_types=[Exception])
class ResumeCommands:
    @workflow.run
    async def run(self, commands: CommandIds) -> int:
        """How many commands ended here."""
        shown = Shown([], shows=commands.shows, always=True)
        total = await self._run(commands, shown)
        shown.end()
        return total

    async def _run(self, commands: CommandIds, shown: Shown) -> int:
        mount, waiting, atomic, total = commands.mount_id, commands.ids, commands.atomic, 0
        for attempt in range(_ROUNDS):
            begun = await workflow.execute_activity_method(
                Begin.adopt, CommandIds(mount, waiting, atomic), summary="which of them still run", **BACKGROUND
            )
            staged = Staged(mount, go=begun.go)
            if begun.unstaged:
                staged = await workflow.execute_activity_method(
                    StageCopies.stage, begun, summary="stage what is copied: nothing is visible yet", **LONG
                )
            if not staged.go and not staged.failed and not staged.late:
                break
            applied = AppliedList(mount)
            # Of an atomic list nothing may become visible before all of it is staged.
            if staged.go and not (atomic and staged.late):
                applied = await workflow.execute_activity_method(
                    Apply.apply,
                    Begun(mount, go=staged.go),
                    summary="look, act if that is still needed, flush",
                    **BACKGROUND,
                )
            late = applied.late + staged.late
            if not (atomic and late):
                ended = await self._record(AppliedList(mount, applied.done + staged.failed, atomic=atomic), shown)
                total += ended
                # Should another attempt have the list, it is looked at again until it has ended.
                late = waiting if atomic and not ended else late
            waiting = waiting if atomic else late
            if not late:
                break
            await workflow.sleep(timedelta(milliseconds=200 * 2 ** min(attempt, 6)))
        return total

    async def _record(self, applied: AppliedList, shown: Shown) -> int:
        """How many of them ended."""
        mount = applied.mount_id
        ended: Ended = await workflow.execute_activity_method(
            Commit.commit, applied, summary="the record; claims released", **RECORD
        )
        shown.tell(ended.failures)
        if ended.leftovers:
            await workflow.execute_activity_method(
                Finish.finish, CommandIds(mount, ended.leftovers), summary="clear what is left", **BACKGROUND
            )
        for departure in ended.departures:
            await workflow.execute_activity_method(
                Finish.finish,
                departure,
                task_queue=bulk_queue(departure.mount_id),
                summary="the source goes, on its own mount",
                **BACKGROUND,
            )
        await _wake(ended.operations)
        return ended.succeeded + ended.failed


async def _wake(operations: list[str]) -> None:
    """Their runners wait for what was in flight."""
    for operation in operations:
        with suppress(FailureError):  # none runs: then nothing waits
            await workflow.get_external_workflow_handle(f"operation/{operation}").signal("nudge")
