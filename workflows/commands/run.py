"""RunCommands: the story of every mutation. One list of commands of one mount, with disjoint claims."""

from contextlib import suppress
from dataclasses import dataclass

from temporalio import workflow
from temporalio.exceptions import WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from activities.commands.apply import Apply
    from activities.commands.begin import Begin
    from activities.commands.commit import Commit
    from activities.commands.finish import Finish
    from activities.commands.stage import StageCopies
    from schema.commands.payloads import AppliedList, Batch, Begun, CommandIds, Staged
    from schema.ids import CommandId, MountId
    from workflows.policies import BRIEF, COURTESY, PERSISTENT
    from workflows.queues import bulk_queue


@dataclass(frozen=True)
class ListReport:
    succeeded: int = 0
    failed: int = 0
    late: int = 0
    answered_without_running: int = 0


@workflow.defn(name="RunCommands", failure_exception_types=[Exception])
class RunCommands:
    @workflow.run
    async def run(self, commands: Batch) -> ListReport:
        mount = commands.mount_id
        begun = await workflow.execute_local_activity_method(
            Begin.begin, commands, summary="verdicts, intents and claims: nothing is visible yet", **BRIEF
        )
        stood_aside = len(commands.requests) - len(begun.go) - len(begun.unstaged) - len(begun.long)
        if begun.refused:
            await workflow.execute_local_activity_method(
                Finish.finish,
                CommandIds(mount, begun.refused),
                summary="clear the stages of refused commands",
                **COURTESY,
            )
        for command in begun.long:
            await _go_on(mount, [command], "a long command goes on by itself")
        members = [going.id for going in [*begun.go, *begun.unstaged]]
        staged = Staged(mount, go=begun.go)
        if begun.unstaged:
            staged = await workflow.execute_local_activity_method(
                StageCopies.stage, begun, summary="stage small copies: nothing is visible yet", **PERSISTENT
            )
        if commands.atomic_id and staged.late:
            return await _go_on_atomic(mount, members)
        if not staged.go and not staged.failed:
            await _go_on(mount, staged.late, "slow commands go on by themselves")
            return ListReport(late=len(begun.long) + len(staged.late), answered_without_running=stood_aside)

        # From here on there is only forward: an effect may be visible.
        applied = AppliedList(mount)
        if staged.go:
            applied = await workflow.execute_local_activity_method(
                Apply.apply,
                Begun(mount, go=staged.go),
                summary="the visible step of each command, then one flush",
                **PERSISTENT,
            )
        if commands.atomic_id and applied.late:
            # Nothing of it is recorded before all of it is known.
            return await _go_on_atomic(mount, members)
        ended = await workflow.execute_local_activity_method(
            Commit.commit,
            AppliedList(mount, applied.done + staged.failed, atomic=begun.atomic),
            summary="nodes, snapshots, rollups, journal, events; claims released",
            **PERSISTENT,
        )
        if ended.leftovers:
            await workflow.execute_local_activity_method(
                Finish.finish, CommandIds(mount, ended.leftovers), summary="old content to the trash", **COURTESY
            )
        late = applied.late + staged.late
        await _go_on(mount, late, f"{len(late)} slow commands go on by themselves")
        return ListReport(ended.succeeded, ended.failed, len(late) + len(begun.long), stood_aside)


async def _go_on_atomic(mount: MountId, commands: list[CommandId]) -> ListReport:
    await _go_on(mount, commands, "a slow list goes on by itself: all of it or none", atomic=True)
    return ListReport(late=len(commands))


async def _go_on(mount: MountId, commands: list[CommandId], summary: str, *, atomic: bool = False) -> None:
    """In a workflow of their own, on the queue for long work: nobody waits behind them."""
    if not commands:
        return
    # The sweeper may have been faster: then they go on already.
    with suppress(WorkflowAlreadyStartedError):
        await workflow.start_child_workflow(
            "ResumeCommands",
            CommandIds(mount, commands, atomic),
            id=f"resume/{mount}/{commands[0]}",
            task_queue=bulk_queue(mount),
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            static_summary=summary,
        )
