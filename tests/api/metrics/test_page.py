"""The page: what Prometheus reads, what the docs list, what a worker has."""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest

from api.services import Load, MountSeen
from tests.api.conftest import FrontOfTest
from tests.api.metrics.helpers import SECRET, KnownVitals, Scraped, other, scrape
from workers.process import page
from workers.process.counts import ActivityCounts

DOCS = Path(__file__).resolve().parents[3] / "docs" / "metrics.md"


async def test_the_page_is_what_prometheus_reads(front: FrontOfTest) -> None:
    async with front.client() as anonymous:
        answer = await anonymous.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    page = Scraped(answer.text)
    assert page("filestore_build_info", version=front.app.version) == 1
    assert cast("float", page("process_resident_memory_bytes")) > 2**20
    assert cast("float", page("process_open_fds")) > 3
    assert all(family.documentation for family in page.families.values())
    assert not [name for name in page.families if name.endswith("_created")]


def documented(*others: str) -> list[str]:
    """The metrics of every section of the page but these."""
    sections = DOCS.read_text(encoding="utf-8").split("\n## ")
    kept = "\n".join(section for section in sections if section.splitlines()[0] not in others)
    return re.findall(r"^\| `([a-z_]+)` \| (?:counter|gauge|histogram) \|", kept, re.M)


@pytest.mark.parametrize("vitals", [None, KnownVitals()], ids=["alone", "whole"])
async def test_the_list_in_the_docs_is_what_is_exposed(front: FrontOfTest, vitals: KnownVitals | None) -> None:
    async with other(front, vitals=vitals) as anonymous:
        page = await scrape(anonymous)
    assert exposed(page) == sorted(documented("The worker", "Consumers"))
    assert [name for name, family in page.families.items() if not SAYS_WHAT.match(family.documentation)] == []


SAYS_WHAT = re.compile(
    r"(Number of|Share of|Seconds|Age in seconds|1 (if|for)|Always 1|Largest number|process_|.*(in|of) (bytes|seconds|open))",
    re.I,
)
"""How the help of a metric begins: what is counted, or the unit. (The last are prometheus_client's own words.)"""


def exposed(page: Scraped) -> list[str]:
    return sorted(name + "_total" * (family.type == "counter") for name, family in page.families.items())


class KnownEngine:
    """`Observed` of a worker's page that says what it is told."""

    def __init__(self, **states: str) -> None:
        self.states, self.hangs = {"postgres": "ok", "temporal": "ok", "redis": "ok", "worker": "ok"} | states, False

    async def report(self) -> Mapping[str, Any]:
        if self.hangs:
            await asyncio.Event().wait()
        return self.states

    async def mounts(self) -> list[MountSeen]:
        return [MountSeen("main", "m", "online")]

    def pools(self) -> Mapping[str, Mapping[str, int]]:
        return KnownVitals().pools()

    def queues(self) -> int:
        return 3


def worker_page(engine: KnownEngine, counts: ActivityCounts, token: str | None = None) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(page.app(engine, counts, "0.0.1", token))
    return httpx2.AsyncClient(transport=transport, base_url="http://worker")


async def test_a_worker_has_metrics_of_its_own_and_the_docs_list_them() -> None:
    counts = ActivityCounts()
    counts.begun("sweep")
    counts.ended("sweep", "completed", 0.5)
    counts.begun("apply")
    async with worker_page(KnownEngine(redis="Redis is away."), counts) as anonymous:
        seen = await scrape(anonymous)
    sections = (
        "Requests", "Commands", "What is left to do", "Quotas", "Object Lock", "Watches and notifications",
        "Drift", "Projects", "Consumers",
    )  # fmt: skip
    assert exposed(seen) == sorted([*documented(*sections), "filestore_http_refusals_total"])
    assert [name for name, family in seen.families.items() if not SAYS_WHAT.match(family.documentation)] == []
    assert seen("filestore_activities_total", activity="sweep", outcome="completed") == 1
    assert seen("filestore_activity_duration_seconds_sum", activity="sweep") == 0.5
    running = {name: seen("filestore_activities_in_progress", activity=name) for name in ("sweep", "apply")}
    assert running == {"sweep": 0, "apply": 1}
    up = {name: seen("filestore_dependency_up", dependency=name) for name in ("postgres", "temporal", "redis")}
    assert up == {"postgres": 1, "temporal": 1, "redis": 0}
    assert seen("filestore_queues_polled") == 3
    assert seen("filestore_mount_health", tenant="main", mount="m", health="online") == 1


async def test_the_metrics_of_a_worker_need_the_same_token() -> None:
    async with worker_page(KnownEngine(), ActivityCounts(), SECRET) as anonymous:
        answers = [await anonymous.get("/metrics", headers=headers) for headers in ({}, {"authorization": "Bearer x"})]
        right = await anonymous.get("/metrics", headers={"authorization": f"Bearer {SECRET}"})
    assert [answer.status_code for answer in answers] == [401, 401] and right.status_code == 200


async def test_a_worker_whose_engine_hangs_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "_PATIENCE_SECONDS", 0.05)
    engine = KnownEngine()
    engine.hangs = True
    async with worker_page(engine, ActivityCounts()) as anonymous:
        answer, scraped = await anonymous.get("/ready"), await scrape(anonymous)
        assert (await anonymous.get("/health")).status_code == 200
    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
    assert "did not answer" in answer.json()["checks"]["process"]
    assert scraped("filestore_dependency_up", dependency="temporal") == 0


async def test_the_docs_name_the_type_and_every_label(front: FrontOfTest) -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| (\w+) \| (.*?) \|", DOCS.read_text(encoding="utf-8"), re.M)
    documented = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    known = KnownVitals([Load("main", "m", 1, 2)], [MountSeen("main", "m", "online")])
    async with other(front, vitals=known) as anonymous:
        await anonymous.post("/v1/directories", json={"backendMountId": 1, "path": "a"})
        page = await scrape(anonymous)
    for family in page.families.values():
        kind, labels = documented[family.name + "_total" * (family.type == "counter")]
        assert kind == family.type, family.name
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == labels, sample.name


async def test_the_document_lists_the_route(front: FrontOfTest) -> None:
    async with front.client() as anonymous:
        document = (await anonymous.get("/openapi.json")).json()
    route = document["paths"]["/metrics"]["get"]
    assert list(route["responses"]["200"]["content"]) == ["text/plain"]
    assert "FILESTORE_METRICS_TOKEN" in route["description"] and "401" in route["responses"]
