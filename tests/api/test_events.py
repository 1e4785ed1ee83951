"""GET /v1/events/stream and GET /v1/events: the feed as clients read it, over a real server."""

import asyncio
import base64
import json
import random
import socket
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
import uvicorn

from activities import budgets
from activities.events.publish import Publish
from api.app import create_app
from api.events import feed
from api.events import sse as event_stream
from api.events.feed import below
from api.services import Services
from schema import errors
from schema.events import EventType
from schema.settings import Settings
from schema.store import events as store
from schema.store.pool import Pool, make_pool
from tests.api.conftest import FrontOfTest, Tree, make_tree
from tests.sse import SentBlock, close_all, connect
from workers.buses.redis import InlineBus

CREATED, DELETED, COMPLETED = EventType.NODE_CREATED, EventType.NODE_DELETED, EventType.COMMAND_COMPLETED


async def write(tree: Tree, *paths: str, type_: str = CREATED, tenant: str = "main", **data: Any) -> None:
    """Events of one transaction, as `commit` writes them; they have no positions yet."""
    query = "INSERT INTO filestore.outbox (tenant, mount_id, type, data) VALUES (%s, %s, %s, %s)"
    async with tree.pool.connection() as connection, connection.transaction():
        for path in paths:
            await connection.execute(query, [tenant, tree.mount, type_, json.dumps({"path": path, **data})])


async def position(pool: Pool) -> int:
    """Give positions, as the publisher does it; returns the last one."""
    async with pool.connection() as connection:
        while await store.give_positions(connection, 1000):
            pass
        return (await store.bounds(connection)).last


async def tell(tree: Tree, *paths: str, **data: Any) -> int:
    await write(tree, *paths, **data)
    return await position(tree.pool)


def paths_of(blocks: list[SentBlock]) -> list[str]:
    return [block.data["data"]["path"] for block in blocks]


@pytest.fixture(autouse=True)
async def hung_up() -> AsyncIterator[None]:
    yield
    await close_all()


@pytest.fixture
async def read_token(front: FrontOfTest) -> str:
    return front.tokens["read"]


@asynccontextmanager
async def serving(front: FrontOfTest, **settings: Any) -> AsyncIterator[tuple[tuple[str, int], feed.Feed]]:
    """Another server process, as far as clients can tell: a feed of its own, with these settings."""
    wakeups, pool = settings.pop("wakeups", None), settings.pop("pool", front.pool)
    told = Settings(host_id="test-host", **settings)
    services = Services(
        told, pool, front.commands, front.disks, front.health, wakeups=wakeups, threads=budgets.READS.build()
    )
    app = create_app(services)
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_level="error", lifespan="off", http="httptools", ws="none", backlog=1000)
    )
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  uvicorn has no event for it
        await asyncio.sleep(0.005)
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    try:
        yield (host, port), app.state.feed
    finally:
        app.state.feed.close()
        server.should_exit = True
        await running


# The stream


async def test_what_a_stream_looks_like(
    front: FrontOfTest, tree: Tree, address: tuple[str, int], read_token: str
) -> None:
    last = await position(tree.pool)
    stream = await connect(address, read_token, backendMountId=tree.mount)
    assert stream.status == 200 and stream.headers["content-type"].startswith("text/event-stream")
    assert stream.headers["cache-control"] == "no-store" and "content-length" not in stream.headers
    opening = await stream.opening()
    assert opening.lines == ["retry: 2000", f"id: {last}"], (
        "from now on; who is cut off before the first event can resume"
    )
    await tell(tree, "a/é\n", metadata={"n": 1.0, "text": "two\nlines"})
    (block,) = await stream.events(1)
    assert block.lines[:2] == [f"event: {CREATED}", f"id: {last + 1}"] and len(block.lines) == 3
    assert block.data == {"type": CREATED, "data": {"path": "a/é\n", "metadata": {"n": 1.0, "text": "two\nlines"}}}
    await stream.close()


