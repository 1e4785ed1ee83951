"""The composition root: settings in, connected parts out. Only processes import it, and nothing is joined anywhere else."""

from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from temporalio.worker import Interceptor

from activities import budgets
from activities.access.approvals import PassTime
from activities.access.object_locks import ObjectLockKeeper
from activities.audit.copies import copies_of
from activities.audit.seal import Sealer
from activities.commands.apply import Apply
from activities.commands.begin import Begin
from activities.commands.commit import Commit
from activities.commands.finish import Finish
from activities.commands.fresh import FreshAttempts
from activities.commands.stage import StageCopies
from activities.consumers.metastore import Metastore
from activities.drift.heal import Heal
from activities.drift.jobs import Jobs
from activities.drift.observe import Observe
from activities.drift.scrub import Scrub
from activities.events.deliver import Deliver
from activities.events.publish import Bus, Publish
from activities.executors.contract.executor import Executor
from activities.executors.contract.identity import Identity
from activities.executors.kinds import open_executor, prepare_storage, prove_locks, prove_storage, read_sentinel
from activities.operations.chunk import NextChunk
from activities.operations.forget import ForgetNodes
from activities.operations.imports import ImportTree
from activities.operations.plan import PlanItems
from activities.operations.purge import PurgeItems
from activities.operations.retain import RetainTrash
from activities.operations.tag import TagRecords
from activities.operations.verify import VerifyFiles
from activities.ports import Audience, Executors
from activities.sync.contents import Contents
from activities.sync.hot import HotStores, NoHotStore
from activities.sync.nats.accounts import NatsAccounts
from activities.sync.nats.link import NatsLink
from activities.sync.nats.store import NatsHot
from activities.sync.nats.tenants import HotAccounts, OneHot
from activities.sync.telling import TellsProjects
from activities.upkeep.archive import Archive
from activities.upkeep.archive_places import open_place
from activities.upkeep.recompute import Recomputes
from activities.upkeep.retention import Retention
from activities.upkeep.sweep import Sweep
from api.dispatch.dispatch import Dispatch
from api.observe.metrics.counts import Counts
from api.services import Services
from schema.access.object_locks import LockProof
from schema.mounts import Mount
from schema.secrets.configured import keyring_of
from schema.secrets.keyring import Keyring
from schema.settings import Settings
from schema.store.pool import Pool, make_pool
from workers.buses.notifications import RedisNotifications
from workers.buses.redis import EventsStream, InlineBus, RedisBus, RedisWakeups
from workers.engine.audience import LogAudience
from workers.engine.engine import Engine
from workers.engine.health import Health
from workers.engine.project_activities import project_activities
from workers.engine.queues import Activities
from workers.engine.served import ServedMounts
from workers.engine.vitals import Vitals, WorkerVitals
from workers.process.counts import ActivityCounts, CountedActivities
from workers.process.following import Consumer
from workers.watching.looks import LookStarts
from workers.watching.notifications import Canaries, NotificationQueue
from workers.watching.watches import Watches

if TYPE_CHECKING:
    from activities.consumers.lake import LakePlace
    from activities.consumers.timestore import Timestore


@dataclass(frozen=True, slots=True)
class ApiParts:
    """What the API process runs: nothing of it is open or started yet."""

    services: Services
    counts: Counts
    """What is counted in this process, in HTTP and by the dispatch"""
    engine: Engine
    served: ServedMounts


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """What the worker process runs: nothing of it is open or started yet."""

    engine: Engine
    served: ServedMounts
    observed: WorkerVitals
    telling: TellsProjects
    counts: ActivityCounts
    sealer: Sealer


log = structlog.get_logger("wiring")

CONSUMERS = ("metastore", "timestore")


@dataclass(frozen=True, slots=True)
class ConsumerParts:
    """What the process of the consumers runs: nothing of it is open or started yet."""

    pool: Pool
    consumers: Sequence[Consumer]
    wakeups: RedisWakeups | None
    timestore: "Timestore | None"
    compact_seconds: float

    def upkeep(self) -> Sequence[Coroutine[Any, Any, None]]:
        """What is done beside the batches."""
        return [] if self.timestore is None else [self.timestore.compact_every(self.compact_seconds, log.warning)]


