"""How things stand, and what others do not pay for it."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from api.observe.metrics import looks
from api.observe.metrics.counts import Counts
from api.services import Load, MountSeen
from schema import errors
from schema.store import metrics as store
from schema.store.pool import Pool, make_pool
from tests.api.conftest import FrontOfTest, Tree
from tests.api.metrics.helpers import KnownVitals, other, scrape


async def test_vitals_are_shown_under_the_mounts_the_pools_and_the_servers(front: FrontOfTest) -> None:
    known = KnownVitals(
        [Load("main", "disk", 12, 34)], [MountSeen("main", "disk", "degraded"), MountSeen("main", "off", "inactive")]
    )
    async with other(front, vitals=known) as anonymous:
        page = await scrape(anonymous)
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


@contextmanager
def less_patient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(looks, "PATIENCE_SECONDS", 0.2)
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 5


async def test_many_scrapes_are_one_question(front: FrontOfTest) -> None:
    known = KnownVitals(seconds=0.05)
    async with other(front, vitals=known) as anonymous:
        await asyncio.gather(*(scrape(anonymous) for _ in range(20)))
        await scrape(anonymous)
    assert known.asked == 1


async def test_a_server_that_hangs_holds_up_no_scrape(front: FrontOfTest, monkeypatch: pytest.MonkeyPatch) -> None:
    with less_patient(monkeypatch):
        async with other(
            front, vitals=KnownVitals(mounts_=[MountSeen("main", "m", "online")], seconds=30)
        ) as anonymous:
            page = await scrape(anonymous)
    assert page("filestore_dependency_up", dependency="postgres") == 1
    assert page("filestore_dependency_up", dependency="temporal") is None, "it is not known"
    assert page.families["filestore_mount_health"].samples == []


async def test_an_old_answer_is_not_shown_for_ever(front: FrontOfTest, monkeypatch: pytest.MonkeyPatch) -> None:
    known = KnownVitals()
    monkeypatch.setattr(looks, "SERVERS_SECONDS", 0.0)
    async with other(front, vitals=known) as anonymous:
        assert (await scrape(anonymous))("filestore_dependency_up", dependency="temporal") == 1
        known.seconds = 30
        with less_patient(monkeypatch):
            assert (await scrape(anonymous))("filestore_dependency_up", dependency="temporal") == 1, "a moment old"
            monkeypatch.setattr(looks, "STALE_SECONDS", 0.0)
            assert (await scrape(anonymous))("filestore_dependency_up", dependency="temporal") is None


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
        async with other(front, pool=away, vitals=KnownVitals()) as anonymous:
            page = await scrape(anonymous)
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
