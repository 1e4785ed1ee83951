"""What is counted as it happens, in memory. From any thread.

A label is a kind, a code, a method or the template of a route, never what a client has sent: so the number of labels is
bounded. What a request costs here is measured by tests/bench/metrics.py.
"""

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics

from api.http.protocol import REASONS
from schema.commands.payloads import LIST_MAX
from schema.errors import BY_CODE

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
OTHER = "other"
"""A method that no route takes"""
UNMATCHED = "unmatched"
"""An address that no route has"""
NO_CODE = "none"
DEFECT = "INTERNAL_SERVER_ERROR"

_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_COMMAND_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_LIST_COMMANDS = (1, 2, 4, 8, 16, 32, 48, LIST_MAX)

# The time when each series began would be a second series for each, and is not needed.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Counts:
    """The counters of one process. `registry` has all of them, and what the kernel knows of the process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "filestore_http_requests", "Number of HTTP requests, by class of the status; `none`: no answer was sent.",
            ("method", "route", "status"), registry=self.registry,
        )  # fmt: skip
        self._request_seconds = Histogram(
            "filestore_http_request_duration_seconds", "Seconds from the arrival of an HTTP request until its answer begins.",
            ("method", "route"), registry=self.registry, buckets=_REQUEST_SECONDS,
        )  # fmt: skip
        self._commands = Counter(
            "filestore_commands_answered", "Number of commands that this process answered, by kind, outcome and error code.",
            ("kind", "outcome", "code"), registry=self.registry,
        )  # fmt: skip
        self._command_seconds = Histogram(
            "filestore_command_duration_seconds", "Seconds from when a command has arrived completely until it is answered.",
            ("kind", "outcome"), registry=self.registry, buckets=_COMMAND_SECONDS,
        )  # fmt: skip
        self._lists = Histogram(
            "filestore_list_commands", "Number of commands per list that this process started.",
            registry=self.registry, buckets=_LIST_COMMANDS,
        )  # fmt: skip
        self._refusals = Counter(
            "filestore_http_refusals", "Number of HTTP connections that a limit refused or cut off, by limit.",
            ("reason",), registry=self.registry,
        )  # fmt: skip
        for reason in REASONS:
            self._refusals.labels(reason)
        # Finding a series costs more than counting: each is found once.
        self._of_requests: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._of_commands: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        self.requests_in_progress = 0
        """Written by the HTTP loop alone"""

    def request(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """`route` is a template, None where there is none for it; `status` 0: there was no answer."""
        if method not in METHODS:
            method = OTHER
        key = method, route or UNMATCHED, status // 100
        if (series := self._of_requests.get(key)) is None:
            method, route, hundreds = key
            shown = f"{hundreds}xx" if hundreds else "none"
            series = self._of_requests[key] = (
                self._requests.labels(method, route, shown),
                self._request_seconds.labels(method, route),
            )
        series[0].inc()
        series[1].observe(seconds)

    def command(self, kind: str, outcome: str, code: str | None, seconds: float) -> None:
        """`code` can come from the record, and from another release: one that is not known here is told as a defect."""
        key = kind, outcome, NO_CODE if code is None else code if code in BY_CODE else DEFECT
        if (series := self._of_commands.get(key)) is None:
            series = self._of_commands[key] = self._commands.labels(*key), self._command_seconds.labels(kind, outcome)
        series[0].inc()
        series[1].observe(seconds)

    def refused(self, reason: str) -> None:
        self._refusals.labels(reason).inc()

    def list_started(self, commands: int) -> None:
        self._lists.observe(commands)
