"""ResumeCommands: carry to their end commands that are long, that were too slow for their list, or whose owner died."""

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.apply import Apply
    from activities.begin import Begin
    from activities.commit import Commit
    from activities.finish import Finish
    from activities.stage import StageCopies
    from schema.commands import AppliedList, Begun, CommandIds, Staged
    from schema.mounts import bulk_queue
    from workflows.policies import BACKGROUND, LONG

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
            staged = Staged(mount, go=begun.go)
            if begun.unstaged:
                staged = await workflow.execute_activity_method(
                    StageCopies.stage, begun, summary="stage what is copied: nothing is visible yet", **LONG
                )
            if not staged.go and not staged.failed and not staged.late:
                break
            applied = AppliedList(mount)
            if staged.go:
                applied = await workflow.execute_activity_method(
                    Apply.apply,
                    Begun(mount, go=staged.go),
                    summary="look, act if that is still needed, flush",
                    **BACKGROUND,
                )
            ended = await workflow.execute_activity_method(
                Commit.commit,
                AppliedList(mount, applied.done + staged.failed),
                summary="the record; claims released",
                **BACKGROUND,
            )
            total += ended.succeeded + ended.failed
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
            waiting = applied.late + staged.late
            if not waiting:
                break
            await workflow.sleep(timedelta(milliseconds=200 * 2 ** min(attempt, 6)))
        return total
