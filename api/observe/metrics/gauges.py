"""How things stand at the moment of a scrape. Every family is there each time; where nothing is known it has no samples."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from api.observe.metrics.counts import Counts
from api.services import Load, MountSeen
from schema.store.metrics import WorkCounts

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

    def collect(self) -> Iterator[Metric]:
        yield from self.counts.registry.collect()
        yield _gauge("build_info", "Always 1; the release is its label.", ("version",), {(self.version,): 1})
        in_progress = self.counts.requests_in_progress
        yield _gauge(
            "http_requests_in_progress", "Requests that have not ended, streams included.", (), {(): in_progress}
        )
        yield _gauge("event_followers", "Streams of events that are open here.", (), {(): self.followers})
        yield from self._of_lanes()
        yield from self._of_pools()
        yield from self._of_servers()
        yield from _of_work(self.work)

    def _of_lanes(self) -> Iterator[Metric]:
        waiting: Values = {(load.tenant, load.mount_key): load.waiting for load in self.loads}
        in_flight: Values = {(load.tenant, load.mount_key): load.in_flight for load in self.loads}
        yield _gauge("commands_waiting", "Commands in the queue of this process, by mount.", _MOUNT, waiting)
        yield _gauge("commands_in_lists", "Commands that this process has started and not answered.", _MOUNT, in_flight)

    def _of_pools(self) -> Iterator[Metric]:
        def told(name: str) -> Values:
            return {(pool,): stats.get(name, 0) for pool, stats in self.pools.items()}

        waited = {pool: milliseconds / 1000 for pool, milliseconds in told("requests_wait_ms").items()}
        yield _gauge("pool_connections", "Connections to Postgres that are open.", ("pool",), told("pool_size"))
        yield _gauge("pool_connections_max", "And how many there can be.", ("pool",), told("pool_max"))
        yield _gauge("pool_connections_idle", "Those that nobody uses.", ("pool",), told("pool_available"))
        yield _gauge("pool_waiting", "Who waits for a connection now.", ("pool",), told("requests_waiting"))
        yield _counter("pool_wait_seconds", "Time spent waiting for a connection.", ("pool",), waited)
        yield _counter("pool_timeouts", "Who waited in vain.", ("pool",), told("requests_errors"))

    def _of_servers(self) -> Iterator[Metric]:
        up: dict[tuple[str, ...], float] = {("postgres",): float(self.work is not None)}
        up |= {(server,): float(fine) for server, fine in (self.servers or {}).items()}
        yield _gauge("dependency_up", "Whether this server answers this process.", ("dependency",), up)
        health: Values = {
            (seen.tenant, seen.mount_key, one): float(seen.health == one)
            for seen in self.mounts or ()
            for one in HEALTH
        }
        yield _gauge("mount_health", "1 for what holds, 0 for the others.", (*_MOUNT, "health"), health)
        stuck: Values = {(seen.tenant, seen.mount_key): seen.stuck for seen in self.mounts or ()}
        yield _gauge(
            "cleanups_stuck", "Leftovers of commands that could not be cleared at the last try.", _MOUNT, stuck
        )


def _of_work(work: WorkCounts | None) -> Iterator[Metric]:
    def told(name: str) -> Values:
        # An age of 0 where there is nothing: a rule then reads it without an exception.
        return {} if work is None else {(): getattr(work, name) or 0}

    yield _counter("events_positioned", "Events that were given their position in the feed.", (), told("position"))
    yield _gauge("events_unpositioned", "Events without a position.", (), told("unpositioned"))
    yield _gauge("events_unpositioned_oldest_seconds", "Age of the oldest.", (), told("unpositioned_seconds"))
    yield _gauge("events_unsent", "Events with a position that Redis has not had.", (), told("unsent"))
    yield _gauge("events_unsent_oldest_seconds", "Age of the oldest.", (), told("unsent_seconds"))
    yield _gauge("commands_running", "Commands on record that have not ended.", (), told("running"))
    yield _gauge("commands_running_oldest_seconds", "Age of the oldest attempt.", (), told("running_seconds"))
    yield _gauge("commands_untouched_seconds", "The longest that nobody was at one.", (), told("untouched_seconds"))
    yield _gauge("cleanups_waiting", "Commands with something left to clear on the storage.", (), told("cleanups"))
    yield _gauge("cleanups_oldest_seconds", "Age of the oldest.", (), told("cleanups_seconds"))


def _gauge(name: str, told: str, labels: Sequence[str], values: Values) -> Metric:
    family = GaugeMetricFamily(f"filestore_{name}", told, labels=labels)
    for of, value in values.items():
        family.add_metric(of, value)
    return family


def _counter(name: str, told: str, labels: Sequence[str], values: Values) -> Metric:
    family = CounterMetricFamily(f"filestore_{name}", told, labels=labels)
    for of, value in values.items():
        family.add_metric(of, value)
    return family
