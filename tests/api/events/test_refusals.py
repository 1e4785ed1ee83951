"""Questions that are refused, and events that are gone."""

import asyncio
import time
from typing import Any

import httpx2
import pytest

from api.events import feed
from tests.api.conftest import FrontOfTest, Tree
from tests.api.events.conftest import Connect
from tests.api.events.helpers import BAD, DELETED, paths_of, position, pull, serving, tell
from tests.sse import connect


@pytest.mark.parametrize("asked", BAD, ids=[str(n) for n in range(len(BAD))])
async def test_a_bad_question_is_400(
    tree: Tree, address: tuple[str, int], read_token: str, asked: dict[str, Any], connect: Connect
) -> None:
    stream = await connect(address, read_token, **asked)
    assert stream.status == 400
    body = await stream.refusal()
    assert body["error"]["code"] in ("INVALID_REQUEST", "INVALID_PATH")
    await stream.close()


async def test_a_position_that_is_not_given_yet_is_refused(
    tree: Tree, address: tuple[str, int], read_token: str, connect: Connect
) -> None:
    last = await position(tree.pool)
    for after, status in ((last, 200), (last + 1, 400)):
        stream = await connect(address, read_token, lastEventId=after)
        assert stream.status == status
        await stream.close()


async def test_events_that_are_gone_are_not_passed_over_in_silence(
    front: FrontOfTest, tree: Tree, address: tuple[str, int], read_token: str, connect: Connect
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
        pulled = await pull(client, read_token, backendMountId=tree.mount, after=earliest)
        assert len(pulled["events"]) == 2, "nothing is missing right at the edge"
        pulled = await pull(client, read_token, backendMountId=tree.mount)
        assert len(pulled["events"]) == 2, "from the oldest there is"


async def test_a_slow_reader_whose_events_are_pruned_meanwhile_is_told(
    front: FrontOfTest, tree: Tree, read_token: str, monkeypatch: pytest.MonkeyPatch, connect: Connect
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


async def test_a_stream_ends_with_its_token(
    front: FrontOfTest, tree: Tree, monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
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
