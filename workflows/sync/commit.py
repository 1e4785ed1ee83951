"""SyncCommit: a batch of a node becomes a revision, and the hot store hears of it. Nothing else makes a change visible."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.sync.commit import CommitEnd, CommitRef, SyncCommits
    from workflows.policies import COURTESY, PERSISTENT


def commit_id(ref: CommitRef, node: str) -> str:
    return f"sync-commit/{ref.project}/{node}/{ref.batch}"


@workflow.defn(name="SyncCommit", failure_exception_types=[Exception])
class SyncCommit:
    @workflow.run
    async def run(self, ref: CommitRef) -> CommitEnd:
        end: CommitEnd = await workflow.execute_local_activity_method(SyncCommits.commit, ref, **PERSISTENT)
        if not end.code:
            await workflow.execute_local_activity_method(SyncCommits.publish, ref.project, **COURTESY)
        return end
