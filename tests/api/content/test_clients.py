"""Clients that go away or are slow, and what stays open."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import httpx2

from activities.executors.local.executor import LocalExecutor
from schema.ids import NodeId
from schema.paths import check
from tests.api.conftest import FrontOfTest, Tree
from tests.api.content.helpers import at, get, open_files


async def settled(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  no event tells
            await asyncio.sleep(0.01)


async def test_a_client_that_goes_away_frees_the_file(front: FrontOfTest, tree: Tree, address: tuple[str, int]) -> None:
    node = await tree.file("big", b"x" * 50_000_000)
    writers = []
    for _ in range(5):
        reader, writer = await asyncio.open_connection(*address, limit=1024)
        writer.write(get(front, node))
        await reader.readuntil(b"\r\n\r\n")
        writers.append(writer)
    await asyncio.sleep(0.2)
    assert open_files(tree.folder / "big") == 5
    assert not any("mount" in thread.name and thread.is_alive() and _busy(thread) for thread in threading.enumerate())
    for writer in writers:
        writer.transport.abort()
    await settled(lambda: open_files(tree.folder / "big") == 0)


def _busy(thread: threading.Thread) -> bool:
    """A thread that does something other than wait for work."""
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is not None and frame.f_code.co_name != "_work"


async def test_no_answer_leaves_a_file_open(client: httpx2.AsyncClient, tree: Tree, node: NodeId) -> None:
    for headers in ({}, {"range": "bytes=0-1"}, {"range": "bytes=0-1,3-4"}, {"range": "bytes=99-"}, {"if-match": '"x"'},
                    {"if-none-match": "*"}, {"want-content-digest": "sha-256=1", "range": "bytes=0-1"}):  # fmt: skip
        for method in ("GET", "HEAD"):
            await client.request(method, at(node), headers=headers)
            assert open_files(tree.folder / "ten.txt") == 0, (method, headers)


async def test_memory_stays_flat_while_slow_readers_wait(
    front: FrontOfTest, tree: Tree, address: tuple[str, int]
) -> None:
    node = await tree.file("big", b"")
    os.truncate(tree.folder / "big", 2**33)
    found = LocalExecutor(str(tree.folder), tree.uuid).open(check(b"big"))
    found.close()
    async with tree.pool.connection() as connection:
        await connection.execute(
            "UPDATE filestore.nodes SET size_bytes = %s, observed_size = %s, observed_mtime_ns = %s WHERE id = %s",
            [2**33, 2**33, found.identity.mtime, node],
        )
    before = resident()
    writers = []
    for _ in range(10):
        reader, writer = await asyncio.open_connection(*address, limit=1024)
        writer.write(get(front, node))
        writers.append(writer)
        await reader.readuntil(b"\r\n\r\n")
    await asyncio.sleep(0.5)
    assert resident() - before < 100 * 2**20, "two pieces each, and what the sockets hold"
    for writer in writers:
        writer.transport.abort()
    await settled(lambda: open_files(tree.folder / "big") == 0)


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
