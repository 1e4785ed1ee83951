"""Readers that come, go, and are slow."""

import asyncio
import random
import threading
import time
from typing import Any

import pytest

from api.events import feed
from schema.store import events as store
from tests.api.conftest import FrontOfTest, Tree
from tests.api.events.conftest import Connect
from tests.api.events.helpers import paths_of, position, serving, tell, until, write
from tests.sse import connect


async def test_a_client_that_is_gone_is_gone_at_once(
    front: FrontOfTest, tree: Tree, read_token: str, connect: Connect
) -> None:
    async with serving(front) as (address, followed):
        streams = [await connect(address, read_token) for _ in range(20)]
        await until(lambda: followed.followers == 20)
        tasks = len(asyncio.all_tasks())
        for stream in streams:
            stream.abort()
        await until(lambda: followed.followers == 0, 1)
        await until(lambda: len(asyncio.all_tasks()) <= tasks - 40, 1)


async def test_the_one_who_looks_stops_when_nobody_follows(
    front: FrontOfTest, tree: Tree, read_token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "LINGER_SECONDS", 0.1)
    async with serving(front) as (address, followed):
        for turn in range(3):
            stream = await connect(address, read_token, backendMountId=tree.mount)
            await tell(tree, f"f{turn}")
            assert paths_of(await stream.events(1)) == [f"f{turn}"]
            await stream.close()
            await until(lambda: not followed._tasks, 2)
            await tell(tree, "while nobody looks")


async def test_one_task_reads_for_five_hundred(front: FrontOfTest, tree: Tree, read_token: str) -> None:
    async with serving(front) as (address, followed):
        threads = threading.active_count()
        streams = await asyncio.gather(
            *(connect(address, read_token, backendMountId=tree.mount, pathPrefix=f"d{n % 50}") for n in range(500))
        )
        assert {stream.status for stream in streams} == {200} and followed.followers == 500
        assert len(followed._tasks) == 1 and threading.active_count() == threads
        began = time.monotonic()
        await tell(tree, *(f"d{n}/x" for n in range(50)))
        found = await asyncio.gather(*(stream.events(1) for stream in streams))
        assert [paths_of(blocks) for blocks in found] == [[f"d{n % 50}/x"] for n in range(500)]
        assert time.monotonic() - began < 5
        for stream in streams:
            await stream.close()
        await until(lambda: followed.followers == 0)


async def test_coming_and_going_nobody_misses_anything_or_gets_it_twice(
    front: FrontOfTest, tree: Tree, read_token: str, monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    """Small pages and a small memory, so that every way of reading is taken."""
    monkeypatch.setattr(feed, "PAGE", 7)
    monkeypatch.setattr(feed, "KEPT_EVENTS", 20)
    monkeypatch.setattr(feed, "LINGER_SECONDS", 0.02)
    start, count = await position(tree.pool), 120
    dice = random.Random(4)

    async def follow(address: tuple[str, int], number: int) -> list[int]:
        """Connects, reads a few, leaves, comes back after the last id it saw."""
        query = {"backendMountId": tree.mount, "pathPrefix": "odd"} if number % 2 else {"backendMountId": tree.mount}
        seen: list[int] = []
        last: int = start
        while not seen or seen[-1] < count - 1:
            stream = await connect(address, read_token, headers={"last-event-id": str(last)}, **query)
            assert stream.status == 200
            blocks = await stream.some(dice.randrange(1, 30), dice.choice([0.05, 0.3, 2]))
            seen += [block.data["data"]["n"] for block in blocks]
            last = blocks[-1].id or 0 if blocks else last
            stream.abort()
            await asyncio.sleep(dice.random() / 50)
        return seen

    async def writes() -> None:
        n = 0
        while n < count:
            for _ in range(dice.randrange(1, 5)):
                if n < count:
                    await write(tree, "odd" if n % 2 else "even", n=n)
                    n += 1
            await position(tree.pool)
            await asyncio.sleep(dice.random() / 40)

    async with serving(front, events_poll_seconds=0.02) as (address, _), asyncio.timeout(60):
        writing = asyncio.create_task(writes())
        seen = await asyncio.gather(*(follow(address, number) for number in range(8)))
        await writing
    for number, numbers in enumerate(seen):
        assert numbers == list(range(number % 2, count, 1 + number % 2))


async def test_a_slow_reader_holds_up_nobody_and_loses_nothing(
    front: FrontOfTest, tree: Tree, read_token: str, monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    monkeypatch.setattr(feed, "KEPT_EVENTS", 100)
    read, by_followers = store.page, []

    async def page(connection: Any, after: int, limit: int, **wanted: Any) -> store.EventPage:
        if wanted:
            by_followers.append(after)
        return await read(connection, after, limit, **wanted)

    monkeypatch.setattr(store, "page", page)
    async with serving(front) as (address, followed):
        slow = await connect(address, read_token, limit=1024, backendMountId=tree.mount)
        slow.keep_in_the_kernel(256 * 1024)
        quick = await connect(address, read_token, backendMountId=tree.mount)
        filler, count = "x" * 8000, 2000
        reading = asyncio.create_task(quick.events(count, seconds=40))
        for start in range(0, count, 250):
            await tell(tree, *(f"f{n}" for n in range(start, start + 250)), filler=filler)
        found = await reading
        assert paths_of(found) == [f"f{n}" for n in range(count)]
        assert len(followed._kept) <= 100 and followed._kept_bytes <= feed.KEPT_BYTES
        by_followers.clear()
        assert paths_of(await slow.events(count, seconds=40)) == [f"f{n}" for n in range(count)]
        assert by_followers, "it was behind what is kept in memory, and read on from the table"
        stuck = await connect(
            address, read_token, limit=1024, backendMountId=tree.mount, lastEventId=(found[0].id or 1) - 1
        )
        await asyncio.sleep(0.3)
        for stream in (slow, quick, stuck):
            await stream.close()
        await until(lambda: followed.followers == 0, 2)


async def test_large_events_are_forgotten_before_memory_is_full(
    front: FrontOfTest, tree: Tree, read_token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "KEPT_BYTES", 100_000)
    async with serving(front) as (address, followed):
        stream = await connect(address, read_token, backendMountId=tree.mount)
        for turn in range(5):
            await tell(tree, *(f"{turn}-{n}" for n in range(10)), filler="x" * 9000)
        assert paths_of(await stream.events(50)) == [f"{turn}-{n}" for turn in range(5) for n in range(10)]
        assert followed._kept_bytes <= 100_000 and len(followed._kept) <= 11
        await stream.close()