async def test_a_pretty_document_still_goes_into_one_line(
    front: FrontOfTest, tree: Tree, address: tuple[str, int], read_token: str
) -> None:
    stream = await connect(address, read_token, backendMountId=tree.mount)
    async with tree.pool.connection() as connection:
        await connection.execute(
            "INSERT INTO filestore.outbox (tenant, mount_id, type, data) VALUES ('main', %s, %s, %s)",
            [tree.mount, CREATED, '{\n "path":\r\n "x"\n}'],
        )
    await position(tree.pool)
    assert paths_of(await stream.events(1)) == ["x"]
    await stream.close()


async def test_a_stream_goes_on_right_after_the_last_event(
    tree: Tree, address: tuple[str, int], read_token: str
) -> None:
    last = await tell(tree, *(f"f{n}" for n in range(10)))
    third = str(last - 7)
    for asked in ({"headers": {"Last-Event-ID": third}}, {"lastEventId": third},
                  {"headers": {"last-event-id": third}, "lastEventId": "1"}):  # fmt: skip
        stream = await connect(address, read_token, backendMountId=tree.mount, **asked)
        assert (await stream.opening()).id == last - 7
        assert paths_of(await stream.events(7)) == [f"f{n}" for n in range(3, 10)]
        await tell(tree, "more")
        assert paths_of(await stream.events(1)) == ["more"]
        await stream.close()


async def test_a_stream_waits_for_what_is_committed_late(tree: Tree, address: tuple[str, int], read_token: str) -> None:
    stream = await connect(address, read_token, backendMountId=tree.mount)
    async with tree.pool.connection() as late, late.transaction():
        await late.execute(
            "INSERT INTO filestore.outbox (tenant, mount_id, type, data) VALUES ('main', %s, %s, '{\"path\":\"first\"}')",
            [tree.mount, CREATED],
        )
        await tell(tree, "second")
        with pytest.raises(TimeoutError):
            await stream.events(1, seconds=0.8)
    await stream.close()
    stream = await connect(address, read_token, backendMountId=tree.mount, lastEventId=stream.last_id)
    await position(tree.pool)
    assert paths_of(await stream.events(2)) == ["first", "second"]
    await stream.close()


async def test_two_streams_with_filters_of_their_own(
    front: FrontOfTest, tree: Tree, address: tuple[str, int], read_token: str, tmp_path: Any
) -> None:
    other = await make_tree(front.pool, tmp_path / "other")
    below_a = await connect(address, read_token, pathPrefix="/a/b/", events=[CREATED, DELETED])
    of_mount = await connect(address, read_token, backendMountId=other.mount, events=f"{DELETED}, {COMPLETED}")
    for one in (tree, other):
        for type_ in (CREATED, COMPLETED, DELETED):
            await tell(one, "a/b", "a/b/c", "a/bc", "a", "a/b.c", "a%2Fb/c", "b/a/b", "a/b/c/d", type_=type_)
    mine = ["a/b", "a/b/c", "a/b/c/d"]
    found = await below_a.events(12)
    assert paths_of(found) == mine * 4 and [b.event for b in found] == ([CREATED] * 3 + [DELETED] * 3) * 2
    found = await of_mount.events(16)
    assert [b.event for b in found] == [COMPLETED] * 8 + [DELETED] * 8
    for stream in (below_a, of_mount):
        await stream.close()


@pytest.mark.parametrize(
    ("path", "prefix", "is_below"),
    [(b"a/b", b"a/b", True), (b"a/b/c", b"a/b", True), (b"a/bc", b"a/b", False), (b"a", b"a/b", False), (b"A/b", b"a", False),
     (b"a\xff/b", b"a\xff", True), (b"a\xff/b", b"a\xfe", False), (b"a\xff", b"a", False), (b"", b"a", False)],
)  # fmt: skip
def test_a_prefix_means_whole_names(path: bytes, prefix: bytes, is_below: bool) -> None:
    assert below(path, prefix) == is_below


