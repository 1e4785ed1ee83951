"""Reads that take long have a lane and a time of their own: other readers are answered meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from api.access import reads
from api.access.reads import LongReads
from schema.errors import Overloaded, Unavailable
from schema.ids import NodeId
from tests.api.conftest import FrontOfTest, Tree

READERS = 16


def lane(front: FrontOfTest, **settings: Any) -> tuple[LongReads, list[str]]:
    refused: list[str] = []
    return LongReads(front.pool, front.settings.model_copy(update=settings), refused.append), refused


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "QUICK_SECONDS", 0.02)


async def sleeping(front: FrontOfTest, mark: str) -> int:
    """How many statements of the server have this mark."""
    async with front.pool.connection() as connection:
        query = "SELECT count(*) AS n FROM pg_stat_activity WHERE state = 'active' AND query LIKE %s AND pid <> pg_backend_pid()"
        row = await (await connection.execute(query, [f"%{mark}%"])).fetchone()
    assert row is not None
    return int(row["n"])


async def test_a_quick_read_needs_no_turn(front: FrontOfTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "QUICK_SECONDS", 60)
    long, _ = lane(front, long_reads=1)
    await long._lane.acquire()

    async def read(connection: Any) -> int:
        return 7

    assert await long.run(read) == 7


async def test_so_many_long_reads_leave_the_others_alone(
    front: FrontOfTest, tree: Tree, client: httpx2.AsyncClient
) -> None:
    long, _ = lane(front, long_reads=2, read_wait_seconds=60)
    go, full, at_once, most = asyncio.Event(), asyncio.Event(), 0, 0

    async def read(connection: Any) -> None:
        nonlocal at_once, most
        if not connection.info.transaction_status:  # the quick try, which has no transaction around it
            await asyncio.sleep(60)
        at_once += 1
        most = max(most, at_once)
        if at_once == 2:
            full.set()
        await go.wait()
        at_once -= 1

    readers = [asyncio.create_task(long.run(read)) for _ in range(READERS)]
    await full.wait()
    for _ in range(20):
        assert (await client.get(f"/v1/nodes/{tree.root}")).status_code == 200
    assert not any(reader.done() for reader in readers)
    go.set()
    await asyncio.gather(*readers)
    assert most == 2


async def test_who_gets_no_turn_in_time_is_told_so(front: FrontOfTest) -> None:
    long, refused = lane(front, long_reads=1, read_wait_seconds=0.05)
    await long._lane.acquire()
    with pytest.raises(Overloaded, match="Too many long reads") as caught:
        await long.run(lambda connection: asyncio.sleep(60))
    assert caught.value.retry_after_seconds and refused == ["reads"]
    long._lane.release()

    async def read(connection: Any) -> str:
        return "served"

    assert await long.run(read) == "served", "the one that was refused holds no turn"


async def test_a_read_that_takes_too_long_is_given_up_and_the_server_stops_it(front: FrontOfTest) -> None:
    long, refused = lane(front, long_reads=1, read_seconds=0.1)
    with pytest.raises(Overloaded, match=r"given up after 0\.1 seconds\. Ask for less"):
        await long.run(lambda connection: connection.execute("SELECT pg_sleep(19), 'a long read'"))
    assert refused == ["reads"] and await sleeping(front, "a long read") == 0
    async with front.pool.connection() as connection:
        cursor = await connection.execute("SHOW max_parallel_workers_per_gather")
        assert (await cursor.fetchone() or {})["max_parallel_workers_per_gather"] != "0", "that was for the one read"


async def test_a_server_that_does_not_stop_a_read_is_not_asked_again(front: FrontOfTest) -> None:
    long, _ = lane(front)
    begun = 0

    async def read(connection: Any) -> None:
        nonlocal begun
        begun += 1
        await connection.close()  # as the driver does it when the server does not answer
        await asyncio.sleep(60)

    with pytest.raises(Unavailable):
        await long.run(read)
    assert begun == 1


async def test_a_long_read_takes_one_processor(front: FrontOfTest) -> None:
    long, _ = lane(front)

    async def read(connection: Any) -> str:
        if not connection.info.transaction_status:
            await asyncio.sleep(60)
        row = await (await connection.execute("SHOW max_parallel_workers_per_gather")).fetchone()
        return str(row["max_parallel_workers_per_gather"])

    assert await long.run(read) == "0"


READS: list[tuple[str, dict[str, str]]] = [
    ("/v1/nodes", {}), ("/v1/nodes", {"collisions": "true"}), ("/v1/nodes", {"search": "x"}),
    ("/v1/nodes", {"filters": '{"rollup":{"minFileCount":1}}'}), ("/v1/nodes/by-path", {"path": "gone"}),
    ("/v1/nodes/{root}", {"collisions": "true"}), ("/v1/nodes/{root}/children", {}),
    ("/v1/nodes/{root}/children", {"search": "x"}), ("/v1/journal", {"code": "PATH_BUSY"}),
    ("/v1/journal", {"path": "gone"}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "params"), READS)
async def test_whatever_may_look_at_much_goes_this_way(
    front: FrontOfTest,
    client: httpx2.AsyncClient,
    tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    params: dict[str, str],
) -> None:
    async def overloaded(_: Any, read: Callable[[Any], Awaitable[Any]]) -> None:
        raise Overloaded()

    monkeypatch.setattr(LongReads, "run", overloaded)
    answer = await client.get(path.format(root=NodeId(tree.root)), params={"backendMountId": str(tree.mount), **params})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "OVERLOADED")
    assert answer.headers["retry-after"]


NAMES = 300_000


async def fill(tree: Tree) -> None:
    """Three hundred thousand files in one directory; every name collides with another one."""
    async with tree.pool.connection() as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute("SET LOCAL statement_timeout = 0")
        query = """INSERT INTO filestore.nodes (mount_id, parent_id, name, name_text, depth, kind)
            SELECT %s, %s, convert_to(f.name, 'UTF8'), f.name, 1, 'file'
              FROM generate_series(1, %s) i, LATERAL (VALUES ('N' || i), ('n' || i)) f(name)"""
        await connection.execute(query, [tree.mount, tree.root, NAMES // 2])
    async with tree.pool.connection() as connection:
        await connection.execute("ANALYZE filestore.nodes")


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_readers_of_all_collisions_starve_nobody(
    front: FrontOfTest, tree: Tree, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads, "QUICK_SECONDS", 0.25)
    await fill(tree)
    alone, at_once, most = LongReads._alone, 0, 0

    async def counted(self: LongReads, read: Any) -> Any:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        try:
            return await alone(self, read)
        finally:
            at_once -= 1

    monkeypatch.setattr(LongReads, "_alone", counted)

    async def ask() -> int:
        params = {"backendMountId": str(tree.mount), "collisions": "true"}
        answer = await client.get("/v1/nodes", params=params, timeout=120)
        assert answer.status_code == 200 or answer.json()["error"]["code"] == "OVERLOADED", answer.text
        return answer.status_code

    readers = [asyncio.create_task(ask()) for _ in range(READERS)]
    while not all(reader.done() for reader in readers):
        assert (await client.get(f"/v1/nodes/{tree.root}")).status_code == 200
        await asyncio.sleep(0.05)
    statuses = [reader.result() for reader in readers]
    assert 200 in statuses and 1 <= most <= front.settings.long_reads
