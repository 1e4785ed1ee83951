"""ResumeCommands: carry to their end commands whose owner died, or that were too slow for their list."""

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.apply import Apply
    from activities.begin import Begin
    from activities.commit import Commit
    from activities.finish import Finish
    from schema.commands import CommandIds
    from workflows.policies import BACKGROUND

_ROUNDS = 20
"""A held lock means that somebody is still at it. After so many rounds the next sweep tries again."""


@workflow.defn(name="ResumeCommands", failure_exception_types=[Exception])
class ResumeCommands:
    @workflow.run
    async def run(self, commands: CommandIds) -> int:
        """How many commands ended here."""
        mount, waiting, total = commands.mount_id, commands.ids, 0
        for attempt in range(_ROUNDS):
            begun = await workflow.execute_activity_method(
                Begin.adopt, CommandIds(mount, waiting), summary="which of them still run", **BACKGROUND
            )
            if not begun.go:
                break
            applied = await workflow.execute_activity_method(
                Apply.apply, begun, summary="look, act if that is still needed, flush", **BACKGROUND
            )
            ended = await workflow.execute_activity_method(
                Commit.commit, applied, summary="the record; claims released", **BACKGROUND
            )
            total += ended.succeeded + ended.failed
            if ended.leftovers:
                await workflow.execute_activity_method(
                    Finish.finish, CommandIds(mount, ended.leftovers), summary="clear what is left", **BACKGROUND
                )
            if not applied.late:
                break
            waiting = applied.late
            await workflow.sleep(timedelta(milliseconds=200 * 2 ** min(attempt, 6)))
        return total
