"""The plain loop of a worker process: at start and every minute, resume overdue commands and make sure schedules exist.
It is no workflow, so that no command is lost even when a Temporal server lost its state: Postgres says what runs.
"""

import asyncio
from collections.abc import Collection
from datetime import timedelta
from typing import Any

import structlog
from temporalio.client import (
    Client,
    ScheduleActionStartWorkflow,
)

from schema.ids import MountId
from schema.operations.operation import OperationState
from schema.settings import Settings
from schema.store import approvals as approval_store
from schema.store import object_locks as lock_store
from schema.store import operations as operation_store
from schema.store import outcomes as outcome_store
from schema.store import quotas as quota_store
from schema.store import recomputes as recompute_store
from schema.store import subscriptions as subscription_store
from schema.store.pool import Pool
from workers.engine import drift, sync
from workers.engine.engine import Engine
from workers.engine.schedules import Schedules
from workflows.access.start import keep_object_locks, start_carrying_out, wait_for_approval
from workflows.commands.start import resume_commands
from workflows.events.publish import RUN_SECONDS, PublishEvents
from workflows.events.start import deliver_to
from workflows.operations.start import drive
from workflows.queues import CONTROL_QUEUE, bulk_queue
from workflows.schedules import proof_of, purge_of, sweep_of
from workflows.upkeep.archive_journal import ArchiveJournal
from workflows.upkeep.prove_rollups import ProveRollups
from workflows.upkeep.prune_record import PruneRecord
from workflows.upkeep.purge_trash import PurgeTrash
from workflows.upkeep.start import run_recompute
from workflows.upkeep.sweep_mount import SweepMount

log = structlog.get_logger("background")

APPROVAL_GRACE_SECONDS = 5.0
"""What waits for an approval does by itself what the time asks for; so much later nothing seems to wait"""


async def run(engine: Engine) -> None:
    """On the engine's loop, until it is cancelled."""
    settings, pool = engine.settings, engine.pool
    schedules = Schedules()
    while True:
        try:
            if engine.client is None:
                raise ConnectionError("Temporal is not reachable yet")
            mounts = engine.served_mounts()
            await schedules.look(engine.client)
            await drop_schedules(schedules, engine.client, engine.resting_mounts())
            await ensure_schedules(schedules, engine.client, settings, mounts)
            for mount in mounts:
                await resume_overdue(engine.client, pool, mount, settings.overdue_seconds)
                await drive_due(engine.client, pool, mount, settings.overdue_seconds)
                await recompute_due(engine.client, pool, mount, settings.overdue_seconds)
                await drift.start_due(engine.client, pool, mount, settings.overdue_seconds)
            await drift.ensure_schedules(schedules, engine.client, pool, mounts)
            await lock_due(engine.client, pool, mounts, settings.object_lock_seconds)
            await deliver_due(engine.client, pool)
            await approvals_due(engine.client, pool)
            async with pool.connection() as connection:
                await quota_store.look(connection)
            await sync.start_due(engine.client, pool, mounts, settings)
            pause = settings.sweep_seconds
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.warning("sweeping waits", error=repr(error))
            pause = min(1.0, settings.sweep_seconds)
        await asyncio.sleep(pause)


async def lock_due(client: Client, pool: Pool, mounts: list[MountId], proof_seconds: float) -> None:
    """Start what proves Object Lock of buckets, and what locks and unlocks for holds, where that is due."""
    async with pool.connection() as connection:
        due = await lock_store.due_mounts(connection, mounts, proof_seconds)
    for mount in due:
        await keep_object_locks(client, mount)


async def approvals_due(client: Client, pool: Pool) -> None:
    """Start what waits for approvals whose time has come without it: the route that began one could not reach Temporal, or
    Temporal has lost its state. And what does acts that are agreed to: the process died that was to begin it, or it was refused
    by what can pass."""
    async with pool.connection() as connection:
        due = await approval_store.overdue(connection, APPROVAL_GRACE_SECONDS)
        agreed = await approval_store.agreed(connection)
    for approval in due:
        await wait_for_approval(client, approval)
    for approval in agreed:
        await start_carrying_out(client, approval)


async def deliver_due(client: Client, pool: Pool) -> None:
    """Start what delivers the events of active subscriptions, where nothing does."""
    async with pool.connection() as connection:
        active = await subscription_store.active(connection)
    for subscription in active:
        await deliver_to(client, subscription, wake=False)


