"""Files that change between the look, the open and the read."""

import asyncio
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from activities.executors.contract.executor import Content
from activities.executors.local.content import LocalContent
from api.files import stream as streamed
from schema import errors
from schema.ids import NodeId
from schema.paths import NodePath
from tests.api.conftest import FrontOfTest, Tree
from tests.api.content.helpers import TEXT, at, get, open_files, replace, write_in_place


@dataclass
class Meddling:
    """An executor beside which another program changes the disk, right before a file is opened, or right after."""

    executor: Any
    meddle: Callable[[], None]
    after: bool = False
    width: int = 1

    def open(self, path: NodePath) -> Content:
        if not self.after:
            self.meddle()
        content: Content = self.executor.open(path)
        if self.after:
            self.meddle()
        return content

    def __getattr__(self, name: str) -> Any:
        return getattr(self.executor, name)


def meddled(front: FrontOfTest, meddle: Callable[[], None], *, after: bool = False) -> None:
    front.disks.wrapped = lambda executor: Meddling(executor, meddle, after)


@pytest.mark.parametrize(("change", "status"), [(write_in_place, 412), (replace, 412), (Path.unlink, 404)])
async def test_a_file_that_is_changed_between_the_look_and_the_open(
    front: FrontOfTest,
    client: httpx2.AsyncClient,
    tree: Tree,
    node: NodeId,
    change: Callable[[Path], None],
    status: int,
) -> None:
    file, once = tree.folder / "ten.txt", iter([change])
    meddled(front, lambda: next(once, lambda file: None)(file))
    answer = await client.get(at(node))
    assert (answer.status_code, "etag" in answer.headers) == (status, False)
    assert open_files(file) == 0 if file.exists() else True


@pytest.mark.parametrize(
    "headers", [{}, {"range": "bytes=2-4"}, {"want-content-digest": "sha-256=1", "range": "bytes=1-2"}]
)
@pytest.mark.parametrize("change", [write_in_place, lambda file: os.truncate(file, 5)])
async def test_a_file_that_is_changed_between_the_open_and_the_read(
    front: FrontOfTest,
    client: httpx2.AsyncClient,
    tree: Tree,
    node: NodeId,
    change: Callable[[Path], None],
    headers: dict[str, str],
) -> None:
    meddled(front, lambda: change(tree.folder / "ten.txt"), after=True)
    answer = await client.get(at(node), headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (412, "VERSION_CONFLICT")
    assert "etag" not in answer.headers and open_files(tree.folder / "ten.txt") == 0


async def test_a_store_that_fails_in_the_middle_breaks_off(
    front: FrontOfTest, tree: Tree, address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a bucket does when it goes away, or its object is replaced: before the first byte an answer, after it none."""
    node = await tree.file("big", b"x" * (4 * streamed.PIECE))
    plain = LocalContent.read
    for broken_at, head in ((0, b"HTTP/1.1 503"), (2 * streamed.PIECE, b"HTTP/1.1 200")):

        def read(self: LocalContent, offset: int, length: int, broken_at: int = broken_at) -> bytes:
            if offset >= broken_at:
                raise errors.MountOffline()
            return plain(self, offset, length)

        monkeypatch.setattr(LocalContent, "read", read)
        reader, writer = await asyncio.open_connection(*address)
        writer.write(get(front, node))
        raw = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        assert raw.startswith(head) and len(raw) < 3 * streamed.PIECE
        assert open_files(tree.folder / "big") == 0


async def test_a_file_that_moves_between_the_look_and_the_open_is_found_again(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, node: NodeId
) -> None:
    """A whole move: visible step, record and end of the command, after the reader has looked the path up."""

    def move() -> None:
        file = tree.folder / "ten.txt"
        if file.exists():
            file.rename(tree.folder / "moved.txt")
            with psycopg.connect(str(front.pool.conninfo), autocommit=True) as connection:
                connection.execute(
                    "UPDATE filestore.nodes SET name = 'moved.txt', name_text = 'moved.txt', version = 2 WHERE id = %s",
                    [node],
                )

    meddled(front, move)
    answer = await client.get(at(node))
    assert (answer.status_code, answer.content) == (200, TEXT)
    assert "moved.txt" in answer.headers["content-disposition"]


async def test_while_a_whole_tree_moves_a_reader_below_it_waits(client: httpx2.AsyncClient, tree: Tree) -> None:
    await tree.directory("a")
    folder = await tree.directory("a/b")
    node = await tree.file("a/b/f", TEXT)
    command = str(uuid.uuid4())
    async with tree.pool.connection() as connection:
        await connection.execute(
            """INSERT INTO filestore.commands (id, principal, key, kind, mount_id, path, request, intent, status)
               VALUES (%s, 'p', %s, 'moveNode', %s, 'a/b', '{}', '{}', 'running')""",
            [command, command, tree.mount],
        )
        await connection.execute(
            "INSERT INTO filestore.claims VALUES (%s, 'a/b', 'subtree', %s)", [tree.mount, command]
        )
    (tree.folder / "a/b").rename(tree.folder / "a/c")
    reading = asyncio.create_task(client.get(at(node)))
    await asyncio.sleep(0.15)
    assert not reading.done()
    async with tree.pool.connection() as connection, connection.transaction():
        await connection.execute("DELETE FROM filestore.claims WHERE command_id = %s", [command])
        await connection.execute(
            """UPDATE filestore.nodes SET name = 'c', name_text = 'c', directory_path = 'a/c/', directory_text = 'a/c/'
                WHERE id = %s""",
            [folder],
        )
    answer = await reading
    assert (answer.status_code, answer.content) == (200, TEXT)


def overwrite_end(file: Path, tail: bytes) -> None:
    with file.open("r+b") as opened:
        opened.seek(-len(tail), os.SEEK_END)
        opened.write(tail)


async def test_a_file_that_is_written_into_while_it_is_sent_breaks_off(
    front: FrontOfTest, tree: Tree, address: tuple[str, int]
) -> None:
    """As long as it was, but of two versions: no client may get all of it."""
    size = 24_000_000
    node = await tree.file("big", b"x" * size)
    reader, writer = await asyncio.open_connection(*address, limit=1024)
    writer.write(get(front, node))
    await reader.readuntil(b"\r\n\r\n")
    overwrite_end(tree.folder / "big", b"y" * 100)
    received = bytearray()
    try:
        while piece := await asyncio.wait_for(reader.read(1_000_000), 10):
            received += piece
    except ConnectionError:
        pass
    assert len(received) < size and b"y" not in received
    writer.close()


async def test_a_mount_that_is_away_is_503(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, node: NodeId
) -> None:
    os.rename(tree.folder, tree.folder.with_name("elsewhere"))
    answer = await client.get(at(node))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    front.disks.broken[tree.mount] = errors.ExecutorNotFound()
    assert (await client.get(at(node))).status_code == 409
