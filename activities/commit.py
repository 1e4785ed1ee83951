"""`commit`: one transaction that records what `apply` did: nodes, snapshots, rollups, journal, events. Claims are released."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from temporalio import activity

from activities.executors.base import Done
from activities.failures import by_halves
from activities.tasks import task_of
from schema import errors
from schema.commands import Applied, AppliedList, CommandIds, Ended, Outcome, Status
from schema.faults import areach
from schema.ids import CommandId, MountId
from schema.store import commands as store

if TYPE_CHECKING:
    from activities.ports import Audience, Executors
    from activities.threads import MountThreads
    from schema.store.pool import Pool


class Commit:
    def __init__(
        self,
        pool: Pool,
        executors: Executors,
        threads: MountThreads,
        audience: Audience,
        announce: Callable[[], None],
        retention_days: int,
    ) -> None:
        """`announce`: called when there are new events for Redis."""
        self._pool, self._executors, self._threads, self._audience = pool, executors, threads, audience
        self._announce, self._retention_days = announce, retention_days

    @activity.defn(name="commit")
    async def commit(self, applied: AppliedList) -> Ended:
        ended: dict[CommandId, Outcome] = {}
        leftovers: list[tuple[CommandId, MountId | None]] = []

        async def transact(part: Sequence[Applied]) -> None:
            outcomes, left = await self._transact(part)
            # After COMMIT, and before anything else can go wrong: whoever waits is answered from what is durable.
            self._audience.ended(outcomes)
            self._announce()
            ended.update({outcome.id: outcome for outcome in outcomes})
            leftovers.extend(left)

        for item, error in await by_halves(applied.done, transact):
            activity.logger.error("commit of %s fails for good: %r", item.id, error)
            await transact([await self._without_effect(applied.mount_id, item)])
        await areach("commit.committed")
        good = sum(outcome.status is Status.SUCCEEDED for outcome in ended.values())
        departures = [CommandIds(mount, [command]) for command, mount in leftovers if mount is not None]
        return Ended(
            applied.mount_id, good, len(ended) - good, [id for id, mount in leftovers if mount is None], departures
        )

    async def _transact(self, items: Sequence[Applied]) -> tuple[list[Outcome], list[tuple[CommandId, MountId | None]]]:
        async with self._pool.connection() as connection:
            async with connection.pipeline(), connection.transaction():
                rows = await store.end(connection, items)
                for item in items:
                    if item.status is Status.SUCCEEDED and item.id in rows:
                        await areach("commit.item", rows[item.id].shown)
                outcomes: list[Outcome] = []
                leftovers: list[tuple[CommandId, MountId | None]] = []
                if rows:
                    outcomes, leftovers = await store.record(connection, rows, retention_days=self._retention_days)
                await areach("commit.before_commit")
            missing = [item.id for item in items if item.id not in rows]
            if missing:
                # Ended by an earlier execution whose COMMIT was not heard of, or taken over by a later attempt.
                outcomes += [o for o in await store.outcomes(connection, missing) if o.status is not Status.RUNNING]
        return outcomes, leftovers

    async def _without_effect(self, mount: MountId, item: Applied) -> Applied:
        """An item that can not be recorded: its effect is taken back, or the node is declared inconsistent."""
        if item.status is not Status.SUCCEEDED:
            return item
        failed = errors.Unavailable(
            "The command could not be recorded; its effect was taken back. Nothing was changed."
        )
        reversed_ = await self._reverse(mount, item)
        if reversed_ is None:
            message = "The command took effect but could not be recorded or taken back. Reconcile the path."
            return replace(
                item, status=Status.INCONSISTENT, code="VERSION_CONFLICT", message=message, identity=None, drift=None
            )
        # Putting a file back moved its ctime: the record learns the new one, or the next command would take it for drift.
        identity = reversed_.identity.facts() if reversed_.identity else None
        return replace(
            item,
            status=Status.FAILED,
            code=failed.code,
            message=failed.message,
            retryable=True,
            identity=identity,
            drift=None,
        )

    async def _reverse(self, mount: MountId, item: Applied) -> Done | None:
        async with self._pool.connection() as connection:
            rows = await store.read_running(connection, [item.id], raise_attempt=False)
        row = rows.get(item.id)
        if row is None or row.attempt != item.attempt:
            return None
        task = task_of(row)
        if task is None:
            return Done(None)
        executor = self._executors.of(mount)

        def take_back() -> Done | None:
            locks = executor.locks()
            try:
                result = executor.reverse(task) if locks.take(task.command) else None
                return result if isinstance(result, Done) else None
            finally:
                locks.close()

        return await self._threads.run(mount, take_back)