async def resume_overdue(client: Client, pool: Pool, mount: MountId, overdue_seconds: float) -> list[Any]:
    """Start what carries overdue commands of a mount to their end; a command that still runs is left to its owner's lock."""
    async with pool.connection() as connection:
        overdue = await outcome_store.overdue(connection, mount, overdue_seconds)
        lists = await outcome_store.overdue_atomic(connection, mount, overdue_seconds)
        every = [*overdue, *(id for whole in lists for id in whole)]
        named = {one.id: one for one in await outcome_store.named(connection, every)} if every else {}
    handles = []
    for whole in lists:
        log.info("resuming an atomic list", mount=mount, commands=len(whole))
        handles.append(await resume_commands(client, mount, [named[id] for id in whole], atomic=True))
    for start in range(0, len(overdue), 64):
        part = overdue[start : start + 64]
        log.info("resuming", mount=mount, commands=len(part))
        handles.append(await resume_commands(client, mount, [named[id] for id in part]))
    return handles


async def drive_due(client: Client, pool: Pool, mount: MountId, silent_seconds: float) -> None:
    """Start the planner or the runner of each operation that should go on, and whose own gave no sign of life."""
    after: str | None = None
    while True:
        async with pool.connection() as connection:
            due = await operation_store.due(connection, mount, silent_seconds, after)
        if not due:
            return
        for operation, state, turn in due:
            await drive(client, mount, operation, turn, plans=state is OperationState.PLANNING)
            after = operation


async def recompute_due(client: Client, pool: Pool, mount: MountId, silent_seconds: float) -> None:
    """Start each recompute of rollups whose own workflow was not heard of."""
    async with pool.connection() as connection:
        due = await recompute_store.due(connection, mount, silent_seconds)
    for recompute in due:
        await run_recompute(client, mount, recompute)


async def ensure_schedules(schedules: Schedules, client: Client, settings: Settings, mounts: list[MountId]) -> None:
    """Create schedules where they are missing, also after Temporal lost its state; change those that differ from the
    settings."""
    every = timedelta(seconds=settings.sweep_seconds)
    # Started again when it has ended, and left alone while it runs: one run an hour.
    publish = ScheduleActionStartWorkflow(PublishEvents.run, RUN_SECONDS, id="publish", task_queue=CONTROL_QUEUE)
    await schedules.ensure(client, "publish", publish, min(every, timedelta(seconds=10)))
    prune = ScheduleActionStartWorkflow(PruneRecord.run, id="prune", task_queue=CONTROL_QUEUE)
    await schedules.ensure(client, "prune", prune, timedelta(seconds=settings.prune_seconds))
    if settings.archive_path is not None:
        archive = ScheduleActionStartWorkflow(ArchiveJournal.run, id="archive", task_queue=CONTROL_QUEUE)
        await schedules.ensure(client, "archive", archive, timedelta(seconds=settings.archive_seconds))
    for mount in mounts:
        sweep = ScheduleActionStartWorkflow(
            SweepMount.run,
            mount,
            id=sweep_of(mount),
            task_queue=bulk_queue(mount),
            execution_timeout=timedelta(minutes=30),
        )
        await schedules.ensure(client, sweep_of(mount), sweep, every)
        proof = ScheduleActionStartWorkflow(
            ProveRollups.run,
            args=[mount, settings.rollup_proof_directories or None],
            id=proof_of(mount),
            task_queue=bulk_queue(mount),
        )
        await schedules.ensure(client, proof_of(mount), proof, timedelta(seconds=settings.rollup_proof_seconds))
        purge = ScheduleActionStartWorkflow(PurgeTrash.run, mount, id=purge_of(mount), task_queue=bulk_queue(mount))
        await schedules.ensure(client, purge_of(mount), purge, timedelta(seconds=settings.purge_seconds))


async def drop_schedules(schedules: Schedules, client: Client, resting: Collection[MountId]) -> None:
    """A mount that is switched off is not swept, audited or scrubbed."""
    names = {name for mount in resting for name in (sweep_of(mount), proof_of(mount), purge_of(mount))}
    drifting = drift.of_mounts(resting)
    await schedules.drop(client, lambda name: name in names or drifting(name))
