"""Count the activities of a worker process as they begin and end. The label is the name of the activity: there are few."""

from time import perf_counter
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600)


class ActivityCounts:
    """The counters of one process. `registry` has all of them, and what the kernel knows of the process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._ended = Counter(
            "filestore_activities", "Number of activities that ended in this process, by name and outcome.",
            ("activity", "outcome"), registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "filestore_activity_duration_seconds", "Seconds that an activity took from its begin to its end.",
            ("activity",), registry=self.registry, buckets=_SECONDS,
        )  # fmt: skip
        self._running = Gauge(
            "filestore_activities_in_progress", "Number of activities that have begun in this process and not ended.",
            ("activity",), registry=self.registry,
        )  # fmt: skip
        self._refusals = Counter(
            "filestore_http_refusals", "Number of HTTP connections that a limit refused or cut off, by limit.",
            ("reason",), registry=self.registry,
        )  # fmt: skip

    def begun(self, name: str) -> None:
        self._running.labels(name).inc()

    def ended(self, name: str, outcome: str, seconds: float) -> None:
        self._running.labels(name).dec()
        self._ended.labels(name, outcome).inc()
        self._seconds.labels(name).observe(seconds)

    def refused(self, reason: str) -> None:
        self._refusals.labels(reason).inc()


class CountedActivities(Interceptor):
    def __init__(self, counts: ActivityCounts) -> None:
        self._counts = counts

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Counting(next, self._counts)


class _Counting(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, counts: ActivityCounts) -> None:
        super().__init__(next)
        self._counts = counts

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        name, begun, outcome = activity.info().activity_type, perf_counter(), "failed"
        self._counts.begun(name)
        try:
            result = await super().execute_activity(input)
            outcome = "completed"
            return result
        finally:
            self._counts.ended(name, outcome, perf_counter() - begun)
