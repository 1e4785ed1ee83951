"""Servers that come and go: ours, Postgres, Redis."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from activities.events.publish import Publish
from api.events import feed
from schema.store import events as store
from schema.store.pool import make_pool
from tests.api.conftest import FrontOfTest, Tree
from tests.api.events.conftest import Connect
from tests.api.events.helpers import paths_of, pull, serving, tell, until, write
from tests.sse import connect
from workers.buses.redis import InlineBus


async def test_streams_end_when_the_server_does_and_go_on_at_the_next(
    front: FrontOfTest, tree: Tree, read_token: str, connect: Connect
) -> None:
    async with serving(front) as (address, followed):
        stream = await connect(address, read_token, backendMountId=tree.mount)
        await tell(tree, "a")
        assert paths_of(await stream.events(1)) == ["a"]
        async with httpx2.AsyncClient(base_url=f"http://{address[0]}:{address[1]}") as client:
            waiting = asyncio.create_task(pull(client, read_token, wait=30, after=stream.last_id))
            await until(lambda: followed.followers == 2)
            began = time.monotonic()
            followed.close()
            assert [b async for b in stream.blocks()] == [], "a whole answer, not one that is cut"
            assert (await waiting)["events"] == []
            assert time.monotonic() - began < 1
            answer = await client.get("/v1/events", headers={"authorization": f"Bearer {read_token}"})
            assert answer.status_code == 503 and "retry-after" in answer.headers
    await tell(tree, "meanwhile")
    async with serving(front) as (address, _):
        again = await connect(address, read_token, backendMountId=tree.mount, lastEventId=stream.last_id)
        await tell(tree, "b")
        assert paths_of(await again.events(2)) == ["meanwhile", "b"]
        await again.close()


async def test_a_server_stops_though_streams_are_open_and_one_is_stuck(
    front: FrontOfTest, tree: Tree, read_token: str, connect: Connect
) -> None:
    async with serving(front) as (address, _):
        streams = [await connect(address, read_token, limit=1024, backendMountId=tree.mount) for _ in range(3)]
        await tell(tree, "a")
        began = time.monotonic()
    assert time.monotonic() - began < 3
    for stream in streams:
        await stream.close()


async def test_a_stream_outlives_its_database_connections(
    front: FrontOfTest, tree: Tree, read_token: str, api_database: str
) -> None:
    own = make_pool(api_database, name="streams")
    await own.open()
    async with serving(front, pool=own) as (address, _):
        stream = await connect(address, read_token, backendMountId=tree.mount)
        for turn in range(3):
            await tell(tree, f"f{turn}")
            assert paths_of(await stream.events(1)) == [f"f{turn}"]
            async with front.pool.connection() as connection:
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'streams'"
                )
    await own.close()


async def test_without_redis_an_event_is_there_within_a_second(front: FrontOfTest, tree: Tree, read_token: str) -> None:
    publish = Publish(front.pool, InlineBus())
    publishing = asyncio.create_task(publish.run())
    async with serving(front) as (address, _):
        stream = await connect(address, read_token, backendMountId=tree.mount)
        await stream.opening()
        delays = []
        for turn in range(5):
            began = time.monotonic()
            await write(tree, f"f{turn}")
            publish.announce()
            assert paths_of(await stream.events(1)) == [f"f{turn}"]
            delays.append(time.monotonic() - began)
            await asyncio.sleep(0.13)
        assert max(delays) < 1.3, delays
        async with front.pool.connection() as connection:
            lag = await store.lag(connection)
        assert (lag.unpositioned, lag.unpublished) == (0, 0)
        await write(tree, "nobody said so")
        assert paths_of(await stream.events(1, seconds=3)) == ["nobody said so"], "left by a process that died"
        await stream.close()
    publishing.cancel()


async def test_a_bus_that_hangs_holds_up_no_positions(front: FrontOfTest, tree: Tree, read_token: str) -> None:
    class Hangs(InlineBus):
        async def send(self, events: Any) -> None:
            await asyncio.sleep(1000)

    publish = Publish(front.pool, Hangs())
    publishing = asyncio.create_task(publish.run())
    async with serving(front) as (address, _):
        stream = await connect(address, read_token, backendMountId=tree.mount)
        for turn in range(3):
            await write(tree, f"f{turn}")
            publish.announce()
            assert paths_of(await stream.events(1, seconds=2)) == [f"f{turn}"]
        await stream.close()
    publishing.cancel()
    await asyncio.gather(publishing, return_exceptions=True)


class Bell:
    """`Wakeups` that a test rings."""

    def __init__(self) -> None:
        self.rung, self.listeners = asyncio.Event(), 0

    async def listen(self) -> AsyncIterator[None]:
        self.listeners += 1
        if self.listeners == 1:
            raise ConnectionError("not yet")
        while True:
            await self.rung.wait()
            self.rung.clear()
            yield


async def test_a_wakeup_is_quicker_than_looking(
    front: FrontOfTest, tree: Tree, read_token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "LISTEN_AGAIN_SECONDS", 0.05)
    bell = Bell()
    async with serving(front, events_poll_seconds=1.0, wakeups=bell) as (address, _):
        stream = await connect(address, read_token, backendMountId=tree.mount)
        await until(lambda: bell.listeners == 2)
        delays = []
        for turn in range(5):
            await asyncio.sleep(0.1)
            await tell(tree, f"f{turn}")
            began = time.monotonic()
            bell.rung.set()
            assert paths_of(await stream.events(1)) == [f"f{turn}"]
            delays.append(time.monotonic() - began)
        assert sorted(delays)[2] < 0.3, delays
        await stream.close()
