"""A page of metrics as a scraper reads it, and vitals that are made up."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from activities import budgets
from api.app import create_app
from api.services import Load, MountSeen, ProcessVitals, Services
from schema.settings import Settings
from schema.store.pool import Pool
from tests.api.conftest import FrontOfTest, Tree

SECRET = "scrapers-only-0123456789"


Labels = Mapping[str, str]


class Scraped:
    """A page as Prometheus understands it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families: dict[str, Metric] = {family.name: family for family in text_string_to_metric_families(text)}
        self._samples = [sample for family in self.families.values() for sample in family.samples]

    def __call__(self, name: str, **labels: str) -> float | None:
        """The value of the one sample with exactly these labels."""
        found = [sample.value for sample in self._samples if sample.name == name and sample.labels == labels]
        assert len(found) < 2, f"{name} {labels} is there twice"
        return found[0] if found else None

    def labels(self, name: str) -> list[Labels]:
        return [sample.labels for sample in self._samples if sample.name == name]


async def scrape(client: httpx2.AsyncClient) -> Scraped:
    answer = await client.get("/metrics")
    assert answer.status_code == 200, answer.text
    return Scraped(answer.text)


@dataclass
class KnownVitals:
    """`ProcessVitals` that tell what they are told to."""

    loads_: Sequence[Load] = ()
    mounts_: Sequence[MountSeen] = ()
    servers_: Mapping[str, bool] = field(default_factory=lambda: {"temporal": True, "redis": False})
    seconds: float = 0.0
    """How long the servers and mounts take to answer"""
    asked: int = 0

    def pools(self) -> Mapping[str, Mapping[str, int]]:
        return {"engine": {"pool_size": 4, "pool_max": 12, "requests_waiting": 3, "requests_wait_ms": 1500}}

    def loads(self) -> Sequence[Load]:
        return self.loads_

    async def servers(self) -> Mapping[str, bool]:
        self.asked += 1
        await asyncio.sleep(self.seconds)
        return self.servers_

    async def mounts(self) -> Sequence[MountSeen]:
        await asyncio.sleep(self.seconds)
        return self.mounts_


def other(
    front: FrontOfTest, *, vitals: ProcessVitals | None = None, pool: Pool | None = None, **settings: Any
) -> httpx2.AsyncClient:
    """A client of what looks like another process: its own counts, these vitals, these settings."""
    configured = Settings(host_id="test-host", **settings)
    services = Services(
        configured,
        pool or front.pool,
        front.commands,
        front.disks,
        front.health,
        vitals=vitals,
        threads=budgets.READS.build(),
    )
    transport = httpx2.ASGITransport(create_app(services), raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://front")


async def mkdir(client: httpx2.AsyncClient, tree: Tree, path: str, **body: Any) -> httpx2.Response:
    return await client.post("/v1/directories", json={"backendMountId": tree.mount, "path": path, **body})
