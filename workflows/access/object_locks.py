"""KeepObjectLocks: lock what is held in a bucket, and unlock what is not any more. It remembers nothing: rows say what is due."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.access.object_locks import LockTurn, ObjectLockKeeper
    from schema.ids import MountId
    from workflows.policies import LONG

_TURNS_MAX = 200


@workflow.defn(name="KeepObjectLocks", failure_exception_types=[Exception])
class KeepObjectLocks:
    @workflow.run
    async def run(self, mount: MountId) -> LockTurn:
        for _ in range(_TURNS_MAX):
            turn: LockTurn = await workflow.execute_activity_method(
                ObjectLockKeeper.keep, mount, summary="objects below holds, page by page", **LONG
            )
            if turn.over:
                return turn
        workflow.continue_as_new(mount)