async def test_names_that_are_no_text_and_both_places_of_a_move(
    tree: Tree, address: tuple[str, int], read_token: str
) -> None:
    prefix = base64.b64encode(b"d\xff").decode()
    stream = await connect(address, read_token, backendMountId=tree.mount, pathPrefixB64=prefix)
    await tell(tree, "d\ufffd/1", pathB64=base64.b64encode(b"d\xff/1").decode())
    await tell(tree, "d\ufffd/2", pathB64=base64.b64encode(b"d\xfe/2").decode())
    await tell(tree, "d\ufffd/3")
    moved = {"path": "d\ufffd/4", "pathB64": base64.b64encode(b"d\xff/4").decode()}
    await tell(tree, "to/4", type_=EventType.NODE_MOVED, movedFrom=moved)
    assert paths_of(await stream.events(2)) == ["d\ufffd/1", "to/4"]
    await stream.close()


async def test_nobody_sees_another_tenant(
    front: FrontOfTest, tree: Tree, address: tuple[str, int], tmp_path: Any, read_token: str
) -> None:
    theirs = await make_tree(front.pool, tmp_path / "theirs", tenant="theirs")
    token = await front.token("read", tenant="theirs")
    mine, other = await connect(address, read_token), await connect(address, token)
    start = await position(tree.pool)
    await tell(theirs, "secret", tenant="theirs")
    await tell(tree, "open")
    assert paths_of(await mine.events(1)) == ["open"]
    assert paths_of(await other.events(1)) == ["secret"]
    resumed = await connect(address, read_token, lastEventId=start)
    assert paths_of(await resumed.events(1)) == ["open"]
    refused = await connect(address, read_token, backendMountId=theirs.mount)
    assert refused.status == 404
    for stream in (mine, other, resumed, refused):
        await stream.close()


