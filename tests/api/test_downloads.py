"""A complete download makes one event; a failure to write events never reaches the client that downloads."""

import asyncio
import json
import time
from typing import Any

import httpx2
import pytest

from api.files import downloads
from schema.ids import NodeId
from schema.store.pool import make_pool
from tests.api.conftest import FrontOfTest, Tree

TEXT = b"0123456789"


@pytest.fixture
async def node(tree: Tree) -> NodeId:
    return await tree.file("ten.txt", TEXT, metadata=json.dumps({"a": 1}))


async def download_events(front: FrontOfTest, tree: Tree) -> list[dict[str, Any]]:
    """The events of this mount, when nothing is under way any more."""
    writing = front.app.state.downloads._writing
    if writing is not None:
        await writing
    async with tree.pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT type, data, tenant, position FROM filestore.outbox WHERE mount_id = %s ORDER BY id", [tree.mount]
        )
        return list(await cursor.fetchall())


async def test_a_complete_download_is_an_event(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, node: NodeId
) -> None:
    announced: list[None] = []
    front.app.state.downloads._announce = lambda: announced.append(None)
    answer = await client.get(f"/v1/files/{node}/content")
    (event,) = await download_events(front, tree)
    data = event["data"]
    hash = answer.headers["x-filestore-content-hash"]
    assert (event["type"], event["tenant"], event["position"]) == ("filestore.node.downloaded", "main", None)
    assert data.pop("observedAt") and data.pop("principal").startswith("user-")
    assert data == {
        "backendMountId": tree.mount, "nodeId": node, "path": "ten.txt", "kind": "file", "state": "active",
        "parentId": tree.root, "version": 1, "sizeBytes": 10, "checksum": hash, "contentHash": hash,
        "metadata": {"a": 1}, "journalId": None, "command": None, "commandId": None, "idempotencyKey": None, "mode": "stream",
        "range": None,
    }  # fmt: skip
    assert len(announced) == 1
    async with tree.pool.connection() as connection:
        cursor = await connection.execute("SELECT FROM filestore.journal_entries WHERE mount_id = %s", [tree.mount])
        assert await cursor.fetchall() == []


async def test_what_is_no_complete_download_is_not_told(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, node: NodeId
) -> None:
    at = f"/v1/files/{node}/content"
    await client.head(at)
    for headers in ({"range": "bytes=0-"}, {"range": "bytes=0-1,3-4"}, {"range": "bytes=90-"}, {"if-none-match": "*"},
                    {"if-match": '"x"'}):  # fmt: skip
        await client.get(at, headers=headers)
    await client.get(at + "?version=7")
    assert await download_events(front, tree) == []


async def test_a_client_that_left_has_not_downloaded(front: FrontOfTest, tree: Tree, address: tuple[str, int]) -> None:
    node = await tree.file("big", b"x" * 30_000_000)
    reader, writer = await asyncio.open_connection(*address, limit=1024)
    writer.write(
        f"GET /v1/files/{node}/content HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {front.tokens['read']}\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()
    await asyncio.sleep(0.3)
    assert await download_events(front, tree) == []


async def test_many_at_once_are_told_once_each(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, node: NodeId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "PART", 7)
    await asyncio.gather(*(client.get(f"/v1/files/{node}/content") for _ in range(40)))
    assert len(await download_events(front, tree)) == 40


async def test_without_postgres_a_download_is_not_told_and_goes_through_as_fast(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, node: NodeId, monkeypatch: pytest.MonkeyPatch
) -> None:
    telling = front.app.state.downloads
    nowhere = make_pool("postgresql://nobody@127.0.0.1:1/none", name="nowhere", timeout=2)
    await nowhere.open(wait=False)
    monkeypatch.setattr(telling, "_pool", nowhere)
    monkeypatch.setattr(downloads, "WAITING_MAX", 3)
    began = time.perf_counter()
    for _ in range(10):
        assert (await client.get(f"/v1/files/{node}/content")).content == TEXT
    assert time.perf_counter() - began < 10, "twice that, if each had waited for a connection"
    assert await download_events(front, tree) == []
    assert telling._untold == 10, "noted and dropped: memory does not grow with an outage"
    await nowhere.close()
    monkeypatch.setattr(telling, "_pool", front.pool)
    await client.get(f"/v1/files/{node}/content")
    assert len(await download_events(front, tree)) == 1
