"""The HTTP pages of the consumers' process: /health, /ready and /metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.observe.metrics.gauges import gauge, of_build
from schema.consumers.following import Following
from workers.process.following import Consumer
from workers.process.page import allowed

_PATIENCE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class ConsumerStanding:
    """How a consumer stands, or why it can not be told."""

    name: str
    found: Following | None
    problem: str | None = None

    @property
    def state(self) -> str:
        return "unknown" if self.found is None else self.found.state()

    def shown(self) -> dict[str, Any]:
        found = self.found
        behind = None if found is None else found.last - found.position
        problem = self.problem if found is None else found.problem
        return {"state": self.state, "behind": behind, "problem": problem}


@dataclass(frozen=True, slots=True)
class ConsumersScrape:
    registry: CollectorRegistry
    version: str
    standings: Sequence[ConsumerStanding]

    def collect(self) -> Iterator[Metric]:
        yield from self.registry.collect()
        yield of_build(self.version)
        found = {(one.name,): one.found for one in self.standings if one.found is not None}
        label = ("consumer",)
        yield gauge(
            "consumer_behind_events", "Number of events that a consumer has not taken in yet.", label,
            {name: one.last - one.position for name, one in found.items()},
        )  # fmt: skip
        yield gauge(
            "consumer_lag_seconds", "Age in seconds of the oldest event that a consumer has not taken in.", label,
            {name: one.lag_seconds or 0.0 for name, one in found.items()},
        )  # fmt: skip
        yield gauge(
            "consumer_stalled", "1 where a consumer has something to take in, and took in nothing for 30 s.", label,
            {(one.name,): float(one.state == "stalled") for one in self.standings if one.found is not None},
        )  # fmt: skip
        yield gauge(
            "consumer_rows", "Number of rows that a consumer has written, in all.", label,
            {name: one.records for name, one in found.items()},
        )  # fmt: skip


def app(consumers: Sequence[Consumer], version: str, token: str | None) -> Starlette:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)

    async def health(_: Request) -> Response:
        return Response(b'{"status":"ok"}', media_type="application/json")

    async def ready(_: Request) -> Response:
        standings = await _standings(consumers)
        well = all(one.state not in ("stalled", "unknown") for one in standings)
        body = {"status": "ok" if well else "unavailable", "checks": {one.name: one.shown() for one in standings}}
        return Response(orjson.dumps(body), 200 if well else 503, media_type="application/json")

    async def metrics(request: Request) -> Response:
        if not allowed(request, token):
            return Response("Send the token that FILESTORE_METRICS_TOKEN names, as Bearer.\n", 401)
        scrape = ConsumersScrape(registry, version, await _standings(consumers))
        return Response(generate_latest(scrape), headers={"content-type": CONTENT_TYPE_PLAIN_0_0_4})

    return Starlette(routes=[Route("/health", health), Route("/ready", ready), Route("/metrics", metrics)])


async def _standings(consumers: Sequence[Consumer]) -> list[ConsumerStanding]:
    return list(await asyncio.gather(*map(_standing, consumers)))


async def _standing(consumer: Consumer) -> ConsumerStanding:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return ConsumerStanding(consumer.name, await consumer.state())
    except Exception as error:
        return ConsumerStanding(consumer.name, None, f"{type(error).__name__}: {error}")