async def test_each_event_is_shown_to_who_may_read_its_path(
    tree: Tree, address: tuple[str, int], read_token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def authorise(principal: Any, action: str, mount: Any = None, path: Any = None) -> None:
        if path is not None and path.raw.startswith(b"secret"):
            raise errors.MissingScope()

    monkeypatch.setattr(event_stream, "authorise", authorise)
    stream = await connect(address, read_token, backendMountId=tree.mount)
    start = await position(tree.pool)
    await tell(tree, "secret/1", "open/1")
    await tell(tree, "open/2", type_=EventType.NODE_MOVED, movedFrom="secret/2")
    await tell(tree, "open/3")
    assert paths_of(await stream.events(2)) == ["open/1", "open/3"]
    await stream.close()
    async with httpx2.AsyncClient(base_url=f"http://{address[0]}:{address[1]}") as client:
        found = await pull(client, read_token, backendMountId=tree.mount, after=start)
    assert [e["data"]["path"] for e in found["events"]] == ["open/1", "open/3"]


BAD: list[dict[str, Any]] = [
    {"events": ""},
    {"events": "filestore.node.renamed"}, {"events": f"{CREATED},nope"}, {"events": CREATED.upper()}, {"backendMountId": "x"},
    {"pathPrefix": "../a"}, {"pathPrefix": "a\0"}, {"pathPrefixB64": "!"}, {"lastEventId": "-1"}, {"lastEventId": "x"},
    {"lastEventId": 2**62}, {"lastEventId": "9" * 400}, {"lastEventId": "1.5"},
    {"headers": {"last-event-id": "x"}}, {"headers": {"last-event-id": "9" * 30}}, {"headers": {"last-event-id": "-1"}},
    {"headers": {"last-event-id": str(2**62)}},
]  # fmt: skip


@pytest.mark.parametrize("asked", BAD, ids=[str(n) for n in range(len(BAD))])
async def test_a_bad_question_is_400(
    tree: Tree, address: tuple[str, int], read_token: str, asked: dict[str, Any]
) -> None:
    stream = await connect(address, read_token, **asked)
    assert stream.status == 400
    body = json.loads(await stream.reader.readexactly(int(stream.headers["content-length"])))
    assert body["error"]["code"] in ("INVALID_REQUEST", "INVALID_PATH")
    await stream.close()


async def test_a_position_that_is_not_given_yet_is_refused(
    tree: Tree, address: tuple[str, int], read_token: str
) -> None:
    last = await position(tree.pool)
    for after, status in ((last, 200), (last + 1, 400)):
        stream = await connect(address, read_token, lastEventId=after)
        assert stream.status == status
        await stream.close()


async def test_events_that_are_gone_are_not_passed_over_in_silence(
    front: FrontOfTest, tree: Tree, address: tuple[str, int], read_token: str
) -> None:
    last = await tell(tree, *(f"f{n}" for n in range(6)))
    async with tree.pool.connection() as connection:
        await connection.execute("DELETE FROM filestore.outbox WHERE position <= %s", [last - 2])
    stream = await connect(address, read_token, backendMountId=tree.mount, lastEventId=last - 5)
    assert (await stream.opening()).id == last - 5
    said, *rest = await stream.events(3)
    assert said.event == "filestore.stream.reset" and said.id == last - 2
    assert said.data == {
        "type": "filestore.stream.reset", "data": {"requestedAfter": last - 5, "resumedAfter": last - 2},
    }  # fmt: skip
    assert paths_of(rest) == ["f4", "f5"]
    whole = await connect(address, read_token, backendMountId=tree.mount, lastEventId=last - 2)
    assert paths_of(await whole.events(2)) == ["f4", "f5"], "nothing is missing right at the edge"
    for one in (stream, whole):
        await one.close()
    async with httpx2.AsyncClient(base_url=f"http://{address[0]}:{address[1]}") as client:
        headers = {"authorization": f"Bearer {read_token}"}
        gone = await client.get("/v1/events", params={"backendMountId": tree.mount, "after": last - 5}, headers=headers)
        error = gone.json()["error"]
        assert (gone.status_code, error["code"]) == (410, "CURSOR_EXPIRED")
        earliest = error["details"]["earliest"]
        assert (error["details"]["after"], earliest) == (last - 5, last - 2)
        told = await pull(client, read_token, backendMountId=tree.mount, after=earliest)
        assert len(told["events"]) == 2, "nothing is missing right at the edge"
        told = await pull(client, read_token, backendMountId=tree.mount)
        assert len(told["events"]) == 2, "from the oldest there is"


async def test_a_slow_reader_whose_events_are_pruned_meanwhile_is_told(
    front: FrontOfTest, tree: Tree, read_token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "PAGE", 10)
    monkeypatch.setattr(feed, "KEPT_EVENTS", 10)
    read = feed.Feed.part
    start = await tell(tree, *(f"f{n}" for n in range(40)))

    async def part(self: feed.Feed, after: int, wanted: Any) -> Any:
        if after == start - 30:
            async with tree.pool.connection() as connection:
                await connection.execute("DELETE FROM filestore.outbox WHERE position <= %s", [start - 15])
        return await read(self, after, wanted)

    monkeypatch.setattr(feed.Feed, "part", part)
    async with serving(front) as (address, _):
        stream = await connect(address, read_token, backendMountId=tree.mount, lastEventId=start - 40)
        found = await stream.events(26)
        assert [b.event for b in found].index("filestore.stream.reset") == 10
        assert found[10].data["data"] == {"requestedAfter": start - 30, "resumedAfter": start - 15}
        assert paths_of(found[:10] + found[11:]) == [f"f{n}" for n in (*range(10), *range(25, 40))]
        await stream.close()


async def test_a_stream_says_that_it_lives_and_how_far_it_has_looked(
    front: FrontOfTest, tree: Tree, read_token: str
) -> None:
    async with serving(front, events_heartbeat_seconds=0.3) as (address, _):
        stream = await connect(address, read_token, backendMountId=tree.mount, events=DELETED)
        blocks = stream.blocks()
        opening = await anext(blocks)
        began = time.monotonic()
        assert (await anext(blocks)).lines == [": heartbeat"]
        assert 0.2 < time.monotonic() - began < 2
        last = await tell(tree, "for others")
        async with asyncio.timeout(5):
            while (block := await anext(blocks)).id is None:
                assert block.lines == [": heartbeat"]
        assert block.lines == [": heartbeat", f"id: {last}"] and opening.id is not None and last > opening.id
        await stream.close()


async def test_a_stream_ends_with_its_token(front: FrontOfTest, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.access.tokens.FRESH_SECONDS", 0.1)
    token = await front.token("read", principal="leaving")
    async with serving(front, events_heartbeat_seconds=0.3) as (address, followed):
        stream, idle = await connect(address, token, backendMountId=tree.mount), await connect(address, token)
        await tell(tree, "before")
        assert paths_of(await stream.events(1)) == ["before"]
        async with front.pool.connection() as connection:
            await connection.execute("UPDATE filestore.tokens SET revoked_at = now() WHERE principal = 'leaving'")
        await asyncio.sleep(1.2)  # what is known of a token holds for a moment, and one request's time longer
        await tell(tree, "after")
        async with asyncio.timeout(5):
            assert [b async for b in stream.blocks() if b.event is not None] == [], "ended, and nothing more was shown"
            assert "after" not in paths_of([b async for b in idle.blocks() if b.event is not None])
        assert (await connect(address, token)).status == 401
        assert followed.followers == 0


# Who comes, goes, and is slow


async def until(condition: Any, seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_client_that_is_gone_is_gone_at_once(front: FrontOfTest, tree: Tree, read_token: str) -> None:
    async with serving(front) as (address, followed):
        streams = [await connect(address, read_token) for _ in range(20)]
        await until(lambda: followed.followers == 20)
        tasks = len(asyncio.all_tasks())
        for stream in streams:
            stream.writer.transport.abort()
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
    front: FrontOfTest, tree: Tree, read_token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small pages and a small memory, so that every way of reading is taken."""
    monkeypatch.setattr(feed, "PAGE", 7)
    monkeypatch.setattr(feed, "KEPT_EVENTS", 20)
    monkeypatch.setattr(feed, "LINGER_SECONDS", 0.02)
    start, count = await position(tree.pool), 200
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
            stream.writer.transport.abort()
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
    front: FrontOfTest, tree: Tree, read_token: str, monkeypatch: pytest.MonkeyPatch
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
        slow.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 * 1024)
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


# Servers come and go


async def test_streams_end_when_the_server_does_and_go_on_at_the_next(
    front: FrontOfTest, tree: Tree, read_token: str
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
    front: FrontOfTest, tree: Tree, read_token: str
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


# The pull


async def pull(client: httpx2.AsyncClient, token: str, **params: Any) -> dict[str, Any]:
    answer = await client.get("/v1/events", params=params, headers={"authorization": f"Bearer {token}"}, timeout=40)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["data"])


async def test_pages_go_through_the_feed(client: httpx2.AsyncClient, front: FrontOfTest, tree: Tree) -> None:
    token = front.tokens["read"]
    start = await position(tree.pool)
    last = await tell(tree, *(f"f{n}" for n in range(10)))
    seen, after, pages = [], start, 0
    while after < last:
        data = await pull(client, token, backendMountId=tree.mount, after=after, limit=4)
        seen += data["events"]
        after, pages = data["next"], pages + 1
        assert data["last"] == last
    assert pages == 3 and [e["data"]["path"] for e in seen] == [f"f{n}" for n in range(10)]
    assert [e["position"] for e in seen] == list(range(start + 1, last + 1)) and {e["type"] for e in seen} == {CREATED}
    data = await pull(client, token, backendMountId=tree.mount, after=start, events=DELETED)
    assert (data["events"], data["next"]) == ([], last), "looked at, and not wanted"
    data = await pull(client, token, after=last)
    assert (data["events"], data["next"], data["last"]) == ([], last, last)


async def test_one_poll_looks_through_a_part_of_a_long_feed(
    client: httpx2.AsyncClient, front: FrontOfTest, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "PAGE", 10)
    monkeypatch.setattr("api.events.routes.PARTS", 2)
    start = await position(tree.pool)
    last = await tell(tree, *(["other"] * 50), "mine")
    nexts = []
    after = start
    while after < last:
        data = await pull(client, front.tokens["read"], pathPrefix="mine", backendMountId=tree.mount, after=after)
        after = data["next"]
        nexts.append(after - start)
    assert nexts == [20, 40, 51] and [e["data"]["path"] for e in data["events"]] == ["mine"]


BAD_PULLS = [
    *[asked for asked in BAD if "headers" not in asked and "lastEventId" not in asked], {"after": -1}, {"after": 2**62},
    {"after": "x"}, {"limit": 0}, {"limit": 1001}, {"wait": 31}, {"wait": -1}, {"wait": "nan"}, {"wait": "x"},
]  # fmt: skip


@pytest.mark.parametrize("params", BAD_PULLS, ids=[str(n) for n in range(len(BAD_PULLS))])
async def test_a_bad_pull_is_400(client: httpx2.AsyncClient, params: dict[str, Any]) -> None:
    assert (await client.get("/v1/events", params=params)).status_code == 400


async def test_a_poll_waits_for_an_event_and_no_longer(front: FrontOfTest, tree: Tree, read_token: str) -> None:
    async with (
        serving(front) as (address, followed),
        httpx2.AsyncClient(base_url=f"http://{address[0]}:{address[1]}") as client,
    ):
        last = await position(tree.pool)
        asked = {"backendMountId": tree.mount, "events": DELETED, "after": last}
        began = time.monotonic()
        data = await pull(client, read_token, wait=0.5, **asked)
        assert data["events"] == [] and 0.4 < time.monotonic() - began < 2
        waiting = asyncio.create_task(pull(client, read_token, wait=20, **asked))
        await until(lambda: followed.followers == 1)
        await tell(tree, "not wanted")
        await asyncio.sleep(0.7)
        assert not waiting.done()
        last = await tell(tree, "wanted", type_=DELETED)
        data = await waiting
        assert [e["data"]["path"] for e in data["events"]] == ["wanted"] and (data["next"], data["last"]) == (
            last,
            last,
        )
        assert time.monotonic() - began < 10 and followed.followers == 0


async def test_a_poll_whose_client_is_gone_waits_no_more(front: FrontOfTest, tree: Tree, read_token: str) -> None:
    async with serving(front) as (address, followed):
        _, writer = await asyncio.open_connection(*address)
        last = await position(tree.pool)
        writer.write(
            f"GET /v1/events?wait=30&after={last} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {read_token}\r\n\r\n".encode()
        )
        await until(lambda: followed.followers == 1)
        writer.transport.abort()
        await until(lambda: followed.followers == 0, 1)


async def test_who_may_not_read_gets_nothing(front: FrontOfTest, address: tuple[str, int]) -> None:
    for path in ("/v1/events", "/v1/events/stream"):
        async with front.client() as nobody:
            assert (await nobody.get(path)).status_code == 401


async def test_the_document_names_every_type(front: FrontOfTest) -> None:
    async with front.client() as anybody:
        document = (await anybody.get("/openapi.json")).json()
    assert document["components"]["schemas"]["EventType"]["enum"] == [type_.value for type_ in EventType]
    stream = document["paths"]["/v1/events/stream"]["get"]
    assert "text/event-stream" in stream["responses"]["200"]["content"]
    assert {p["name"] for p in stream["parameters"]} == {
        "backendMountId", "pathPrefix", "pathPrefixB64", "events", "lastEventId", "Last-Event-ID",
    }  # fmt: skip
