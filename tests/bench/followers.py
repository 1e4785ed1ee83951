"""From commit to subscriber, and what many followers cost: `python -m tests.bench.followers [--events 200] [--readers 200]`.

An event is written in a transaction of its own and announced, as a command does it. Measured is the time from the end of that
transaction to a subscriber of Redis, of the stream and of the WebSocket, beside a bare PUBLISH to the same Redis. Then the
publisher beside a bare pipelined PUBLISH of the same messages, with so many events in the table; and so many readers of the stream
at 500 events a second: their delay, and the memory of the API process.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import redis.asyncio as redis

from activities.events.publish import Publish
from schema.store import events as store
from schema.store.pool import Pool, make_pool
from tests import sse, ws
from tests.bench.figures import figures
from tests.bench.running import BenchService, database, service, stack
from workers.buses.redis import RedisBus, message

CHANNEL = "apphub:filestore"
WRITE = "INSERT INTO filestore.outbox (tenant, mount_id, type, data) VALUES ('main', %s, 'filestore.node.created', %s)"
FILL = """INSERT INTO filestore.outbox (tenant, mount_id, type, data, position)
SELECT 'main', 1, 'filestore.node.created', json_build_object('path', 'folder/' || i, 'backendMountId', 1, 'n', i,
           'metadata', json_build_object('k', repeat('x', 300))), f.position + i
  FROM generate_series(1, %s) i, filestore.event_feed f"""
PUBLISHED = 50_000
RATE, SECONDS = 500, 10


def show(what: str, delays: Sequence[float], beside: float | None = None) -> float:
    found = figures(delays, 1.0)
    ratio = "" if beside is None else f"   {found['p50_ms'] - beside:+.1f} ms at p50"
    print(f"{what:38} p50 {found['p50_ms']:7.1f} ms   p99 {found['p99_ms']:7.1f} ms{ratio}")
    return found["p50_ms"]


@asynccontextmanager
async def publishing(pool: Pool, url: str) -> AsyncIterator[Publish]:
    publish = Publish(pool, RedisBus(url, CHANNEL))
    running = asyncio.create_task(publish.run())
    yield publish
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def subscriber(url: str, channel: str, heard: Callable[[Any], object]) -> "asyncio.Task[None]":
    client = redis.from_url(url)
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    await pubsub.subscribe(channel)
    await pubsub.get_message(timeout=1)

    async def listen() -> None:
        async for sent in pubsub.listen():
            heard(json.loads(sent["data"]))

    return asyncio.create_task(listen())


async def bare(url: str, count: int) -> list[float]:
    arrived: dict[int, float] = {}
    task = await subscriber(url, "bare", lambda sent: arrived.setdefault(sent["n"], time.perf_counter()))
    client, delays = redis.from_url(url), []
    for n in range(count):
        began = time.perf_counter()
        await client.publish("bare", json.dumps({"n": n, "filler": "x" * 500}))
        await until(lambda n=n: n in arrived)  # type: ignore[misc]
        delays.append(arrived[n] - began)
        await asyncio.sleep(0.02)
    task.cancel()
    return delays


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.0005)


async def read(reader: Any, heard: Callable[[int], object]) -> None:
    async for block in reader.blocks():
        if block.event is not None:
            heard(block.data["data"]["n"])


async def to_subscribers(served: BenchService, pool: Pool, url: str, count: int) -> dict[str, list[float]]:
    arrived: dict[str, dict[int, float]] = {"Redis": {}, "stream": {}, "WebSocket": {}}

    def heard(by: str) -> Callable[[int], object]:
        return lambda n: arrived[by].setdefault(n, time.perf_counter())

    tasks = [await subscriber(url, CHANNEL, lambda sent: heard("Redis")(sent["event"]["data"]["n"]))]
    for by, connect in (("stream", sse.connect), ("WebSocket", ws.connect)):
        tasks.append(asyncio.create_task(read(await connect(address(served), served.token), heard(by))))
    committed: dict[int, float] = {}
    async with publishing(pool, url) as publish:
        for n in range(count):
            await write(pool, n)
            committed[n] = time.perf_counter()
            publish.announce()
            await until(lambda n=n: all(n in held for held in arrived.values()))  # type: ignore[misc]
            await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    return {by: [held[n] - committed[n] for n in range(count)] for by, held in arrived.items()}


def address(served: BenchService) -> tuple[str, int]:
    return "127.0.0.1", int(served.url.rpartition(":")[2])


async def write(pool: Pool, *numbers: int) -> None:
    async with pool.connection() as connection, connection.transaction():
        for n in numbers:
            data = json.dumps({"path": f"folder/{n}", "backendMountId": 1, "n": n, "metadata": {"k": "x" * 300}})
            await connection.execute(WRITE, [1, data])


async def publisher(pool: Pool, url: str) -> tuple[float, float]:
    """Events a second: ours, and a bare pipelined PUBLISH of the same messages."""
    async with pool.connection() as connection:
        await connection.execute("UPDATE filestore.event_feed SET published = position - %s", [PUBLISHED])
        first = (await store.bounds(connection)).last - PUBLISHED
        page = await store.page(connection, first, 1000)
    publish, began = Publish(pool, RedisBus(url, CHANNEL)), time.perf_counter()
    while await publish.send():
        pass
    ours = PUBLISHED / (time.perf_counter() - began)
    messages = [message(event, "bench") for event in page.events]
    client, began = redis.from_url(url), time.perf_counter()
    for _ in range(PUBLISHED // len(messages)):
        async with client.pipeline(transaction=False) as pipe:
            for sent in messages:
                pipe.publish(CHANNEL, sent)
            await pipe.execute()
    return ours, PUBLISHED / (time.perf_counter() - began)


def resident(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


async def many(served: BenchService, pool: Pool, url: str, readers: int) -> None:
    before = resident(served.pids["api"])
    written: dict[int, float] = {}
    delays: list[float] = []
    opened = [await sse.connect(address(served), served.token) for _ in range(readers)]
    base = 10**6

    def heard(n: int) -> None:
        delays.append(time.perf_counter() - written[n])

    tasks = [asyncio.create_task(read(reader, heard)) for reader in opened]
    total = RATE * SECONDS
    async with publishing(pool, url) as publish:
        began = time.perf_counter()
        for turn in range(0, total, 25):
            numbers = range(base + turn, base + turn + 25)
            written |= dict.fromkeys(numbers, time.perf_counter())
            await write(pool, *numbers)
            publish.announce()
            await asyncio.sleep(max(0.0, began + (turn + 25) / RATE - time.perf_counter()))
        took = time.perf_counter() - began
        with suppress(TimeoutError):
            await until(lambda: len(delays) == total * readers)
    print(f"{readers} readers, {total / took:.0f} events/s: {len(delays)} of {total * readers} came; the API process has "
          f"{resident(served.pids['api']) - before:+.0f} MiB")  # fmt: skip
    show(f"{readers} readers of the stream", delays)
    for task in tasks:
        task.cancel()
    await sse.close_all()


async def publishers(record: str, url: str, table: int) -> None:
    """On a record where no other process publishes."""
    pool = make_pool(record, name="bench", min_size=2, max_size=4)
    await pool.open(wait=True)
    with psycopg.connect(record, autocommit=True) as connection:
        for rows in (PUBLISHED, table):
            connection.execute(FILL, [rows])
            connection.execute(
                "UPDATE filestore.event_feed SET position = (SELECT max(position) FROM filestore.outbox)"
            )
            connection.execute("VACUUM ANALYZE filestore.outbox")
            for _ in range(3):
                ours, plain = await publisher(pool, url)
                print(
                    f"publisher, {rows} more events: {ours:7.0f}/s, bare pipelined PUBLISH {plain:7.0f}/s: {ours / plain:.2f}"
                )
    await pool.close()


async def run(served: BenchService, url: str, arguments: argparse.Namespace) -> None:
    pool = make_pool(served.database, name="bench", min_size=2, max_size=6)
    await pool.open(wait=True)
    for turn in range(2):
        print(f"load {os.getloadavg()[0]:.0f}, round {turn + 1}")
        beside = show("bare PUBLISH to subscriber", await bare(url, arguments.events))
        for by, delays in (await to_subscribers(served, pool, url, arguments.events)).items():
            show(f"commit to {by}", delays, beside)
    await many(served, pool, url, arguments.readers)
    await ws.close_all()
    await pool.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.followers")
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--readers", type=int, default=200)
    parser.add_argument("--table", type=int, default=100_000)
    arguments = parser.parse_args()
    with stack() as running, tempfile.TemporaryDirectory() as folder:
        url = running.env["REDIS_URL"]
        asyncio.run(publishers(database(running.env["FILESTORE_DATABASE_URL"]), url, arguments.table))
        with service(running, Path(folder)) as served:
            asyncio.run(run(served, url, arguments))


if __name__ == "__main__":
    main()
