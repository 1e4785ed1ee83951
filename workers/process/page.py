"""The HTTP pages of a worker: /health, /ready and /metrics. They are served apart from the engine, so that a worker whose work
hangs can still say so."""

import asyncio
import hmac
from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import orjson
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.observe.health import status_of
from api.observe.metrics import gauges
from api.services import MountSeen
from workers.process.counts import ActivityCounts

T = TypeVar("T")

_PATIENCE_SECONDS = 3.0
_SILENT = {"process": f"The engine of this worker did not answer within {_PATIENCE_SECONDS:g} s: it is busy, or hangs."}


class Observed(Protocol):
    """The questions for the engine of the process. Every answer comes from the engine's own loop."""

    async def report(self) -> Mapping[str, Any]: ...

    async def mounts(self) -> list[MountSeen]: ...

    def pools(self) -> Mapping[str, Mapping[str, int]]: ...

    def queues(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Scrape:
    """What one scrape shows."""

    counts: ActivityCounts
    version: str
    pools: Mapping[str, Mapping[str, int]]
    queues: int
    report: Mapping[str, Any]
    mounts: list[MountSeen]

    def collect(self) -> Iterator[Metric]:
        yield from self.counts.registry.collect()
        yield gauges.of_build(self.version)
        yield gauges.gauge(
            "queues_polled", "Number of Temporal task queues that this process polls.", (), {(): self.queues}
        )
        yield from gauges.of_pools(self.pools)
        servers = {name: self.report.get(name) for name in ("postgres", "temporal", "redis")}
        yield gauges.of_servers({name: state == "ok" for name, state in servers.items() if state != "inline"})
        yield from gauges.of_mounts(self.mounts)


def app(observed: Observed, counts: ActivityCounts, version: str, token: str | None) -> Starlette:
    async def health(_: Request) -> Response:
        return Response(b'{"status":"ok"}', media_type="application/json")

    async def ready(_: Request) -> Response:
        report = await _in_time(observed.report(), _SILENT)
        status = status_of(report)
        body = orjson.dumps({"status": status, "checks": report}, default=str)
        return Response(body, 503 if status == "unavailable" else 200, media_type="application/json")

    async def metrics(request: Request) -> Response:
        if not allowed(request, token):
            return Response("Send the token that FILESTORE_METRICS_TOKEN names, as Bearer.\n", 401)
        report, mounts = await asyncio.gather(_in_time(observed.report(), {}), _in_time(observed.mounts(), []))
        scrape = Scrape(counts, version, observed.pools(), observed.queues(), report, mounts)
        return Response(generate_latest(scrape), headers={"content-type": CONTENT_TYPE_PLAIN_0_0_4})

    return Starlette(routes=[Route("/health", health), Route("/ready", ready), Route("/metrics", metrics)])


def allowed(request: Request, token: str | None) -> bool:
    sent = request.headers.get("authorization", "").encode("latin-1")
    return token is None or hmac.compare_digest(sent, f"Bearer {token}".encode())


async def _in_time(answer: Awaitable[T], otherwise: T) -> T:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return await answer
    except TimeoutError:
        return otherwise
