"""GET /v1/files/{id}/content: the bytes on record, in every way HTTP asks for them, and no others."""

import asyncio
import base64
import email.parser
import email.policy
import hashlib
import os
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api import recorded, streamed
from schema import errors
from schema.ids import NodeId
from tests.api.conftest import Front, Tree

TEXT = b"0123456789"


@pytest.fixture
async def node(tree: Tree) -> NodeId:
    return await tree.file("ten.txt", TEXT, mime_type="text/plain", last_modified_at="2026-11-20T12:00:00.5Z")


def at(node: NodeId) -> str:
    return f"/v1/files/{node}/content"


async def test_the_whole_file(client: httpx2.AsyncClient, node: NodeId) -> None:
    answer = await client.get(at(node))
    digest = hashlib.sha256(TEXT)
    assert (answer.status_code, answer.content) == (200, TEXT)
    assert dict(answer.headers) == {
        "accept-ranges": "bytes", "etag": f'"{digest.hexdigest()}"', "last-modified": "Fri, 20 Nov 2026 12:00:00 GMT",
        "content-disposition": 'attachment; filename="ten.txt"', "content-type": "text/plain", "content-length": "10",
        "x-content-type-options": "nosniff", "content-security-policy": "sandbox; default-src 'none'",
        "cache-control": "private, no-cache", "x-filestore-checksum": f"sha256:{digest.hexdigest()}",
        "x-filestore-content-hash": f"sha256:{digest.hexdigest()}",
        "repr-digest": f"sha-256=:{base64.b64encode(digest.digest()).decode()}:",
        "x-request-id": answer.headers["x-request-id"],
    }  # fmt: skip


async def test_head_is_get_without_the_bytes(client: httpx2.AsyncClient, node: NodeId) -> None:
    whole, head = await client.get(at(node)), await client.head(at(node), headers={"range": "bytes=0-1"})
    assert (head.status_code, head.content) == (200, b"")
    assert {**whole.headers, "x-request-id": ""} == {**head.headers, "x-request-id": ""}


@pytest.mark.parametrize(
    ("told", "status", "content", "range"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"), ("bytes=0-", 206, TEXT, "bytes 0-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"), ("bytes=8-100", 206, b"89", "bytes 8-9/10"),
        ("items=0-1", 200, TEXT, None), ("bytes=4-2", 200, TEXT, None), ("bytes=x", 200, TEXT, None),
        ("bytes=10-", 416, None, "bytes */10"), ("bytes=-0", 416, None, "bytes */10"),
    ],
)  # fmt: skip
async def test_a_range(
    client: httpx2.AsyncClient, node: NodeId, told: str, status: int, content: bytes | None, range: str | None
) -> None:
    answer = await client.get(at(node), headers={"range": told})
    assert (answer.status_code, answer.headers.get("content-range")) == (status, range)
    if content is not None:
        assert answer.content == content
        assert answer.headers["content-length"] == str(len(content))


async def test_several_ranges_come_as_parts(client: httpx2.AsyncClient, node: NodeId) -> None:
    answer = await client.get(at(node), headers={"range": "bytes=0-1,4-5,-1"})
    assert answer.status_code == 206 and "content-range" not in answer.headers
    assert int(answer.headers["content-length"]) == len(answer.content)
    whole = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode() + answer.content
    parts = list(email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(whole).iter_parts())
    assert [(part["content-range"], part.get_content()) for part in parts] == [
        ("bytes 0-1/10", "01"), ("bytes 4-5/10", "45"), ("bytes 9-9/10", "9"),
    ]  # fmt: skip
    assert all(part["content-type"] == "text/plain" for part in parts)


async def test_conditions(client: httpx2.AsyncClient, node: NodeId) -> None:
    tag = (await client.head(at(node))).headers["etag"]
    same = await client.get(at(node), headers={"if-none-match": tag})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert "content-length" not in same.headers or same.headers["content-length"] == "0"
    assert (await client.get(at(node), headers={"if-none-match": '"x"'})).status_code == 200
    other = await client.get(at(node), headers={"if-match": '"x"'})
    assert (other.status_code, other.json()["error"]["code"]) == (412, "VERSION_CONFLICT")
    part = await client.get(at(node), headers={"range": "bytes=0-1", "if-range": tag})
    assert part.status_code == 206
    assert (await client.get(at(node), headers={"range": "bytes=0-1", "if-range": '"x"'})).status_code == 200


def get(front: Front, node: NodeId) -> bytes:
    """The request as it stands on the wire, on a connection that ends with it."""
    return (
        f"GET {at(node)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Authorization: Bearer {front.tokens['read']}\r\n\r\n"
    ).encode()


PIECES = [0, 1, streamed.PIECE - 1, streamed.PIECE, streamed.PIECE + 1, 3 * streamed.PIECE + 5]


@pytest.mark.parametrize("size", PIECES)
async def test_every_byte_comes_back_whatever_the_size(client: httpx2.AsyncClient, tree: Tree, size: int) -> None:
    content = os.urandom(size)
    node = await tree.file("blob", content)
    answer = await client.get(at(node))
    assert (answer.status_code, answer.content == content, answer.headers["content-length"]) == (200, True, str(size))
    if size > 10:
        part = await client.get(at(node), headers={"range": f"bytes=5-{size - 2}"})
        assert part.content == content[5:-1]


HOSTILE = [
    "a b.txt", 'q"uote', "semi;colon", "new\nline", "a\r\nSet-Cookie: x=1", "\x1b[31m", "é", "\U0001f600", "‮gpj.exe",
    "-rf",
    "%2e%2e", "tab\t", "\x7f", "x" * 255,
]  # fmt: skip


