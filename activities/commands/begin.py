"""`begin`: one transaction that gives every command of a list its verdict, and those that go their intent and claims."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from temporalio import activity

from activities.commands import holds, quotas
from activities.commands.fresh import FreshAttempts
from activities.commands.rights import Rights
from activities.executors.contract.executor import Locks
from activities.executors.contract.identity import Identity
from activities.executors.contract.trees import TreesByItem
from activities.failures import by_halves, in_one
from schema import errors
from schema.commands.atomic import decide_atomic, taken
from schema.commands.claims import Claim
from schema.commands.command import Command, Status
from schema.commands.payloads import Batch, Begun, CommandIds, Going, Outcome
from schema.commands.verdicts import Busy, Conflict, Go, Join, Refuse, Replay, Resume, Verdict, among, decide
from schema.faults import areach
from schema.ids import CommandId, MountId
from schema.store import begin as begin_store
from schema.store import heals, item_commands
from schema.store import record as record_store

if TYPE_CHECKING:
    from activities.ports import Audience, Executors
    from activities.threads import MountThreads
    from schema.store.connection import Connection
    from schema.store.pool import Pool


class _KeyTaken(Exception):
    """A key of an atomic list came over another mount at the same moment, and was recorded first."""


class Begin:
    def __init__(
        self,
        pool: Pool,
        executors: Executors,
        threads: MountThreads,
        audience: Audience,
        fresh: FreshAttempts,
    ) -> None:
        """`fresh` is the one that `Apply` of this process takes from."""
        self._pool, self._executors, self._threads = pool, executors, threads
        self._audience, self._fresh, self._rights = audience, fresh, Rights()

    @activity.defn(name="begin")
    async def begin(self, commands: Batch) -> Begun:
        workflow = activity.info().workflow_id or ""
        mount, requests = commands.mount_id, commands.requests
        verdicts: dict[CommandId, Verdict] = {}
        ended: list[Outcome] = []
        atomic_id = commands.atomic_id
        strange = [r for r in requests if r.staged is not None and not self._audience.holds(r.id)]
        locks, lost = await self._threads.run(mount, self._verify_stages, mount, strange) if strange else (None, set())
        try:

            async def transact(part: Sequence[Command]) -> None:
                try:
                    decided, refused = await self._transact(mount, workflow, part, lost, atomic_id)
                except _KeyTaken:
                    decided, refused = taken(part), []
                verdicts.update(decided)
                ended.extend(refused)

            for request, error in await (in_one if atomic_id else by_halves)(requests, transact):
                activity.logger.error("begin refuses %s: %r", request.id, error)
                verdicts[request.id] = Conflict(
                    errors.InvalidRequest("The command can not be recorded. Nothing was changed.")
                )
        finally:
            if locks is not None:
                locks.close()
        await areach("begin.committed")
        going = [v for v in verdicts.values() if isinstance(v, Go | Resume)]
        for verdict in going:
            if isinstance(verdict, Go) and not verdict.long:
                self._fresh.add(verdict.id, verdict.attempt)
        self._audience.begun(verdicts)
        self._audience.ended(ended)
        refused = [v.id for v in verdicts.values() if isinstance(v, Refuse)]
        return Begun(
            mount,
            go=[Going(v.id, v.attempt) for v in going if not v.long and not v.unstaged],
            refused=refused,
            unstaged=[Going(v.id, v.attempt) for v in going if not v.long and v.unstaged],
            long=[v.id for v in going if v.long],
            atomic=atomic_id is not None,
            aside={request: said for request, verdict in verdicts.items() if (said := _aside(verdict))},
        )

    def _verify_stages(self, mount: MountId, strange: Sequence[Command]) -> tuple[Locks, set[CommandId]]:
        """Lock and look at the stages that this process did not lock itself: a command whose stage is gone must not
        begin."""
        executor = self._executors.of(mount)
        locks, lost = executor.locks(), set[CommandId]()
        for request in strange:
            if not locks.take(request.id):
                locks.close()
                raise errors.Unavailable("The stage is still in the hands of the process that wrote it.")
            found = executor.find_stage(request.stage or request.id)
            if found is None or not found.same_content(Identity.of_facts(request.staged or [])):
                lost.add(request.id)
        return locks, lost

    async def _transact(
        self, mount: MountId, workflow: str, requests: Sequence[Command], lost: set[CommandId], atomic_id: str | None
    ) -> tuple[dict[CommandId, Verdict], list[Outcome]]:
        """The verdicts, and how the refused commands ended."""
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        by_item, away = self._by_item(mount)
        async with self._pool.connection() as connection, connection.pipeline(), connection.transaction():
            admission = await item_commands.admit(connection, requests)
            await begin_store.lock_mounts(connection, {mount} | {m for r in requests for m in r.mounts})
            requests, found = await begin_store.look_where_they_lie(connection, requests, by_item)
            found = await heals.look(connection, requests, found)
            rights = await self._rights.standing(connection, requests)
            held_content = await holds.standing(connection, requests, found)
            held: list[tuple[Claim, CommandId]] = []
            verdicts: dict[CommandId, Verdict] = {}
            for request in requests:
                verdict = decide(request, found[request.id], workflow=workflow, day=day)
                if isinstance(verdict, Go) and request.id in lost:
                    verdict = Refuse(verdict.id, verdict.attempt, errors.StageLost())
                if isinstance(verdict, Go) and away is not None:
                    verdict = Refuse(verdict.id, verdict.attempt, away)
                verdict = held_content.judged(request, admission.judged(request, verdict))
                verdict = rights.judged(request, found[request.id], verdict)
                verdicts[request.id] = verdict if atomic_id else among(verdict, held)
            verdicts = await quotas.judged(connection, mount, requests, found, verdicts)
            if atomic_id:
                verdicts = decide_atomic(requests, found, verdicts)
            if admission.aside:
                await item_commands.set_aside(connection, [r for r in requests if r.id in admission.aside])
            ended = await self._write(connection, mount, workflow, requests, verdicts, atomic_id)
            if atomic_id and len({isinstance(verdict, Conflict) for verdict in verdicts.values()}) > 1:
                raise _KeyTaken()
            await areach("begin.before_commit")
        return verdicts, ended

    def _by_item(self, mount: MountId) -> tuple[set[MountId], errors.FilestoreError | None]:
        """The mount, if its storage knows no trees: what an intent says of a tree depends on it. A mount whose executor
        can not be opened is left out: `apply` could not act there either. Only the mount where something appears
        counts."""
        try:
            executor = self._executors.of(mount)
        except errors.FilestoreError as error:
            return set(), error
        return ({mount} if isinstance(executor, TreesByItem) else set()), None

    async def _write(
        self, connection: Connection, mount: MountId, workflow: str, requests: Sequence[Command],
        verdicts: dict[CommandId, Verdict], atomic_id: str | None,
    ) -> list[Outcome]:  # fmt: skip
        decided = [(r, v) for r in requests if isinstance(v := verdicts[r.id], Go | Refuse)]
        if not decided:
            return []
        opened = await begin_store.open_rows(connection, mount, workflow, decided, atomic_id=atomic_id)
        for request, verdict in decided:
            if verdict.id not in opened:
                # The same key came over another mount at the same moment, and was recorded first.
                verdicts[request.id] = Conflict()
        of_operation = any(request.operation_id for request, _ in decided)
        if of_operation:
            await item_commands.open_items(connection, list(opened))
        refused = [v.id for _, v in decided if isinstance(v, Refuse) and v.id in opened]
        if not refused:
            return []
        rows = {id: record_store.EndedRow(Status.FAILED, "refused", "") for id in refused}
        if of_operation:
            await item_commands.close_items(connection, refused)
        ended, _ = await record_store.record(connection, rows, retention_days=0)
        return ended

    @activity.defn(name="adopt")
    async def adopt(self, commands: CommandIds) -> Begun:
        """The commands among these that still run, for the workflow that resumes them."""
        async with self._pool.connection() as connection:
            rows = await record_store.read_running(connection, commands.ids, raise_attempt=False)
        return Begun(
            commands.mount_id,
            go=[Going(row.id, row.attempt) for row in rows.values() if not row.unstaged],
            unstaged=[Going(row.id, row.attempt) for row in rows.values() if row.unstaged],
            atomic=commands.atomic,
        )


def _aside(verdict: Verdict) -> str:
    """What a person is shown of a command that does not go; empty for one that does."""
    match verdict:
        case Refuse(error=error):
            return f"failed {error.code}"
        case Conflict(error):
            return f"refused {error.code}"
        case Replay():
            return "replayed"
        case Join():
            return "joined an earlier request"
        case Busy():
            return "waits for its path"
        case _:
            return ""