def consumer_parts(settings: Settings, names: Sequence[str]) -> ConsumerParts:
    """`names`: only these; none: those that are switched on."""
    # Arrow and DuckDB take a while to load, and no other process needs them.
    from activities.consumers.lake import Lake
    from activities.consumers.timestore import Timestore

    pool = make_connections(settings, budgets.CONSUMER_CONNECTIONS, generic_plans=True)
    switched_on = {"metastore": settings.metastore, "timestore": settings.timestore}
    wanted = names or [name for name, on in switched_on.items() if on]
    timestore = None
    if "timestore" in wanted:
        timestore = Timestore(pool, Lake(lake_place(settings)), settings.timestore_snapshots_hours * 3600)
    consumers: list[Consumer] = [Metastore(pool)] if "metastore" in wanted else []
    consumers += [timestore] if timestore is not None else []
    return ConsumerParts(pool, consumers, _wakeups(settings), timestore, settings.timestore_compact_seconds)


def lake_place(settings: Settings) -> "LakePlace":
    from activities.consumers.lake import LakePlace

    return LakePlace(
        settings.database_url, settings.timestore_path, settings.timestore_memory_bytes, settings.timestore_s3_endpoint,
        settings.timestore_s3_region, settings.timestore_s3_key, settings.timestore_s3_secret,
    )  # fmt: skip


def api_parts(settings: Settings) -> ApiParts:
    keys = keyring_of(settings)
    served, counts = ServedMounts(settings.host_id, settings.spool_path, keys), Counts()
    dispatch = Dispatch(settings, served, budgets.STAGES.build(), counts.list_started)
    engine, pool = _engine(settings, served, dispatch, keys), make_connections(settings, budgets.API_CONNECTIONS)
    health = Health(settings, pool, engine, served, budgets.LOOKS.build())
    reads = budgets.READS.build()
    services = Services(
        settings, pool, dispatch, RouteExecutors(served, engine, settings.spool_path, keys), health,
        announce=engine.announce, start=engine.start_workflow, carry=engine.carry,
        wakeups=_wakeups(settings), threads=reads,
        contents=Contents(pool, hot_stores(settings), served, reads),
        vitals=Vitals(pool, engine, dispatch, served, health), keys=keys,
    )  # fmt: skip
    return ApiParts(services, counts, engine, served)


def worker_parts(settings: Settings) -> WorkerParts:
    keys = keyring_of(settings)
    served, counts = ServedMounts(settings.host_id, settings.spool_path, keys), ActivityCounts()
    engine = _engine(settings, served, None, keys, [CountedActivities(counts)])
    health = Health(settings, engine.pool, engine, served, budgets.LOOKS.build())
    telling = TellsProjects(engine.pool, hot_stores(settings))
    return WorkerParts(
        engine, served, WorkerVitals(engine, served, health), telling, counts, sealer(settings, engine.pool)
    )


def sealer(settings: Settings, pool: Pool) -> Sealer:
    return Sealer(pool, copies_of(settings))


@dataclass(frozen=True, slots=True)
class WatcherParts:
    """What the watcher process runs: nothing of it is open or started yet."""

    pool: Pool
    watches: Watches | None
    """None: switched off"""
    canaries: Canaries
    queue: NotificationQueue | None
    looks: LookStarts


def watcher_parts(settings: Settings) -> WatcherParts:
    pool = make_connections(settings, budgets.WATCH_CONNECTIONS, generic_plans=True)
    looks = LookStarts(settings)
    watches = Watches(settings, pool, looks) if settings.watch else None
    canaries = Canaries(settings, pool, budgets.LOOKS.build(), partial(open_executor, keys=keyring_of(settings)))
    stream = settings.notifications_stream
    queue = RedisNotifications(settings.redis_url, stream) if stream and settings.redis_url != "inline" else None
    return WatcherParts(pool, watches, canaries, queue, looks)


def make_connections(settings: Settings, budget: budgets.ConnectionBudget, *, generic_plans: bool = False) -> Pool:
    """A pool that is not open yet."""
    return make_pool(
        settings.database_url,
        name=budget.name,
        min_size=budget.least,
        max_size=budget.size,
        generic_plans=generic_plans,
    )


def hot_stores(settings: Settings) -> HotStores:
    """Of the loop that uses them first. Without an address projects are cold alone."""
    if not settings.nats_url:
        return NoHotStore()
    if not settings.nats_secret:
        return OneHot(NatsHot(NatsLink(settings.nats_url)))
    accounts = NatsAccounts(settings.nats_secret.encode(), settings.nats_tenant_bytes)
    return HotAccounts(settings.nats_url, accounts)


