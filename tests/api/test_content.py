"""GET /v1/files/{id}/content: the bytes on record, in every way HTTP asks for them, and no others."""

import asyncio
import base64
import email.parser
import email.policy
import hashlib
import itertools
import os
import random
import re
import sys
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from activities.executors.base import Content
from activities.executors.local.content import LocalContent
from activities.executors.local.executor import LocalExecutor
from api.files import recorded
from api.files import stream as streamed
from schema import errors
from schema.ids import NodeId
from schema.paths import NodePath, check
from tests.api.conftest import FrontOfTest, Tree

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
        "cache-control": "private, no-cache", "x-filestore-checksum": digest.hexdigest(),
        "x-filestore-content-hash": digest.hexdigest(),
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
    assert set(same.headers) == {"etag", "last-modified", "cache-control", "x-request-id"}
    part = await client.get(at(node), headers={"range": "bytes=0-1", "if-range": tag})
    assert part.status_code == 206
    assert (await client.get(at(node), headers={"range": "bytes=0-1", "if-range": '"x"'})).status_code == 200


OLDER, SAME, NEWER = (f"Fri, 20 Nov 2026 {time} GMT" for time in ("11:59:59", "12:00:00", "12:00:01"))
DATES = (None, OLDER, SAME, NEWER, "nonsense")
TAGS = (None, "same", "weak", "other", "both", "*")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_every_condition_with_every_other(client: httpx2.AsyncClient, node: NodeId, method: str) -> None:
    """The order of RFC 9110, section 13.2.2, written down once more."""
    tag = (await client.head(at(node))).headers["etag"]
    given = {"same": tag, "weak": f"W/{tag}", "other": '"x"', "both": f'"x", {tag}', "*": "*"}
    for match, unmodified, none, modified in itertools.product(TAGS, DATES, TAGS, DATES):
        told = {"if-match": given.get(match or ""), "if-unmodified-since": unmodified,
                "if-none-match": given.get(none or ""), "if-modified-since": modified, "range": "bytes=0-1"}  # fmt: skip
        right = match in ("same", "both", "*") if match else unmodified != OLDER
        fresh = none == "other" if none else modified not in (SAME, NEWER)
        status = 412 if not right else 304 if not fresh else 206 if method == "GET" else 200
        sent = {name: value for name, value in told.items() if value is not None}
        answer = await client.request(method, at(node), headers=sent)
        assert answer.status_code == status, sent
        assert answer.content in {412: (answer.content,), 304: (b"",), 206: (b"01",), 200: (b"",)}[status]


async def test_a_list_may_come_in_several_lines(client: httpx2.AsyncClient, node: NodeId) -> None:
    tag = (await client.head(at(node))).headers["etag"]
    lines = [("if-none-match", '"x"'), ("if-none-match", f'{tag}, "y"')]
    assert (await client.get(at(node), headers=lines)).status_code == 304
    two = await client.get(at(node), headers=[("range", "bytes=0-1"), ("range", "bytes=2-3")])
    assert two.status_code == 200, "Range is no list: two lines are malformed"


async def test_too_many_parts_are_refused(client: httpx2.AsyncClient, tree: Tree) -> None:
    node = await tree.file("big", bytes(100_000))
    far = ",".join(f"{n * 1000}-{n * 1000}" for n in range(50))
    answer = await client.get(at(node), headers={"range": f"bytes={far}"})
    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */100000")
    assert "parts" in answer.json()["error"]["message"]
    overlapping = await client.get(at(node), headers={"range": "bytes=" + ",".join(["0-"] * 900)})
    assert (overlapping.status_code, len(overlapping.content)) == (206, 100_000)


def parts_of(answer: httpx2.Response) -> list[tuple[int, int, bytes]]:
    """Start, end and bytes of each part, read as the multipart format has it."""
    boundary = answer.headers["content-type"].partition("boundary=")[2].encode()
    first, *parts, last = answer.content.split(b"\r\n--" + boundary)
    assert (first, last) == (b"", b"--\r\n")
    found = []
    for part in parts:
        head, _, body = part.partition(b"\r\n\r\n")
        told = re.search(rb"Content-Range: bytes (\d+)-(\d+)/", head)
        assert told
        found.append((int(told[1]), int(told[2]) + 1, body))
    return found


