"""GET /v1/events: pages of the feed, and polls that wait."""

import asyncio
import time
from typing import Any

import httpx2
import pytest

from api.events import feed
from schema.events import EventType
from tests.api.conftest import FrontOfTest, Tree
from tests.api.events.helpers import BAD, CREATED, DELETED, position, pull, serving, tell, until


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
    places = [e["position"] for e in seen]  # an event of an earlier test can lie between them
    assert places == sorted(set(places)) and start < places[0] and places[-1] == last
    assert {e["type"] for e in seen} == {CREATED}
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
    # An event that an earlier test's download tells of late may have come behind the last one.
    assert nexts[:2] == [20, 40] and len(nexts) == 3 and nexts[2] >= 51
    assert [e["data"]["path"] for e in data["events"]] == ["mine"]


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
        async with front.client() as anonymous:
            assert (await anonymous.get(path)).status_code == 401


async def test_the_document_names_every_type(front: FrontOfTest) -> None:
    async with front.client() as anonymous:
        document = (await anonymous.get("/openapi.json")).json()
    assert document["components"]["schemas"]["EventType"]["enum"] == [type_.value for type_ in EventType]
    stream = document["paths"]["/v1/events/stream"]["get"]
    assert "text/event-stream" in stream["responses"]["200"]["content"]
    assert {p["name"] for p in stream["parameters"]} == {
        "backendMountId", "pathPrefix", "pathPrefixB64", "events", "types", "format", "lastEventId", "Last-Event-ID", "after",
    }  # fmt: skip
    socket = document["paths"]["/v1/events/ws"]["get"]
    assert "101" in socket["responses"] and socket["parameters"] == stream["parameters"]
