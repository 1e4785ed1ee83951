"""`commit`: one transaction that records what `apply` did: nodes, snapshots, rollups, journal, events. Claims are released."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from temporalio import activity

from activities.commands.compensate import taken_back
from activities.executors.contract.abilities import Marks
from activities.failures import by_halves, passes
from schema import errors
from schema.commands.atomic import none_of
from schema.commands.command import Status
from schema.commands.payloads import Applied, AppliedList, CommandIds, Ended, Outcome
from schema.faults import areach
from schema.ids import CommandId, MountId
from schema.store import heals, item_commands, judged
from schema.store import outcomes as outcome_store
from schema.store import record as record_store

if TYPE_CHECKING:
    from activities.ports import Audience, Executors
    from activities.threads import MountThreads
    from schema.store.connection import Connection
    from schema.store.pool import Pool


@dataclass(slots=True)
class _Ending:
    """What is durable, and what `finish` has to clear after it."""

    ended: dict[CommandId, Outcome] = field(default_factory=dict)
    leftovers: list[tuple[CommandId, MountId | None]] = field(default_factory=list)
    operations: set[str] = field(default_factory=set)
    """Whose items they were, each as id/turn"""


class _NotWhole(Exception):
    """Some commands of an atomic list can not end here: another attempt has them, and ends all."""


class _Probed(Exception):
    """The transaction could be committed; this time it was only a test."""


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
        ending = _Ending()
        if applied.atomic:
            await self._atomic(applied, ending)
        else:
            await self._one_by_one(applied, ending)
        await areach("commit.committed")
        good = sum(outcome.status is Status.SUCCEEDED for outcome in ending.ended.values())
        departures = [CommandIds(mount, [command]) for command, mount in ending.leftovers if mount is not None]
        left = [id for id, mount in ending.leftovers if mount is None]
        await self._forget(applied.mount_id, ending, left)
        failures = {
            outcome.id: f"{outcome.status} {outcome.code or ''}".strip()
            for outcome in ending.ended.values()
            if outcome.status is not Status.SUCCEEDED
        }
        operations = sorted(ending.operations)
        return Ended(applied.mount_id, good, len(failures), left, departures, failures, operations)

    async def _forget(self, mount: MountId, ending: _Ending, left: Sequence[CommandId]) -> None:
        """A courtesy: the storage need not keep what would have told a later execution. All clients have their answers."""
        ended = [id for id, outcome in ending.ended.items() if outcome.status is Status.SUCCEEDED and id not in left]
        try:
            executor = self._executors.of(mount)
            if ended and isinstance(executor, Marks):
                await self._threads.run(mount, executor.forget, ended)
        except Exception as error:
            activity.logger.warning("marks of %d commands are left to the sweep: %r", len(ended), error)

    async def _one_by_one(self, applied: AppliedList, ending: _Ending) -> None:
        async def record(part: Sequence[Applied]) -> None:
            await self._record(part, ending)

        for item, error in await by_halves(applied.done, record):
            activity.logger.error("commit of %s fails for good: %r", item.id, error)
            await self._without_effect(applied.mount_id, item, ending)

    async def _without_effect(self, mount: MountId, item: Applied, ending: _Ending) -> None:
        """For an item that can not be recorded: take its effect back, or declare the node inconsistent."""
        if item.status is not Status.SUCCEEDED:
            return await self._record([item], ending)
        failed = _unrecorded(item)
        async with taken_back(
            self._pool, partial(self._threads.run, mount), self._executors.of(mount), [failed], [item.id]
        ) as back:
            await self._record([failed if back is None else back[item.id]], ending)

    # All or none

    async def _atomic(self, applied: AppliedList, ending: _Ending) -> None:
        """One transaction records all of them, or one fails all of them after their effects were taken back. The record
        never holds a part."""
        items = applied.done
        effects = [item.id for item in items if item.status is Status.SUCCEEDED]
        try:
            if len(effects) == len(items):
                try:
                    return await self._record(items, ending, whole=True)
                except Exception as error:
                    if isinstance(error, _NotWhole) or passes(error):
                        raise
                    activity.logger.error("commit of an atomic list fails for good: %r", error)
                    items = await self._blamed(items)
            if not effects:
                return await self._record(none_of(items, {}), ending, whole=True)
            async with taken_back(
                self._pool,
                partial(self._threads.run, applied.mount_id),
                self._executors.of(applied.mount_id),
                items,
                effects,
            ) as back:
                if back is None:
                    raise _NotWhole()
                await areach("commit.taken_back")
                await self._record(none_of(items, back), ending, whole=True)
        except _NotWhole:
            async with self._pool.connection() as connection:
                self._tell(await _ended(connection, [item.id for item in items]), [], ending)

    async def _blamed(self, items: Sequence[Applied]) -> list[Applied]:
        """The items. Those that can not be recorded are failures; where no single one is to blame, all are."""

        async def probe(part: Sequence[Applied]) -> None:
            try:
                async with self._pool.connection() as connection, connection.pipeline(), connection.transaction():
                    await self._write(connection, part)
                    raise _Probed()
            except _Probed:
                pass

        culprits = {item.id for item, _ in await by_halves(items, probe)} or {item.id for item in items}
        return [_unrecorded(item) if item.id in culprits else item for item in items]

    # One transaction

    async def _record(self, items: Sequence[Applied], ending: _Ending, *, whole: bool = False) -> None:
        async with self._pool.connection() as connection:
            async with connection.pipeline(), connection.transaction():
                rows, outcomes, leftovers, operations = await self._write(connection, items)
                if whole and len(rows) < len(items):
                    raise _NotWhole()
                await areach("commit.before_commit")
            missing = [item.id for item in items if item.id not in rows]
            if missing:
                # Ended by an earlier execution whose COMMIT was not heard of, or taken over by a later attempt.
                outcomes += await _ended(connection, missing)
        ending.operations.update(operations)
        self._tell(outcomes, leftovers, ending)

    async def _write(
        self, connection: Connection, items: Sequence[Applied]
    ) -> tuple[
        dict[CommandId, record_store.EndedRow], list[Outcome], list[tuple[CommandId, MountId | None]], list[str]
    ]:
        """What ended, how, what it leaves, and the operations whose items these were."""
        rows = await record_store.end(connection, items)
        for item in items:
            if item.status is Status.SUCCEEDED and item.id in rows:
                await areach("commit.item", rows[item.id].shown)
        if not rows:
            return rows, [], [], []
        operations: list[str] = []
        if of_operations := [id for id, row in rows.items() if row.of_operation]:
            # Before the record: of what has ended it keeps less of the intent.
            operations = [f"{id}/{turn}" for id, turn in await item_commands.close_items(connection, of_operations)]
        of_heals = [id for id, row in rows.items() if row.heals]
        nameless = await heals.accept_seen(connection, of_heals) if of_heals else []
        outcomes, leftovers = await record_store.record(connection, rows, retention_days=self._retention_days)
        await judged.take_names_back(connection, nameless)
        return rows, outcomes, leftovers, operations

    def _tell(
        self, outcomes: Sequence[Outcome], leftovers: Sequence[tuple[CommandId, MountId | None]], ending: _Ending
    ) -> None:
        """After COMMIT, and before anything else can go wrong: clients that wait are answered from what is durable."""
        self._audience.ended(outcomes)
        self._announce()
        ending.ended.update({outcome.id: outcome for outcome in outcomes})
        ending.leftovers.extend(leftovers)


def _unrecorded(item: Applied) -> Applied:
    failed = errors.Unavailable("The command could not be recorded; its effect was taken back. Nothing was changed.")
    return replace(
        item, status=Status.FAILED, code=failed.code, message=failed.message, retryable=True, identity=None, drift=None
    )


async def _ended(connection: Connection, ids: Sequence[CommandId]) -> list[Outcome]:
    return [
        outcome for outcome in await outcome_store.outcomes(connection, ids) if outcome.status is not Status.RUNNING
    ]