@asynccontextmanager
async def connections_of_a_command(settings: Settings, wait_seconds: float = 5) -> AsyncIterator[Pool]:
    """What an operator's command has, for as long as it runs. Raises PoolTimeout where Postgres does not answer."""
    pool = make_connections(settings, budgets.CHECK_CONNECTIONS)
    try:
        await pool.open(wait=True, timeout=wait_seconds)
        yield pool
    finally:
        await pool.close()


class RouteExecutors:
    """`Executors` for the routes, on the mounts this process serves."""

    def __init__(self, served: ServedMounts, engine: Engine, spool_path: str, keys: Keyring) -> None:
        self._served, self._engine, self._spool_path, self._keys = served, engine, spool_path, keys

    def of(self, mount: Mount) -> Executor:
        self._served.learn(mount)
        return self._served.of(mount.id)

    def register(self, mount: Mount, others: Sequence[Mount]) -> Identity | None:
        return prepare_storage(mount, self._spool_path, others, self._keys)

    def sentinel(self, mount: Mount) -> str | None:
        return read_sentinel(mount, self._spool_path, self._keys)

    def prove(self, mount: Mount) -> Identity | None:
        return prove_storage(mount, self._spool_path, self._keys)

    def prove_locks(self, mount: Mount) -> LockProof | None:
        return prove_locks(mount, self._spool_path, self._keys)

    async def refresh(self) -> None:
        self._engine.refresh()


def _engine(
    settings: Settings,
    served: ServedMounts,
    dispatch: Dispatch | None,
    keys: Keyring,
    around: Sequence[Interceptor] = (),
) -> Engine:
    pool = make_connections(settings, budgets.ENGINE_CONNECTIONS, generic_plans=True)
    stream = EventsStream(settings.events_stream, settings.events_stream_length) if settings.events_stream else None
    bus = (
        InlineBus() if settings.redis_url == "inline" else RedisBus(settings.redis_url, settings.events_channel, stream)
    )
    activities = _activities(settings, pool, served, dispatch or LogAudience(), bus, keys)
    activities = replace(activities, interceptors=[*activities.interceptors, *around])
    return Engine(settings, pool, served, activities, bus.close, dispatch)


def _activities(
    settings: Settings, pool: Pool, executors: Executors, audience: Audience, bus: Bus, keys: Keyring
) -> Activities:
    fresh = FreshAttempts()
    # Each mount has threads of its own, and copies have others than steps: a step that hangs or takes long holds up no other mount.
    steps, copies = budgets.STEPS.build(), budgets.COPIES.build()
    finish, publish = Finish(pool, executors, steps), Publish(pool, bus)
    contents = Contents(pool, hot_stores(settings), executors, copies)
    return Activities(
        Begin(pool, executors, steps, audience, fresh),
        StageCopies(pool, executors, copies),
        Apply(pool, executors, steps, fresh, settings.apply_seconds),
        Commit(pool, executors, steps, audience, publish.announce, settings.retention_days),
        finish,
        publish,
        Deliver(pool, settings.allowed_webhooks, keys),
        Sweep(pool, executors, steps, finish, settings.stage_max_age_seconds),
        Retention(
            pool,
            timedelta(days=settings.keys_keep_days),
            timedelta(days=settings.events_keep_days),
            timedelta(days=settings.operations_keep_days),
            drift=timedelta(days=settings.drift_keep_days),
        ),
        Archive(pool, None if settings.archive_path is None else open_place(settings.archive_path)),
        Recomputes(pool, publish.announce),
        PlanItems(pool),
        NextChunk(pool, executors, steps),
        VerifyFiles(pool, executors, copies),
        PurgeItems(pool, executors, copies),
        ForgetNodes(pool, publish.announce),
        TagRecords(pool, publish.announce),
        RetainTrash(pool),
        ImportTree(pool, executors, copies, publish.announce),
        Observe(pool, executors, copies, publish.announce),
        Jobs(pool, publish.announce),
        Heal(pool, executors, copies),
        Scrub(pool, executors, copies, publish.announce),
        project_activities(contents, publish.announce, settings.sync_repack_share),
        ObjectLockKeeper(pool, executors, steps, settings.object_lock_seconds),
        PassTime(pool, publish.announce),
    )


def _wakeups(settings: Settings) -> RedisWakeups | None:
    return None if settings.redis_url == "inline" else RedisWakeups(settings.redis_url, settings.events_channel)