async def test_a_thousand_random_ranges(
    client: httpx2.AsyncClient, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamed, "PIECE", 700)
    dice = random.Random(14_2)
    content = dice.randbytes(5000)
    node = await tree.file("random", content)
    for _ in range(1000):
        asked: list[slice] = []
        specs = []
        for _ in range(dice.choice([1, 1, 1, 2, 3, 8])):
            first, last = dice.randrange(5200), dice.randrange(5200)
            kind = dice.choice(["both", "open", "suffix"])
            if kind == "both" and first <= last:
                specs.append(f"{first}-{last}")
                asked.append(slice(first, last + 1))
            elif kind == "suffix":
                specs.append(f"-{last}")
                asked.append(slice(max(0, 5000 - last), 5000))
            else:
                specs.append(f"{first}-")
                asked.append(slice(first, 5000))
        answer = await client.get(at(node), headers={"range": "bytes=" + dice.choice([",", ", ", " ,,"]).join(specs)})
        wanted = {byte for one in asked for byte in range(*one.indices(5000))}
        if not wanted:
            assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */5000")
            continue
        assert answer.status_code == 206 and answer.headers["content-length"] == str(len(answer.content))
        if "content-range" in answer.headers:
            told = re.fullmatch(r"bytes (\d+)-(\d+)/5000", answer.headers["content-range"])
            assert told
            parts = [(int(told[1]), int(told[2]) + 1, answer.content)]
        else:
            parts = parts_of(answer)
            assert len(parts) > 1
        assert all(body == content[start:end] for start, end, body in parts)
        sent = [byte for start, end, _ in parts for byte in range(start, end)]
        assert len(sent) == len(wanted) and set(sent) == wanted


async def test_digests_as_they_are_wished_for(client: httpx2.AsyncClient, tree: Tree, node: NodeId) -> None:
    def field(content: bytes) -> str:
        return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"

    for wish in ("sha-256=0", "sha-512=3, sha-256=0"):
        assert "repr-digest" not in (await client.get(at(node), headers={"want-repr-digest": wish})).headers
    for wish in ("sha-256=10", "sha-512=10", "md5=1, unixsum=0", "sha-256=11", "sha-256", "x y", ""):
        answer = await client.head(at(node), headers={"want-repr-digest": wish})
        assert answer.headers["repr-digest"] == field(TEXT), wish
    asked = {"want-content-digest": "sha-512=3, sha-256=10"}
    assert "content-digest" not in (await client.get(at(node))).headers
    assert (await client.get(at(node), headers=asked)).headers["content-digest"] == field(TEXT)
    part = await client.get(at(node), headers=asked | {"range": "bytes=2-4"})
    assert (part.content, part.headers["content-digest"]) == (b"234", field(b"234"))
    assert part.headers["repr-digest"] == field(TEXT), "a part has the digest of the whole, too"
    several = await client.get(at(node), headers=asked | {"range": "bytes=0-1,4-5"})
    assert several.status_code == 206 and "content-digest" not in several.headers
    big = await tree.file("big", bytes(streamed.PIECE + 2))
    long = await client.get(at(big), headers=asked | {"range": "bytes=1-"})
    assert long.status_code == 206 and "content-digest" not in long.headers


@pytest.mark.parametrize(("kind", "told"), [(None, "attachment"), ("inline", "inline"), ("attachment", "attachment")])
async def test_shown_or_saved_nothing_of_it_runs(
    client: httpx2.AsyncClient, tree: Tree, kind: str | None, told: str
) -> None:
    node = await tree.file("page.svg", b"<svg onload='alert(1)'/>", mime_type="image/svg+xml")
    answer = await client.get(at(node), params={"disposition": kind} if kind else {})
    assert answer.headers["content-disposition"] == f'{told}; filename="page.svg"'
    assert answer.headers["content-security-policy"].startswith("sandbox;"), "no allow-scripts, no allow-same-origin"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-type"] == "image/svg+xml"


async def test_a_disposition_of_another_kind_is_refused(client: httpx2.AsyncClient, node: NodeId) -> None:
    for bad in ("form-data", "inline\r\nX: y", "INLINE"):
        answer = await client.get(at(node), params={"disposition": bad})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST")


def get(front: FrontOfTest, node: NodeId) -> bytes:
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


async def test_a_hostile_name_stays_inside_of_its_header(
    tree: Tree, address: tuple[str, int], front: FrontOfTest
) -> None:
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
    assert (await client.get(at(node))).headers["x-filestore-checksum"] == "abc"


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


def open_files(file: Path) -> int:
    """How many descriptors of this process are open on it."""
    count = 0
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            count += os.path.samestat(os.stat(f"/proc/self/fd/{descriptor}"), file.stat())
        except OSError:
            continue
    return count


async def settled(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  nobody tells
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


@dataclass
class Meddling:
    """An executor beside which somebody changes the disk, right before a file is opened, or right after."""

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
    """As long as it was, but of two versions: nobody may get all of it."""
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
