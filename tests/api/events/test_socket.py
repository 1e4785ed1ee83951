"""What is the socket's own: its frames, its handshake, how it ends. What it shares with the stream is tested beside that."""

import asyncio
import json

import httpx2
import pytest
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed

from tests.api.conftest import FrontOfTest, Tree
from tests.api.events.helpers import CREATED, DELETED, paths_of, position, serving, tell, until
from tests.ws import connect


async def test_a_frame_is_an_event_with_its_cursor(tree: Tree, address: tuple[str, int], read_token: str) -> None:
    last = await position(tree.pool)
    socket = await connect(address, read_token, backendMountId=tree.mount)
    assert (await socket.opening()).id == last and socket.headers["x-request-id"]
    await tell(tree, "a/é\n", metadata={"n": 1.0})
    (block,) = await socket.events(1)
    data = {"path": "a/é\n", "metadata": {"n": 1.0}}
    assert json.loads(block.lines[0]) == {
        "position": last + 1, "cursor": str(last + 1), "type": CREATED, "data": data,
    }  # fmt: skip
    cloud = await open_socket(
        f"ws://{address[0]}:{address[1]}/v1/events/ws?format=cloudevents&after={last}",
        additional_headers={"authorization": f"Bearer {read_token}"},
        proxy=None,
    )
    sent = json.loads(await cloud.recv())
    assert (sent["specversion"], sent["id"], sent["type"], sent["data"]) == ("1.0", str(last + 1), CREATED, data)
    await cloud.close()


async def test_a_browser_sends_its_token_as_a_subprotocol(
    tree: Tree, address: tuple[str, int], read_token: str
) -> None:
    url = f"ws://{address[0]}:{address[1]}/v1/events/ws?backendMountId={tree.mount}"
    async with open_socket(url, subprotocols=["filestore", f"bearer.{read_token}"], proxy=None) as socket:  # type: ignore[list-item]
        assert socket.subprotocol == "filestore", "the token is never sent back"
        await tell(tree, "a")
        assert json.loads(await socket.recv())["data"] == {"path": "a"}
    refused = await connect(address, "none")
    assert refused.status == 401 and (await refused.refusal())["error"]["code"] == "UNAUTHENTICATED"
    assert refused.headers["www-authenticate"] == "Bearer"


async def test_a_plain_request_is_told_to_upgrade_and_others_are_never_upgraded(
    address: tuple[str, int], read_token: str
) -> None:
    upgrade = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13",
               "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}  # fmt: skip
    base = f"http://{address[0]}:{address[1]}"
    async with httpx2.AsyncClient(base_url=base, headers={"authorization": f"Bearer {read_token}"}) as client:
        plain = await client.get("/v1/events/ws")
        assert (plain.status_code, plain.json()["error"]["code"]) == (426, "UPGRADE_REQUIRED")
        assert plain.headers["upgrade"] == "websocket"
        other = await client.get("/v1/events", params={"limit": 1}, headers=upgrade)
        assert other.status_code == 200 and "events" in other.json()["data"]


async def test_a_socket_says_how_far_it_has_looked(front: FrontOfTest, tree: Tree, read_token: str) -> None:
    async with serving(front, events_heartbeat_seconds=0.2) as (address, _):
        socket = await connect(address, read_token, backendMountId=tree.mount, events=DELETED)
        last = await tell(tree, "for others")
        async with asyncio.timeout(5):
            async for block in socket.blocks():
                assert block.data == {"type": "filestore.stream.position", "data": {}}
                if block.id == last:
                    break
        await socket.close()


async def test_a_close_says_why(front: FrontOfTest, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.access.tokens.FRESH_SECONDS", 0.1)
    token, other = await front.token("read", principal="ending"), await front.token("read", principal="staying")
    async with serving(front, events_heartbeat_seconds=0.2) as (address, followed):
        ending, staying = await connect(address, token), await connect(address, other)
        async with front.pool.connection() as connection:
            await connection.execute("UPDATE filestore.tokens SET revoked_at = now() WHERE principal = 'ending'")
        assert await close_code(ending.socket) == 1008
        followed.close()
        assert await close_code(staying.socket) == 1012


async def close_code(socket: object) -> int:
    async with asyncio.timeout(10):
        try:
            while True:
                await socket.recv()  # type: ignore[attr-defined]
        except ConnectionClosed as closed:
            assert closed.rcvd is not None
            return closed.rcvd.code


async def test_a_reader_that_has_stopped_is_cut_and_goes_on_after_its_last_cursor(
    front: FrontOfTest, tree: Tree, read_token: str
) -> None:
    async with serving(front, http_write_seconds=0.3) as (address, followed):
        start = await position(tree.pool)
        stuck = await connect(address, read_token, limit=1024, backendMountId=tree.mount)
        stuck.keep_in_the_kernel(64 * 1024)
        count = 400
        await tell(tree, *(f"f{n}" for n in range(count)), filler="x" * 30_000)
        await until(lambda: followed.followers == 0, 15)
        with pytest.raises(AssertionError, match="cut off"):
            await stuck.events(count)
        seen = (stuck.last_id or start) - start
        assert 0 < seen < count
        again = await connect(address, read_token, backendMountId=tree.mount, after=stuck.last_id)
        assert paths_of(await again.events(count - seen)) == [f"f{n}" for n in range(seen, count)]
        await again.close()


async def test_what_a_client_sends_is_dropped_and_a_large_message_ends_it(
    tree: Tree, address: tuple[str, int], read_token: str
) -> None:
    found = await connect(address, read_token, backendMountId=tree.mount)
    socket = found.socket
    assert socket is not None
    for _ in range(100):
        await socket.send("ping")
    await (await socket.ping())
    await tell(tree, "a")
    assert paths_of(await found.events(1)) == ["a"]
    await socket.send("x" * 5000)
    assert await close_code(socket) == 1009
