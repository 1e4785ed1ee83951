"""The page for Prometheus: what is counted, under which labels, what it must never tell, and what it costs others."""

import asyncio
import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError

from activities import budgets
from api.app import create_app
from api.observe.metrics import looks
from api.observe.metrics.counts import Counts
from api.services import Load, MountSeen, ProcessVitals, Services
from api.submission import Submission
from schema import errors
from schema.commands.payloads import Outcome
from schema.ids import MountId
from schema.mounts import Mount
from schema.settings import Settings
from schema.store import metrics as store
from schema.store.pool import Pool, make_pool
from tests.api.conftest import FrontOfTest, Tree, failed, pends, succeeded
from tests.fix_service import MountOfTest, Service
from workers.engine import health
from workers.engine.health import Health
from workers.engine.vitals import _health
from workers.process import page
from workers.process.counts import ActivityCounts

DOCS = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
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
    """A client of another process, as far as anybody can tell: its own counts, these vitals, these settings."""
    told = Settings(host_id="test-host", **settings)
    services = Services(
        told,
        pool or front.pool,
        front.commands,
        front.disks,
        front.health,
        vitals=vitals,
        threads=budgets.READS.build(),
    )
    transport = httpx2.ASGITransport(create_app(services), raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://front")


# The page


async def test_the_page_is_what_prometheus_reads(front: FrontOfTest) -> None:
    async with front.client() as anybody:
        answer = await anybody.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
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
    async with other(front, vitals=vitals) as anybody:
        page = await scrape(anybody)
    assert exposed(page) == sorted(documented("The worker"))
    assert [name for name, family in page.families.items() if not SAYS_WHAT.match(family.documentation)] == []


SAYS_WHAT = re.compile(
    r"(Number of|Seconds|Age in seconds|1 (if|for)|Always 1|Largest number|process_|.*(in|of) (bytes|seconds|open))",
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
    async with worker_page(KnownEngine(redis="Redis is away."), counts) as anybody:
        seen = await scrape(anybody)
    sections = ("Requests", "Commands", "What is left to do")
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
    async with worker_page(KnownEngine(), ActivityCounts(), SECRET) as anybody:
        answers = [await anybody.get("/metrics", headers=headers) for headers in ({}, {"authorization": "Bearer x"})]
        right = await anybody.get("/metrics", headers={"authorization": f"Bearer {SECRET}"})
    assert [answer.status_code for answer in answers] == [401, 401] and right.status_code == 200


async def test_a_worker_whose_engine_hangs_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "_PATIENCE_SECONDS", 0.05)
    engine = KnownEngine()
    engine.hangs = True
    async with worker_page(engine, ActivityCounts()) as anybody:
        answer, scraped = await anybody.get("/ready"), await scrape(anybody)
        assert (await anybody.get("/health")).status_code == 200
    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
    assert "did not answer" in answer.json()["checks"]["process"]
    assert scraped("filestore_dependency_up", dependency="temporal") == 0


async def test_the_docs_name_the_type_and_every_label(front: FrontOfTest) -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| (\w+) \| (.*?) \|", DOCS.read_text(encoding="utf-8"), re.M)
    told = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    known = KnownVitals([Load("main", "m", 1, 2)], [MountSeen("main", "m", "online")])
    async with other(front, vitals=known) as anybody:
        await anybody.post("/v1/directories", json={"backendMountId": 1, "path": "a"})
        page = await scrape(anybody)
    for family in page.families.values():
        kind, labels = told[family.name + "_total" * (family.type == "counter")]
        assert kind == family.type, family.name
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == labels, sample.name


async def test_the_document_lists_the_route(front: FrontOfTest) -> None:
    async with front.client() as anybody:
        document = (await anybody.get("/openapi.json")).json()
    told = document["paths"]["/metrics"]["get"]
    assert list(told["responses"]["200"]["content"]) == ["text/plain"]
    assert "FILESTORE_METRICS_TOKEN" in told["description"] and "401" in told["responses"]


# Requests


async def test_a_request_is_counted_under_the_template_of_its_route(
    front: FrontOfTest, client: httpx2.AsyncClient
) -> None:
    assert (await client.get("/v1/nodes/123456789")).status_code == 404
    assert (await client.get("/v1/nodes/987654321")).status_code == 404
    assert (await client.get("/v1/backend-mounts")).status_code == 200
    page = await scrape(client)
    assert page("filestore_http_requests_total", method="GET", route="/v1/nodes/{id}", status="4xx") == 2
    assert page("filestore_http_requests_total", method="GET", route="/v1/backend-mounts", status="2xx") == 1
    assert page("filestore_http_request_duration_seconds_count", method="GET", route="/v1/nodes/{id}") == 2
    told = page("filestore_http_request_duration_seconds_sum", method="GET", route="/v1/nodes/{id}")
    assert told is not None and 0 < told < 60
    assert "123456789" not in page.text and "987654321" not in page.text
    assert page("filestore_http_requests_in_progress") == 1, "the scrape itself"


async def test_a_defect_is_counted_as_what_its_client_was_told(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    front.commands.answers = lambda submission: 1 / 0  # type: ignore[assignment, return-value]
    assert (await mkdir(client, tree, "a")).status_code == 500
    page = await scrape(client)
    assert page("filestore_http_requests_total", method="POST", route="/v1/directories", status="5xx") == 1
    refused = {"kind": "createDirectory", "outcome": "refused", "code": "INTERNAL_SERVER_ERROR"}
    assert page("filestore_commands_answered_total", **refused) == 1
    assert page("filestore_http_requests_in_progress") == 1


async def test_a_request_is_counted_when_its_answer_begins_or_when_there_is_none(front: FrontOfTest) -> None:
    route = "/v1/events/stream"
    scope = {
        "type": "http", "method": "GET", "path": route, "raw_path": route.encode(), "query_string": b"", "scheme": "http",
        "root_path": "", "server": ("front", 80), "client": ("me", 1), "http_version": "1.1",
        "headers": [(b"authorization", f"Bearer {front.tokens['read']}".encode())],
    }  # fmt: skip
    begun, gone = asyncio.Event(), asyncio.Event()

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        begun.set()

    async with front.client() as anybody:
        stream = asyncio.create_task(front.app(scope, receive, send))
        await asyncio.wait_for(begun.wait(), 10)
        page = await scrape(anybody)
        assert page("filestore_http_requests_total", method="GET", route=route, status="2xx") == 1, "it goes on"
        assert page("filestore_event_followers") == 1 and page("filestore_http_requests_in_progress") == 2
        gone.set()
        await asyncio.wait_for(stream, 10)
        page = await scrape(anybody)
        assert page("filestore_event_followers") == 0 and page("filestore_http_requests_in_progress") == 1
        assert page("filestore_http_requests_total", method="GET", route=route, status="2xx") == 1, "once"
    front.app.state.feed.close()


async def test_who_leaves_without_an_answer_is_counted_too(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    started = asyncio.Event()

    async def never(submission: Submission) -> Outcome:
        started.set()
        await asyncio.sleep(60)
        return succeeded(submission)

    front.commands.submit = never  # type: ignore[method-assign]
    request = asyncio.create_task(mkdir(client, tree, "a"))
    await asyncio.wait_for(started.wait(), 10)
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    page = await scrape(client)
    assert page("filestore_http_requests_total", method="POST", route="/v1/directories", status="none") == 1
    told = {"kind": "createDirectory", "outcome": "abandoned", "code": "none"}
    assert page("filestore_commands_answered_total", **told) == 1


# Commands


async def mkdir(client: httpx2.AsyncClient, tree: Tree, path: str, **body: Any) -> httpx2.Response:
    return await client.post("/v1/directories", json={"backendMountId": tree.mount, "path": path, **body})


def full(submission: Submission) -> Outcome:
    raise errors.RateLimited(waiting=7)


def raised_elsewhere(submission: Submission) -> Outcome:
    raise RuntimeError("nobody thought of this")


@pytest.mark.parametrize(
    ("answers", "outcome", "code"),
    [
        (succeeded, "succeeded", "none"),
        (lambda submission: failed(submission, "NODE_EXISTS"), "failed", "NODE_EXISTS"),
        (lambda submission: failed(submission, "A_CODE_OF_TOMORROW"), "failed", "INTERNAL_SERVER_ERROR"),
        (lambda submission: replace(succeeded(submission), replayed=True), "replayed", "none"),
        (lambda submission: replace(failed(submission, "NODE_EXISTS"), replayed=True), "replayed", "NODE_EXISTS"),
        (full, "refused", "RATE_LIMITED"),
        (raised_elsewhere, "refused", "INTERNAL_SERVER_ERROR"),
        (pends, "pending", "none"),
    ],
)
async def test_a_command_is_counted_by_how_it_was_answered(
    front: FrontOfTest,
    client: httpx2.AsyncClient,
    tree: Tree,
    answers: Callable[[Submission], Outcome],
    outcome: str,
    code: str,
) -> None:
    front.commands.answers = answers
    await mkdir(client, tree, "a")
    page = await scrape(client)
    expected = {"kind": "createDirectory", "outcome": outcome, "code": code}
    assert page.labels("filestore_commands_answered_total") == [expected]
    assert page("filestore_commands_answered_total", **expected) == 1
    told = {"kind": "createDirectory", "outcome": outcome}
    assert page("filestore_command_duration_seconds_count", **told) == 1


async def test_each_command_of_a_list_is_counted(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    commands = [{"command": "createDirectory", "backendMountId": tree.mount, "path": path} for path in ("a", "b")]
    commands.append({"command": "deleteNode", "backendMountId": tree.mount, "path": "c"})
    done = {"outcome": "succeeded", "code": "none"}
    for count, mode in enumerate(("independent", "atomic"), 1):
        answer = await client.post("/v1/commands", json={"mode": mode, "commands": commands})
        assert answer.status_code == 200, answer.text
        page = await scrape(client)
        assert page("filestore_commands_answered_total", kind="createDirectory", **done) == 2 * count
        assert page("filestore_commands_answered_total", kind="deleteNode", **done) == count
    front.commands.answers = full
    await client.post("/v1/commands", json={"mode": "atomic", "commands": commands})
    page = await scrape(client)
    refused = {"outcome": "refused", "code": "RATE_LIMITED"}
    assert page("filestore_commands_answered_total", kind="createDirectory", **refused) == 2
    assert page("filestore_commands_answered_total", kind="deleteNode", **refused) == 1


async def test_lists_are_counted_by_their_size(front: FrontOfTest, client: httpx2.AsyncClient) -> None:
    for commands in (1, 1, 3, 64):
        front.app.state.counts.list_started(commands)
    page = await scrape(client)
    assert page("filestore_list_commands_count") == 4 and page("filestore_list_commands_sum") == 69
    assert page("filestore_list_commands_bucket", le="1.0") == 2
    assert page("filestore_list_commands_bucket", le="4.0") == 3
    assert page("filestore_list_commands_bucket", le="64.0") == 4


# What it must never tell

HOSTILE = "hostile-needle"


async def test_nothing_a_client_sends_becomes_a_label(front: FrontOfTest, tree: Tree) -> None:
    token = await front.token("write", principal=f"user-{HOSTILE}")
    tricks = {
        "x-request-id": HOSTILE, "idempotency-key": f"key-{HOSTILE}", "user-agent": HOSTILE,
        "x-filestore-principal": HOSTILE, "traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "host": f"{HOSTILE}.example",
    }  # fmt: skip
    async with front.client(token, **tricks) as client:
        for path in (f"/{HOSTILE}", f"/v1/nodes/{HOSTILE}", f"/v1/commands/{HOSTILE}", f"/metrics/{HOSTILE}",
                     f"/v1/nodes/by-path?path={HOSTILE}", f'/"}} {HOSTILE} 1%0afilestore_fake 1', f"/v1/%2e%2e/{HOSTILE}",
                     f"/v1/files/{HOSTILE}/content"):  # fmt: skip
            for method in ("GET", "POST", f"X-{HOSTILE.upper()}", "get"):
                assert (await client.request(method, path)).status_code < 500, (method, path)
        await mkdir(client, tree, f"path-{HOSTILE}", metadata={"name": HOSTILE})
        front.commands.answers = lambda submission: failed(submission, HOSTILE.upper())
        await mkdir(client, tree, f"other-{HOSTILE}")
        page = await scrape(client)
    assert HOSTILE not in page.text.lower() and "filestore_fake" not in page.text
    assert token not in page.text and hashlib.sha256(token.encode()).hexdigest() not in page.text
    templates = {getattr(route, "path", None) for route in front.app.routes} | {"unmatched"}
    for labels in page.labels("filestore_http_requests_total"):
        assert labels["route"] in templates
        assert labels["method"] in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"}
        assert labels["status"] in {"2xx", "3xx", "4xx", "5xx", "none"}
    assert page("filestore_http_requests_total", method="GET", route="unmatched", status="4xx") is not None
    assert page("filestore_http_requests_total", method="other", route="unmatched", status="4xx") is not None


async def test_a_thousand_addresses_are_no_more_series_than_one(front: FrontOfTest) -> None:
    async with front.client() as anybody:
        await anybody.get("/nothing/0")
        before = (await scrape(anybody)).text.count("\n")
        await asyncio.gather(*(anybody.request(f"M{number}", f"/nothing/{number}") for number in range(1000)))
        await anybody.request("ODD", "/nothing")
        series = (await scrape(anybody)).text.count("\n")
        for number in range(100):
            await anybody.request(f"N{number}", f"/nothing/again/{number}")
        assert (await scrape(anybody)).text.count("\n") == series
    assert series - before < 60, "those of one other method, and of the page itself"


async def test_a_mount_key_can_not_break_the_page(front: FrontOfTest) -> None:
    key = 'a"b\\n{c="d"}\\'
    seen = [MountSeen("main", key, "online"), MountSeen("other", key, "offline")]
    async with other(front, vitals=KnownVitals([Load("main", key, 5, 6), Load("other", key, 0, 0)], seen)) as anybody:
        page = await scrape(anybody)
    assert page("filestore_commands_waiting", tenant="main", mount=key) == 5
    assert page("filestore_mount_health", tenant="other", mount=key, health="offline") == 1


# Who may read it


async def test_with_a_token_set_nothing_else_opens_the_page(front: FrontOfTest) -> None:
    async with other(front, metrics_token=SECRET) as anybody:
        for given in (None, f"Bearer {SECRET[:-1]}", f"Bearer {SECRET}x", f"Basic {SECRET}", SECRET, "Bearer", "Bearer é",
                      f"Bearer {front.tokens['admin']}"):  # fmt: skip
            answer = await anybody.get("/metrics", headers=[(b"authorization", given.encode())] if given else [])
            assert answer.status_code == 401, given
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.json()["error"]["code"] == "UNAUTHENTICATED" and SECRET not in answer.text
        answer = await anybody.get("/metrics", headers={"authorization": f"bearer {SECRET}"})
        assert answer.status_code == 200 and SECRET not in answer.text
        opened = await anybody.get("/v1/backend-mounts", headers={"authorization": f"Bearer {SECRET}"})
        assert opened.status_code == 401, "it opens nothing else"


def test_an_empty_token_is_refused_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FILESTORE_METRICS_TOKEN", "")
    with pytest.raises(ValidationError, match="metrics_token"):
        Settings()  # type: ignore[call-arg]
    monkeypatch.setenv("FILESTORE_METRICS_TOKEN", SECRET)
    assert Settings().metrics_token == SECRET  # type: ignore[call-arg]


# How things stand


async def test_vitals_are_shown_under_the_mounts_the_pools_and_the_servers(front: FrontOfTest) -> None:
    known = KnownVitals(
        [Load("main", "disk", 12, 34)], [MountSeen("main", "disk", "degraded"), MountSeen("main", "off", "inactive")]
    )
    async with other(front, vitals=known) as anybody:
        page = await scrape(anybody)
    assert page("filestore_commands_waiting", tenant="main", mount="disk") == 12
    assert page("filestore_commands_in_lists", tenant="main", mount="disk") == 34
    shown = {one: page("filestore_mount_health", tenant="main", mount="disk", health=one)
             for one in ("online", "degraded", "offline", "inactive")}  # fmt: skip
    assert shown == {"online": 0, "degraded": 1, "offline": 0, "inactive": 0}
    assert page("filestore_mount_health", tenant="main", mount="off", health="inactive") == 1
    assert page("filestore_pool_connections", pool="engine") == 4
    assert page("filestore_pool_waiting", pool="engine") == 3
    assert page("filestore_pool_wait_seconds_total", pool="engine") == 1.5
    assert page("filestore_pool_timeouts_total", pool="engine") == 0, "psycopg_pool does not name what is zero"
    up = {name: page("filestore_dependency_up", dependency=name) for name in ("postgres", "temporal", "redis")}
    assert up == {"postgres": 1, "temporal": 1, "redis": 0}


async def test_work_is_what_the_record_has_left_to_do(pool: Pool, tree: Tree) -> None:
    async with pool.connection() as connection, connection.transaction(force_rollback=True):
        for table in ("outbox", "claims", "cleanups"):
            await connection.execute(f"DELETE FROM filestore.{table}".encode())
        await connection.execute(b"UPDATE filestore.event_feed SET position = 100, published = 0")
        await connection.execute(
            b"UPDATE filestore.commands SET status = 'failed', ended_at = now() WHERE status = 'running'"
        )
        quiet = await store.work(connection)
        await connection.execute(b"UPDATE filestore.event_feed SET position = 100, published = 97")
        values = {"mount": tree.mount}
        await connection.execute(
            b"""INSERT INTO filestore.outbox (tenant, mount_id, type, data, position, created_at)
                SELECT 'main', %(mount)s, 'x', '{}', position, now() - make_interval(secs => ago)
                  FROM (VALUES (97, 900), (98, 80), (99, 70), (100, 60), (NULL, 20), (NULL, 10)) v(position, ago)""",
            values,
        )
        await connection.execute(
            b"""INSERT INTO filestore.commands (id, principal, key, kind, mount_id, path, request, intent, status, started_at,
                    touched_at, ended_at)
                SELECT gen_random_uuid(), 'metrics', gen_random_uuid()::text, 'x', %(mount)s, 'a', '{}', '{}',
                       status::filestore.command_status, now() - make_interval(secs => began),
                       now() - make_interval(secs => touched),
                       CASE WHEN status <> 'running' THEN now() END
                  FROM (VALUES ('running', 500, 5), ('running', 300, 40), ('succeeded', 9000, 9000)) v(status, began, touched)""",
            values,
        )
        await connection.execute(
            b"""INSERT INTO filestore.cleanups (mount_id, command_id, created_at)
                SELECT mount_id, id, now() - make_interval(secs => 77) FROM filestore.commands
                 WHERE principal = 'metrics' AND status = 'succeeded'"""
        )
        work = await store.work(connection)
    assert (quiet.unpositioned, quiet.running, quiet.cleanups) == (0, 0, 0)
    ages = (
        quiet.unpositioned_seconds,
        quiet.unsent_seconds,
        quiet.running_seconds,
        quiet.untouched_seconds,
        quiet.cleanups_seconds,
    )
    assert ages == (None,) * 5
    assert (work.position, work.unpositioned, work.unsent, work.running, work.cleanups) == (100, 2, 3, 2, 1)
    assert (work.unpositioned_seconds, work.unsent_seconds) == (20, 80)
    assert (work.running_seconds, work.untouched_seconds, work.cleanups_seconds) == (500, 40, 77)


async def test_what_is_badly_amiss_is_not_counted_to_its_end(
    pool: Pool, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MOST", 3)
    async with pool.connection() as connection, connection.transaction(force_rollback=True):
        await connection.execute(
            b"""INSERT INTO filestore.outbox (tenant, mount_id, type, data)
                SELECT 'main', %(mount)s, 'x', '{}' FROM generate_series(1, 50)""",
            {"mount": tree.mount},
        )
        assert (await store.work(connection)).unpositioned == 3


# What others do not pay for it


@contextmanager
def less_patient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(looks, "PATIENCE_SECONDS", 0.2)
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 5


async def test_many_scrapes_are_one_question(front: FrontOfTest) -> None:
    known = KnownVitals(seconds=0.05)
    async with other(front, vitals=known) as anybody:
        await asyncio.gather(*(scrape(anybody) for _ in range(20)))
        await scrape(anybody)
    assert known.asked == 1


async def test_a_server_that_hangs_holds_up_no_scrape(front: FrontOfTest, monkeypatch: pytest.MonkeyPatch) -> None:
    with less_patient(monkeypatch):
        async with other(front, vitals=KnownVitals(mounts_=[MountSeen("main", "m", "online")], seconds=30)) as anybody:
            page = await scrape(anybody)
    assert page("filestore_dependency_up", dependency="postgres") == 1
    assert page("filestore_dependency_up", dependency="temporal") is None, "nobody knows"
    assert page.families["filestore_mount_health"].samples == []


async def test_an_old_answer_is_not_shown_for_ever(front: FrontOfTest, monkeypatch: pytest.MonkeyPatch) -> None:
    known = KnownVitals()
    monkeypatch.setattr(looks, "SERVERS_SECONDS", 0.0)
    async with other(front, vitals=known) as anybody:
        assert (await scrape(anybody))("filestore_dependency_up", dependency="temporal") == 1
        known.seconds = 30
        with less_patient(monkeypatch):
            assert (await scrape(anybody))("filestore_dependency_up", dependency="temporal") == 1, "a moment old"
            monkeypatch.setattr(looks, "STALE_SECONDS", 0.0)
            assert (await scrape(anybody))("filestore_dependency_up", dependency="temporal") is None


async def test_an_answer_that_failed_is_not_replaced_by_an_older_one() -> None:
    answers = iter([1, None, 2])

    async def ask() -> int:
        if (answer := next(answers)) is None:
            raise errors.Unavailable()
        return answer

    looked = looks.Looked(ask, 0.0)
    assert [await looked.answer() for _ in range(3)] == [1, None, 2]


async def test_without_postgres_the_page_says_so(front: FrontOfTest, monkeypatch: pytest.MonkeyPatch) -> None:
    away = make_pool("postgresql://nobody@127.0.0.1:1/none", name="away", timeout=0.2)
    await away.open(wait=False)
    with less_patient(monkeypatch):
        async with other(front, pool=away, vitals=KnownVitals()) as anybody:
            page = await scrape(anybody)
    await away.close()
    assert page("filestore_dependency_up", dependency="postgres") == 0
    assert page("filestore_commands_running") is None and page("filestore_events_unsent") is None
    assert page("filestore_dependency_up", dependency="temporal") == 1, "what else is known is still told"


def test_counts_of_two_processes_do_not_mix() -> None:
    one, two = Counts(), Counts()
    one.request("GET", "/health", 200, 0.1)
    labels = {"method": "GET", "route": "/health", "status": "2xx"}
    assert one.registry.get_sample_value("filestore_http_requests_total", labels) == 1
    assert two.registry.get_sample_value("filestore_http_requests_total", labels) is None


# The mounts


class SlowStorage:
    """Stands in for `ServedMounts` and each executor: `check` does what it is told."""

    def __init__(self, checks: Mapping[int, Callable[[], object]]) -> None:
        self._checks = checks
        self.looks: list[int] = []

    def here(self) -> list[Mount]:
        return [mount_of(number) for number in self._checks]

    def of(self, mount: MountId) -> Any:
        storage = self
        self.looks.append(mount)

        class Executor:
            def check(self) -> None:
                storage._checks[mount]()

        return Executor()


def mount_of(number: int, state: str = "active") -> Mount:
    return Mount(MountId(number), "main", f"m{number}", "uuid", "local", "/", None, None, "rw", state, "here", 1)


async def test_a_disk_that_hangs_holds_up_no_other_mount_and_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline() -> None:
        raise errors.MountOffline("it is away")

    def defect() -> None:
        raise OSError("of another kind")

    monkeypatch.setattr(health, "_PATIENCE_SECONDS", 0.5)
    gate = threading.Event()
    storage = SlowStorage({1: lambda: None, 2: offline, 3: lambda: gate.wait(60), 4: defect})
    nothing, served = cast("Any", None), cast("Any", storage)
    looking = Health(Settings(), nothing, nothing, served, budgets.LOOKS.build())  # type: ignore[call-arg]

    async def states() -> dict[str, str]:
        return {mount.mount_key: state for mount, state in await looking.mounts()}

    others = {"m1": "ok", "m2": "MOUNT_OFFLINE: it is away", "m4": "Its storage can not be looked at: of another kind."}
    for _ in range(3):
        assert await states() == others | {"m3": "Its storage did not answer within 0.5 s."}
    gate.set()
    while (await states())["m3"] != "ok":
        pass
    await states()
    assert storage.looks.count(1) >= 4 and storage.looks.count(3) <= 3, (
        "while one look hangs no other one waits behind it"
    )


@pytest.mark.parametrize(
    ("state", "storage", "shown"),
    [
        ("active", "ok", "online"), ("active", "MOUNT_OFFLINE: away", "offline"), ("degraded", "ok", "degraded"),
        ("degraded", "MOUNT_OFFLINE: away", "offline"), ("inactive", "ok", "inactive"), ("inactive", "away", "inactive"),
        ("offline", "ok", "offline"), ("error", "ok", "offline"), ("unknown", "ok", "offline"),
    ],
)  # fmt: skip
def test_the_health_of_a_mount(state: str, storage: str, shown: str) -> None:
    assert _health(mount_of(1, state), storage, stuck=0) == shown
    assert _health(mount_of(1, state), storage, stuck=1) == ("degraded" if shown == "online" else shown)


# The process


def test_the_running_service_tells_all_of_it(service: Service, mount: MountOfTest) -> None:
    made, refused = service.mkdir(mount, "a"), service.mkdir(mount, "missing/b")
    assert (made.status_code, refused.status_code) == (201, 404)
    with httpx2.Client(timeout=30) as anybody:
        page = Scraped(anybody.get(f"{service.url}/metrics").text)
    done = {"kind": "createDirectory", "outcome": "succeeded", "code": "none"}
    assert cast("float", page("filestore_commands_answered_total", **done)) >= 1
    not_done = {"kind": "createDirectory", "outcome": "failed", "code": "PARENT_NOT_FOUND"}
    assert cast("float", page("filestore_commands_answered_total", **not_done)) >= 1
    took = page("filestore_command_duration_seconds_sum", kind="createDirectory", outcome="succeeded")
    assert took is not None and took > 0.001
    assert cast("float", page("filestore_list_commands_count")) >= 2, "two lists, for the two waited for each other"
    assert page("filestore_commands_waiting", tenant="main", mount=mount.key) == 0
    assert page("filestore_commands_in_lists", tenant="main", mount=mount.key) == 0
    assert page("filestore_mount_health", tenant="main", mount=mount.key, health="online") == 1
    up = {name: page("filestore_dependency_up", dependency=name) for name in ("postgres", "temporal", "redis")}
    assert up == {"postgres": 1, "temporal": 1, "redis": 1}
    for pool, most in (("api", 8), ("engine", 12)):
        assert page("filestore_pool_connections_max", pool=pool) == most
        assert cast("float", page("filestore_pool_connections", pool=pool)) >= 1
    assert cast("float", page("filestore_events_positioned_total")) >= 0
    assert service.token not in page.text and "missing" not in page.text
    text = {name for name in page.families if page.families[name].samples == []}
    assert text == set(), "nothing that a whole process has no samples of"
