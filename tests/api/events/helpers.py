"""Events of a test, and the server that sends them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import uvicorn

from activities import budgets
from api.app import create_app
from api.events import feed
from api.services import Services
from schema.events import EventType
from schema.settings import Settings
from schema.store import events as store
from schema.store.pool import Pool
from tests.api.conftest import FrontOfTest, Tree
from tests.sse import SentBlock
from tests.store.helpers import give_positions
from workers.process import http

CREATED, DELETED, COMPLETED = EventType.NODE_CREATED, EventType.NODE_DELETED, EventType.COMMAND_COMPLETED


async def write(tree: Tree, /, *paths: str, type_: str = CREATED, tenant: str = "main", **data: Any) -> None:
    """Events of one transaction, as `commit` writes them; they have no positions yet."""
    query = "INSERT INTO filestore.outbox (tenant, mount_id, type, data) VALUES (%s, %s, %s, %s)"
    async with tree.pool.connection() as connection, connection.transaction():
        for path in paths:
            await connection.execute(query, [tenant, tree.mount, type_, json.dumps({"path": path, **data})])


async def position(pool: Pool) -> int:
    """Give positions, as the publisher does it; returns the last one."""
    async with pool.connection() as connection:
        await give_positions(connection)
        return (await store.bounds(connection)).last


async def tell(tree: Tree, /, *paths: str, **data: Any) -> int:
    await write(tree, *paths, **data)
    return await position(tree.pool)


def paths_of(blocks: list[SentBlock]) -> list[str]:
    return [block.data["data"]["path"] for block in blocks]


@asynccontextmanager
async def serving(front: FrontOfTest, **settings: Any) -> AsyncIterator[tuple[tuple[str, int], feed.Feed]]:
    """Another server process, as far as clients can tell: a feed of its own, with these settings."""
    wakeups, pool = settings.pop("wakeups", None), settings.pop("pool", front.pool)
    configured = Settings(host_id="test-host", **settings)
    services = Services(
        configured, pool, front.commands, front.disks, front.health, wakeups=wakeups, threads=budgets.READS.build()
    )
    app = create_app(services)
    config = http.config(app, configured, 0, lambda reason: None)
    config.backlog = 1000
    server = uvicorn.Server(config)
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


BAD: list[dict[str, Any]] = [
    {"events": ""},
    {"events": "filestore.node.renamed"}, {"events": f"{CREATED},nope"}, {"events": CREATED.upper()}, {"backendMountId": "x"},
    {"pathPrefix": "../a"}, {"pathPrefix": "a\0"}, {"pathPrefixB64": "!"}, {"lastEventId": "-1"}, {"lastEventId": "x"},
    {"lastEventId": 2**62}, {"lastEventId": "9" * 400}, {"lastEventId": "1.5"},
    {"headers": {"last-event-id": "x"}}, {"headers": {"last-event-id": "9" * 30}}, {"headers": {"last-event-id": "-1"}},
    {"headers": {"last-event-id": str(2**62)}},
]  # fmt: skip


async def until(condition: Any, seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def pull(client: httpx2.AsyncClient, token: str, **params: Any) -> dict[str, Any]:
    answer = await client.get("/v1/events", params=params, headers={"authorization": f"Bearer {token}"}, timeout=40)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["data"])
