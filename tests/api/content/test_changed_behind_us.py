"""Bytes that are changed behind our back, or by a command at work."""

import asyncio
import os
from pathlib import Path
from typing import Any

import httpx2
import pytest

from activities.executors.local.executor import LocalExecutor
from api.files import recorded
from schema.ids import NodeId
from schema.paths import check
from tests.api.conftest import FrontOfTest, Tree
from tests.api.content.helpers import TEXT, at, get, replace, write_in_place


def turn_into_a_link(file: Path) -> None:
    file.unlink()
    file.symlink_to("/etc/passwd")


def turn_into_a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def turn_into_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize(
    ("change", "status"),
    [(write_in_place, 412), (replace, 412), (Path.unlink, 404), (turn_into_a_link, 409), (turn_into_a_pipe, 409),
     (turn_into_a_folder, 409)],
)  # fmt: skip
async def test_bytes_changed_behind_our_back_never_come_under_a_hash_that_is_not_theirs(
    client: httpx2.AsyncClient, tree: Tree, node: NodeId, change: Any, status: int
) -> None:
    change(tree.folder / "ten.txt")
    answer = await asyncio.wait_for(client.get(at(node)), 5)
    assert answer.status_code == status, answer.text
    assert "etag" not in answer.headers


async def test_between_the_visible_step_and_its_record_a_reader_waits(
    client: httpx2.AsyncClient, tree: Tree, node: NodeId
) -> None:
    replace(tree.folder / "ten.txt")
    command = "01a1fce8-f154-78a8-95f6-d9111ab3df17"
    async with tree.pool.connection() as connection:
        await connection.execute(
            """INSERT INTO filestore.commands (id, principal, key, kind, mount_id, path, request, intent, status)
               VALUES (%s, 'p', %s, 'uploadFile', %s, 'ten.txt', '{}', '{}', 'running')""", [command, command,
               tree.mount],
        )  # fmt: skip
        await connection.execute(
            "INSERT INTO filestore.claims VALUES (%s, 'ten.txt', 'path', %s)", [tree.mount, command]
        )
    reading = asyncio.create_task(client.get(at(node)))
    await asyncio.sleep(0.15)
    assert not reading.done()
    found = (tree.folder / "ten.txt").stat()
    async with tree.pool.connection() as connection, connection.transaction():
        await connection.execute("DELETE FROM filestore.claims WHERE command_id = %s", [command])
        await connection.execute(
            "UPDATE filestore.nodes SET inode = %s, birth_ns = %s, observed_mtime_ns = %s, version = 2 WHERE id = %s",
            [found.st_ino, birth_of(tree, "ten.txt"), found.st_mtime_ns, node],
        )
    answer = await reading
    assert (answer.status_code, answer.content) == (200, TEXT)


def birth_of(tree: Tree, path: str) -> int:
    opened = LocalExecutor(str(tree.folder), tree.uuid).open(check(path.encode()))
    opened.close()
    return opened.identity.birth


async def test_a_path_that_stays_busy_is_409(
    client: httpx2.AsyncClient, tree: Tree, node: NodeId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "LOOK_SECONDS", 0.001)
    replace(tree.folder / "ten.txt")
    command = "01a1fce8-f154-78a8-95f6-d9111ab3df18"
    async with tree.pool.connection() as connection:
        await connection.execute(
            """INSERT INTO filestore.commands (id, principal, key, kind, mount_id, path, request, intent, status)
               VALUES (%s, 'p', %s, 'uploadFile', %s, 'ten.txt', '{}', '{}', 'running')""", [command, command,
               tree.mount],
        )  # fmt: skip
        await connection.execute(
            "INSERT INTO filestore.claims VALUES (%s, 'ten.txt', 'path', %s)", [tree.mount, command]
        )
    answer = await client.get(at(node))
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "PATH_BUSY")


async def test_a_file_is_readable_to_its_end_after_it_was_replaced(
    front: FrontOfTest, tree: Tree, address: tuple[str, int]
) -> None:
    content = os.urandom(12_000_000)
    node = await tree.file("big", content)
    reader, writer = await asyncio.open_connection(*address)
    writer.write(get(front, node))
    head = await reader.readuntil(b"\r\n\r\n")
    (tree.folder / "big").unlink()
    assert b"200 OK" in head
    assert await reader.read(-1) == content
    writer.close()


async def test_a_file_that_shrinks_while_it_is_sent_breaks_off(
    front: FrontOfTest, tree: Tree, address: tuple[str, int]
) -> None:
    node = await tree.file("big", b"x" * 24_000_000)
    reader, writer = await asyncio.open_connection(*address, limit=1024)
    writer.write(get(front, node))
    await reader.readuntil(b"\r\n\r\n")
    os.truncate(tree.folder / "big", 10)
    size = 0
    try:
        while piece := await asyncio.wait_for(reader.read(1_000_000), 10):
            size += len(piece)
    except ConnectionError:
        pass
    assert size < 24_000_000, "half a file never looks whole"
    writer.close()
