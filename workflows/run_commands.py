"""RunCommands: the story of every mutation. One list of commands of one mount, with disjoint claims."""

from dataclasses import dataclass

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.apply import Apply
    from activities.begin import Begin
    from activities.commit import Commit
    from activities.finish import Finish
    from schema.commands import CommandIds, CommandList
    from schema.mounts import bulk_queue
    from workflows.policies import BRIEF, COURTESY, PERSISTENT


@dataclass(frozen=True)
class ListReport:
    succeeded: int = 0
    failed: int = 0
    late: int = 0
    answered_without_running: int = 0


@workflow.defn(name="RunCommands", failure_exception_types=[Exception])
class RunCommands:
    @workflow.run
    async def run(self, commands: CommandList) -> ListReport:
        mount = commands.mount_id
        begun = await workflow.execute_local_activity_method(
            Begin.begin, commands, summary="verdicts, intents and claims: nothing is visible yet", **BRIEF
        )
        stood_aside = len(commands.requests) - len(begun.go)
        if begun.refused:
            await workflow.execute_local_activity_method(
                Finish.finish,
                CommandIds(mount, begun.refused),
                summary="clear the stages of refused commands",
                **COURTESY,
            )
        if not begun.go:
            return ListReport(answered_without_running=stood_aside)

        # From here on there is only forward: an effect may be visible.
        applied = await workflow.execute_local_activity_method(
            Apply.apply, begun, summary="the visible step of each command, then one flush", **PERSISTENT
        )
        ended = await workflow.execute_local_activity_method(
            Commit.commit, applied, summary="nodes, snapshots, rollups, journal, events; claims released", **PERSISTENT
        )
        if ended.leftovers:
            await workflow.execute_local_activity_method(
                Finish.finish, CommandIds(mount, ended.leftovers), summary="old content to the trash", **COURTESY
            )
        if applied.late:
            await workflow.start_child_workflow(
                "ResumeCommands",
                CommandIds(mount, applied.late),
                id=f"resume/{mount}/{applied.late[0]}",
                task_queue=bulk_queue(mount),
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                static_summary=f"{len(applied.late)} slow commands go on by themselves",
            )
        return ListReport(ended.succeeded, ended.failed, len(applied.late), stood_aside)