async def test_a_hostile_name_stays_inside_of_its_header(tree: Tree, address: tuple[str, int], front: Front) -> None:
    for name in HOSTILE:
        node = await tree.file(name, b"x", mime_type="text/html")
        reader, writer = await asyncio.open_connection(*address)
        writer.write(get(front, node))
        raw = await reader.read()
        writer.close()
        head, _, body = raw.partition(b"\r\n\r\n")
        names = [line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:]]
        assert head.startswith(b"HTTP/1.1 200") and body == b"x", name
        assert b"set-cookie" not in names and names.count(b"content-disposition") == 1, name


async def test_a_name_that_is_not_utf8(client: httpx2.AsyncClient, tree: Tree) -> None:
    node = await tree.file(b"\xff\xfe.bin", b"x")
    answer = await client.get(at(node))
    assert (answer.status_code, answer.content) == (200, b"x")
    document = (await client.get(f"/v1/nodes/{node}")).json()["data"]
    assert base64.b64decode(document["pathB64"]) == b"\xff\xfe.bin" and document["path"] == "\ufffd\ufffd.bin"


@pytest.mark.parametrize("type", ["a/b\r\nX: y", "text/html; charset=é", "nonsense", "", None])
async def test_a_stored_type_is_not_trusted(client: httpx2.AsyncClient, tree: Tree, type: str | None) -> None:
    node = await tree.file("a", b"x", mime_type=type)
    assert (await client.get(at(node))).headers["content-type"] == "application/octet-stream"


async def test_what_is_not_a_file(client: httpx2.AsyncClient, tree: Tree) -> None:
    directory = await tree.directory("d")
    gone = await tree.file("gone", state="deleted", deleted_at="2026-01-01T00:00:00Z")
    link = await tree.file("link", kind="symlink")
    for node, status, code in ((directory, 409, "NOT_A_DIRECTORY"), (tree.root, 409, "NOT_A_DIRECTORY"),
                               (link, 409, "NOT_A_DIRECTORY"), (gone, 404, "NODE_NOT_FOUND"),
                               (10**15, 404, "NODE_NOT_FOUND"), (10**25, 404, "NODE_NOT_FOUND"),
                               ("x", 400, "INVALID_REQUEST"), ("-1", 400, "INVALID_REQUEST"),
                               ("%31%00", 400, "INVALID_REQUEST"), ("٣", 400, "INVALID_REQUEST")):  # fmt: skip
        answer = await client.get(f"/v1/files/{node}/content")
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), node


async def test_a_file_that_was_never_hashed_has_a_weak_tag(client: httpx2.AsyncClient, tree: Tree) -> None:
    node = await tree.file("found", b"x", sha256=None)
    answer = await client.get(at(node))
    assert answer.status_code == 200
    assert answer.headers["etag"] == f'W/"{node}.1"'
    assert not {"x-filestore-content-hash", "repr-digest"} & set(answer.headers)


async def test_the_checksum_is_the_one_the_client_gave(client: httpx2.AsyncClient, tree: Tree) -> None:
    node = await tree.file("a", b"x", checksum="md5:abc")
    assert (await client.get(at(node))).headers["x-filestore-checksum"] == "md5:abc"


def write_in_place(file: Path) -> None:
    file.write_bytes(b"9876543210")


def replace(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(TEXT)
    os.rename(other, file)


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
    async with tree.pool.connection() as connection:
        await connection.execute("DELETE FROM filestore.claims WHERE command_id = %s", [command])
        await connection.execute(
            "UPDATE filestore.nodes SET inode = %s, birth_ns = %s, observed_mtime_ns = %s, version = 2 WHERE id = %s",
            [found.st_ino, birth_of(tree, "ten.txt"), found.st_mtime_ns, node],
        )
    answer = await reading
    assert (answer.status_code, answer.content) == (200, TEXT)


def birth_of(tree: Tree, path: str) -> int:
    from activities.executors.local import LocalExecutor
    from schema.paths import check

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
    front: Front, tree: Tree, address: tuple[str, int]
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
    front: Front, tree: Tree, address: tuple[str, int]
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


async def test_a_reader_that_goes_away_is_noticed(
    front: Front, tree: Tree, address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = asyncio.Event()
    plain = streamed.Reader.close

    async def close(self: streamed.Reader) -> None:
        await plain(self)
        closed.set()

    monkeypatch.setattr(streamed.Reader, "close", close)
    node = await tree.file("big", b"x" * 50_000_000)
    _, writer = await asyncio.open_connection(*address, limit=1024)
    writer.write(get(front, node))
    await writer.drain()
    await asyncio.sleep(0.1)
    assert not closed.is_set()
    writer.transport.abort()
    await asyncio.wait_for(closed.wait(), 5)


async def test_a_mount_that_is_away_is_503(front: Front, client: httpx2.AsyncClient, tree: Tree, node: NodeId) -> None:
    os.rename(tree.folder, tree.folder.with_name("elsewhere"))
    answer = await client.get(at(node))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    front.disks.broken[tree.mount] = errors.ExecutorNotFound()
    assert (await client.get(at(node))).status_code == 409


async def test_links_are_for_buckets(front: Front, client: httpx2.AsyncClient, tree: Tree, node: NodeId) -> None:
    answer = await client.get(f"/v1/files/{node}/presign", params={"expiresIn": 60})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "NOT_SUPPORTED")
    for bad in ("0", "3601", "x", "-1"):
        answer = await client.get(f"/v1/files/{node}/presign", params={"expiresIn": bad})
        assert answer.json()["error"]["code"] == "INVALID_REQUEST"
    assert (await client.get(f"/v1/files/{tree.root}/presign")).status_code == 409
