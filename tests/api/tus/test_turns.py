"""Several at once: only one writes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2

from api.uploads.tus import area, chunks
from tests.api.conftest import FrontOfTest, Tree
from tests.api.tus.helpers import V, begin, code, content_of, patch


async def test_two_writers_never_mix(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    where = await begin(client, tree, 8 * chunks.PIECE)
    going, go = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"a" * 4 * chunks.PIECE
        going.set()
        await go.wait()
        yield b"a" * 4 * chunks.PIECE

    first = asyncio.create_task(patch(client, where, 0, slow()))
    await going.wait()
    second = await patch(client, where, 0, b"b" * chunks.PIECE)
    assert (second.status_code, code(second)) == (423, "PATH_BUSY") and int(second.headers["retry-after"])
    assert (await client.delete(where, headers=V)).status_code == 423
    assert (await client.head(where, headers=V)).headers["upload-offset"] == "0"
    go.set()
    assert (await first).status_code == 204
    assert content_of(front, tree) == b"a" * 8 * chunks.PIECE
    assert (await patch(client, where, 0, b"b")).status_code == 409


async def test_another_process_that_writes_is_not_disturbed(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, spool: Path
) -> None:
    where = await begin(client, tree, 10)
    held = area.find(str(spool), where.rpartition("/")[2])
    assert (await patch(client, where, 0, b"hello")).status_code == 423
    assert (await client.delete(where, headers=V)).status_code == 423
    held.close()
    assert (await patch(client, where, 0, b"hello")).status_code == 204
