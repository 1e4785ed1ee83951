"""How things stand at the moment of a scrape. Every family is there each time; where nothing is known it has no samples."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from activities.sync.traffic import Traffic
from api.observe.metrics.counts import Counts
from api.observe.metrics.projects import of_projects, of_traffic
from api.services import Load, MountSeen
from schema.store.bucket_notifications import NotificationsOfMount
from schema.store.looks import DriftOfMount
from schema.store.metrics import WorkCounts
from schema.store.object_locks import LockingMount
from schema.store.project_numbers import NumbersOfProject
from schema.store.quotas import QuotaSeen
from schema.store.scrub import ScrubOfMount
from schema.store.watchers import WatchOfMount, WatchRow

HEALTH = ("online", "degraded", "offline", "inactive")
_MOUNT = ("tenant", "mount")

Values = Mapping[tuple[str, ...], float]
"""By the values of the labels"""


@dataclass(frozen=True, slots=True)
class Page:
    """All that one scrape shows. Its text is made from `collect`, as prometheus_client does."""

    counts: Counts
    version: str
    followers: int
    loads: Sequence[Load]
    pools: Mapping[str, Mapping[str, int]]
    work: WorkCounts | None
    servers: Mapping[str, bool] | None
    mounts: Sequence[MountSeen] | None
    watches: Sequence[WatchOfMount] | None = None
    notifications: Sequence[NotificationsOfMount] | None = None
    quotas: Sequence[QuotaSeen] | None = None
    locks: Sequence[LockingMount] | None = None
    drift: Sequence[DriftOfMount] | None = None
    scrubs: Sequence[ScrubOfMount] | None = None
    projects: Sequence[NumbersOfProject] | None = None
    traffic: Traffic | None = None

    def collect(self) -> Iterator[Metric]:
        yield from self.counts.registry.collect()
        yield of_build(self.version)
        in_progress = self.counts.requests_in_progress
        yield gauge(
            "http_requests_in_progress", "Number of HTTP requests that have not ended, streams included.", (),
            {(): in_progress},
        )  # fmt: skip
        yield gauge("event_followers", "Number of event streams that are open.", (), {(): self.followers})
        yield from self._of_lanes()
        yield from of_pools(self.pools)
        yield of_servers({"postgres": self.work is not None} | dict(self.servers or {}))
        yield from of_mounts(self.mounts or ())
        yield from of_watches(self.watches or ())
        yield from of_notifications(self.notifications or ())
        yield from of_quotas(self.quotas or ())
        yield from of_locks(self.locks or ())
        yield from of_drift(self.drift or ())
        yield from of_scrubs(self.scrubs or ())
        yield from of_projects(self.projects or ())
        yield from of_traffic(self.traffic)
        yield from _of_work(self.work)

    def _of_lanes(self) -> Iterator[Metric]:
        waiting: Values = {(load.tenant, load.mount_key): load.waiting for load in self.loads}
        started: Values = {(load.tenant, load.mount_key): load.in_flight for load in self.loads}
        yield gauge(
            "commands_waiting", "Number of commands in the queue of this process that no list has taken yet, by mount.",
            _MOUNT, waiting,
        )  # fmt: skip
        yield gauge(
            "commands_in_lists", "Number of commands that this process has started and not answered yet, by mount.",
            _MOUNT, started,
        )  # fmt: skip


def of_build(version: str) -> Metric:
    return gauge("build_info", "Always 1. The label is the release of this process.", ("version",), {(version,): 1})


def of_pools(pools: Mapping[str, Mapping[str, int]]) -> Iterator[Metric]:
    """Of the pools of connections to Postgres, by name."""

    def values(name: str) -> Values:
        return {(pool,): stats.get(name, 0) for pool, stats in pools.items()}

    waited = {pool: milliseconds / 1000 for pool, milliseconds in values("requests_wait_ms").items()}
    for name, help, of in (
        ("pool_connections", "Number of open connections to Postgres, by pool.", "pool_size"),
        ("pool_connections_max", "Largest number of connections to Postgres that the pool may open.", "pool_max"),
        ("pool_connections_idle", "Number of open connections to Postgres that are not in use.", "pool_available"),
        ("pool_waiting", "Number of tasks that wait for a connection from the pool.", "requests_waiting"),
    ):
        yield gauge(name, help, ("pool",), values(of))
    yield counter(
        "pool_wait_seconds", "Seconds that tasks have waited for a connection from the pool, all together.",
        ("pool",), waited,
    )  # fmt: skip
    yield counter(
        "pool_timeouts", "Number of tasks that got no connection from the pool in time.", ("pool",),
        values("requests_errors"),
    )  # fmt: skip


def of_servers(up: Mapping[str, bool]) -> Metric:
    values: Values = {(server,): float(fine) for server, fine in up.items()}
    return gauge(
        "dependency_up", "1 if this server, or the worker of this host, answers this process; 0 if not.",
        ("dependency",), values,
    )  # fmt: skip


def of_mounts(mounts: Sequence[MountSeen]) -> Iterator[Metric]:
    values: Values = {
        (seen.tenant, seen.mount_key, one): float(seen.health == one) for seen in mounts for one in HEALTH
    }
    yield gauge(
        "mount_health", "1 for the health that the mount has, 0 for every other health.", (*_MOUNT, "health"), values
    )
    stuck: Values = {(seen.tenant, seen.mount_key): seen.stuck for seen in mounts}
    yield gauge(
        "cleanups_stuck", "Number of leftovers of commands that could not be cleared at the last try, by mount.",
        _MOUNT, stuck,
    )  # fmt: skip


def of_watches(watches: Sequence[WatchOfMount]) -> Iterator[Metric]:
    """Of the watches of local mounts, as their processes said last."""

    def values(number: Callable[[WatchRow], float]) -> Values:
        return {(one.tenant, one.mount_key): number(one.watch) for one in watches}

    yield gauge(
        "watch_up", "1 if the mount is watched, whole or in part; 0 if not.", _MOUNT,
        values(lambda watch: watch.state in ("watching", "partial")),
    )  # fmt: skip
    for name, help, number in (
        (
            "watch_lag_seconds",
            "Age in seconds of the oldest event that the watcher has not looked at yet, by mount.",
            "lag",
        ),
        ("watch_directories", "Number of directories that are watched, by mount.", "directories"),
        (
            "watch_unwatched",
            "Number of directories that are not watched, not counting those below them, by mount.",
            "unwatched",
        ),
    ):
        yield gauge(name, help, _MOUNT, values(attrgetter(number)))
    for name, help, number in (
        ("watch_events", "Number of events that the kernel sent about the mount.", "events"),
        ("watch_losses", "Number of times that events of the mount were lost or in doubt.", "lost"),
        ("watch_hints", "Number of looks that the watcher asked for, by mount.", "hints"),
        ("watch_own", "Number of changed names that were as our own commands left them, by mount.", "own"),
    ):
        yield counter(name, help, _MOUNT, values(attrgetter(number)))


def of_notifications(notifications: Sequence[NotificationsOfMount]) -> Iterator[Metric]:
    """Of buckets that have ever sent one."""
    silent: Values = {(one.tenant, one.mount_key): one.notifications.state == "silent" for one in notifications}
    keys: Values = {(one.tenant, one.mount_key): one.notifications.keys for one in notifications}
    yield gauge(
        "notifications_silent", "1 if the notifications of the bucket have fallen silent, 0 if not.", _MOUNT, silent
    )
    yield counter("notified_keys", "Number of keys that notifications of the bucket named, by mount.", _MOUNT, keys)


def of_quotas(quotas: Sequence[QuotaSeen]) -> Iterator[Metric]:
    """What there is for each, and whether it is more than its soft limits."""

    def values(number: Callable[[QuotaSeen], float | None]) -> Values:
        return {(one.tenant, str(one.id)): value for one in quotas if (value := number(one)) is not None}

    labels = ("tenant", "quota")
    for name, help, number in (
        ("quota_used_bytes", "Number of bytes that count for the quota.", lambda one: one.used.bytes),
        ("quota_used_nodes", "Number of nodes that count for the quota.", lambda one: one.used.nodes),
        ("quota_max_bytes", "Number of bytes that the quota allows.", lambda one: one.most.bytes),
        ("quota_max_nodes", "Number of nodes that the quota allows.", lambda one: one.most.nodes),
        ("quota_soft_passed", "1 if a soft limit of the quota is passed, 0 if not.", lambda one: float(one.soft)),
    ):
        yield gauge(name, help, labels, values(number))


def of_locks(mounts: Sequence[LockingMount]) -> Iterator[Metric]:
    """Of buckets that were seen to keep what is locked."""
    lost: Values = {(one.tenant, one.mount_key): one.lost for one in mounts}
    help = "1 if the bucket does not keep any more what it was seen to keep under Object Lock, 0 if it does."
    yield gauge("object_lock_lost", help, _MOUNT, lost)


def of_drift(mounts: Sequence[DriftOfMount]) -> Iterator[Metric]:
    """What looks have found, what stands, and how old the record may be."""
    found: Values = {(one.tenant, one.mount_key, kind): n for one in mounts for kind, n in one.found.items()}
    yield counter(
        "drift_found", "Number of places to which looks gave this verdict, by mount.", (*_MOUNT, "verdict"), found
    )
    states: Values = {(one.tenant, one.mount_key, state): n for one in mounts for state, n in one.findings.items()}
    yield gauge("drift_findings", "Number of findings that stand, by mount and state.", (*_MOUNT, "state"), states)
    audits: Values = {(one.tenant, one.mount_key): one.audit_seconds for one in mounts if one.audit_seconds is not None}
    yield gauge(
        "drift_audit_age_seconds", "Seconds since the last look at all of the mount began, by mount.", _MOUNT, audits
    )
    for name, help, number in (
        ("drift_healed", "Number of findings that are kept and over because all is well again, by mount.", "healed"),
        ("drift_looks_held", "Number of audits that wait for a yes, by mount.", "held"),
        ("drift_hints", "Number of places that wait for a look, by mount.", "hints"),
        (
            "drift_hints_oldest_seconds",
            "Age in seconds of the oldest place that waits for a look, by mount.",
            "hint_seconds",
        ),
    ):
        yield gauge(name, help, _MOUNT, {(one.tenant, one.mount_key): getattr(one, number) for one in mounts})


def of_scrubs(scrubs: Sequence[ScrubOfMount]) -> Iterator[Metric]:
    covered: Values = {(one.tenant, one.mount_key): one.coverage for one in scrubs}
    yield gauge(
        "scrub_coverage", "Share of the bytes of the mount that were read again within the promised time, by mount.", _MOUNT,
        covered,
    )  # fmt: skip
    damaged: Values = {(one.tenant, one.mount_key): one.damaged for one in scrubs}
    yield gauge(
        "scrub_damaged",
        "Number of files that the last two rounds of the scrub found damaged, by mount.",
        _MOUNT,
        damaged,
    )


def _of_work(work: WorkCounts | None) -> Iterator[Metric]:
    def values(name: str) -> Values:
        # An age of 0 where there is nothing: a rule then reads it without an exception.
        return {} if work is None else {(): getattr(work, name) or 0}

    yield counter("events_positioned", "Number of events that have a position in the feed.", (), values("position"))
    yield counter(
        "rollup_differences", "Number of directories of which a proof has found that their totals do not add up.", (),
        values("rollup_differences"),
    )  # fmt: skip
    for name, help, of in (
        ("events_unpositioned", "Number of events that have no position in the feed yet.", "unpositioned"),
        ("events_unpositioned_oldest_seconds", "Age in seconds of the oldest event without a position.", "unpositioned_seconds"),
        ("events_unsent", "Number of events with a position that were not sent to Redis yet.", "unsent"),
        ("events_unsent_oldest_seconds", "Age in seconds of the oldest event that was not sent to Redis yet.", "unsent_seconds"),
        ("commands_running", "Number of commands on record that have begun and not ended.", "running"),
        ("commands_running_oldest_seconds", "Seconds since the oldest attempt of a running command began.", "running_seconds"),
        (
            "commands_untouched_seconds", "Seconds since the last sign of work on the running command that waits longest.",
            "untouched_seconds",
        ),
        ("rollups_invalid", "Number of directories whose totals are known to be wrong and not recomputed yet.", "rollups_invalid"),
        (
            "rollup_proof_oldest_seconds", "Seconds since the last proof of the mount that waits longest for its next one.",
            "rollup_proof_seconds",
        ),
        ("cleanups_waiting", "Number of ended commands whose leftovers on the storage are not cleared yet.", "cleanups"),
        ("cleanups_oldest_seconds", "Age in seconds of the oldest leftover that is not cleared yet.", "cleanups_seconds"),
    ):  # fmt: skip
        yield gauge(name, help, (), values(of))


def gauge(name: str, help: str, labels: Sequence[str], values: Values) -> Metric:
    family = GaugeMetricFamily(f"filestore_{name}", help, labels=labels)
    for of, value in values.items():
        family.add_metric(of, value)
    return family


def counter(name: str, help: str, labels: Sequence[str], values: Values) -> Metric:
    family = CounterMetricFamily(f"filestore_{name}", help, labels=labels)
    for of, value in values.items():
        family.add_metric(of, value)
    return family
