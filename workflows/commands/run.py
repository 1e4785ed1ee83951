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
    from schema.ids import CommandId
    from workflows.commands import attributes
    from workflows.commands.shown import Shown
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
        shown = Shown(commands.requests, shows=commands.shows)
        report = await self._run(commands, shown)
        shown.end()
        return report

    async def _run(self, commands: Batch, shown: Shown) -> ListReport:
        mount = commands.mount_id
        begun = await workflow.execute_local_activity_method(
            Begin.begin, commands, summary="verdicts, intents and claims: nothing is visible yet", **BRIEF
        )
        shown.tell(begun.aside)
        stood_aside = len(commands.requests) - len(begun.go) - len(begun.unstaged) - len(begun.long)
        if begun.refused:
            await workflow.execute_local_activity_method(
                Finish.finish,
                CommandIds(mount, begun.refused),
                summary="clear the stages of refused commands",
                **COURTESY,
            )
        for some in _apart(commands, begun.long):
            told = "a long command goes on by itself" if len(some) == 1 else f"{len(some)} long commands go on together"
            await _go_on(commands, some, told, shown)
        members = [going.id for going in [*begun.go, *begun.unstaged]]
        staged = Staged(mount, go=begun.go)
        if begun.unstaged:
            staged = await workflow.execute_local_activity_method(
                StageCopies.stage, begun, summary="stage small copies: nothing is visible yet", **PERSISTENT
            )
        if commands.atomic_id and staged.late:
            return await _go_on_atomic(commands, members, shown)
        if not staged.go and not staged.failed:
            await _go_on(commands, staged.late, "slow commands go on by themselves", shown)
            return ListReport(late=len(begun.long) + len(staged.late), answered_without_running=stood_aside)

        # From here on the workflow only goes forward: an effect may be visible.
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
            return await _go_on_atomic(commands, members, shown)
        ended = await workflow.execute_local_activity_method(
            Commit.commit,
            AppliedList(mount, applied.done + staged.failed, atomic=begun.atomic),
            summary="nodes, snapshots, rollups, journal, events; claims released",
            **PERSISTENT,
        )
        shown.tell(ended.failures)
        if ended.leftovers:
            await workflow.execute_local_activity_method(
                Finish.finish, CommandIds(mount, ended.leftovers), summary="old content to the trash", **COURTESY
            )
        late = applied.late + staged.late
        await _go_on(commands, late, f"{len(late)} slow commands go on by themselves", shown)
        return ListReport(ended.succeeded, ended.failed, len(late) + len(begun.long), stood_aside)


def _apart(batch: Batch, long: list[CommandId]) -> list[list[CommandId]]:
    """Each goes on by itself; but those of an operation's list go on together: it has no more bytes than one step should. So the
    files of a tree that goes to another mount are no workflow each."""
    of_operation = all(request.operation_id is not None for request in batch.requests)
    if len(long) > 1 and of_operation and workflow.patched("long commands of an operation go on together"):
        return [long]
    return [[command] for command in long]


async def _go_on_atomic(batch: Batch, commands: list[CommandId], shown: Shown) -> ListReport:
    await _go_on(batch, commands, "a slow list goes on by itself: all of it or none", shown, atomic=True)
    return ListReport(late=len(commands))


async def _go_on(batch: Batch, commands: list[CommandId], summary: str, shown: Shown, *, atomic: bool = False) -> None:
    """In a workflow of their own, on the queue for long work: no other command waits behind them."""
    if not commands:
        return
    shown.goes_on(commands)
    mount = batch.mount_id
    # One that runs under the id of an earlier request is one of these.
    requests = [request for request in batch.requests if request.id in commands] or batch.requests
    # The sweeper may have been faster: then they go on already.
    with suppress(WorkflowAlreadyStartedError):
        await workflow.start_child_workflow(
            "ResumeCommands",
            CommandIds(mount, commands, atomic, shows=batch.shows),
            id=f"resume/{mount}/{commands[0]}",
            task_queue=bulk_queue(mount),
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            static_summary=f"{attributes.summary(requests)}: {summary}",
            static_details=attributes.lines(requests),
            search_attributes=attributes.of_commands(requests, mount, atomic=atomic),
        )
