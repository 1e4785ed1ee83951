"""Digests, dispositions, names and types of content."""

import asyncio
import base64
import hashlib
import os

import httpx2
import pytest

from api.files import stream as streamed
from schema.ids import NodeId
from tests.api.conftest import FrontOfTest, Tree
from tests.api.content.helpers import TEXT, at, get


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


@pytest.mark.parametrize(
    ("kind", "media", "disposition"),
    [
        (None, "image/png", "attachment"), ("attachment", "image/png", "attachment"), ("inline", "image/png", "inline"),
        ("inline", "text/plain; charset=utf-8", "inline"), ("inline", "application/pdf", "inline"),
        ("inline", "image/svg+xml", "attachment"), ("inline", "text/html", "attachment"), ("inline", None, "attachment"),
        ("inline", "application/xhtml+xml", "attachment"), ("inline", "text/xml", "attachment"),
        ("inline", "multipart/x-mixed-replace", "attachment"),
    ],
)  # fmt: skip
async def test_only_what_runs_nothing_is_shown_and_nothing_of_it_runs(
    client: httpx2.AsyncClient, tree: Tree, kind: str | None, media: str | None, disposition: str
) -> None:
    node = await tree.file("page", b"<svg onload='alert(1)'/>", mime_type=media)
    answer = await client.get(at(node), params={"disposition": kind} if kind else {})
    assert answer.headers["content-disposition"] == f'{disposition}; filename="page"'
    assert answer.headers["content-security-policy"].startswith("sandbox;"), "no allow-scripts, no allow-same-origin"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-type"] == (media or "application/octet-stream")


async def test_a_disposition_of_another_kind_is_refused(client: httpx2.AsyncClient, node: NodeId) -> None:
    for bad in ("form-data", "inline\r\nX: y", "INLINE"):
        answer = await client.get(at(node), params={"disposition": bad})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST")


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
