"""PUT /v1/files/by-path, and what holds for each way bytes come in: digests, `100 Continue`, bodies that are cut short."""

import asyncio
import base64
import hashlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.http import body as http_body
from api.uploads import spool
from schema import errors
from schema.commands.command import CommandKind
from schema.store.pool import Pool
from tests.api.conftest import FrontOfTest, Tree, failed, make_tree, pends, succeeded

B = "edge"


async def put(
    client: httpx2.AsyncClient, tree: Tree, content: bytes | AsyncIterator[bytes], path: str = "a.txt", **headers: str
) -> httpx2.Response:
    query: dict[str, str | int] = {"backendMountId": tree.mount, "path": path}
    sent_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.put("/v1/files/by-path", params=query, content=content, headers=sent_headers)


async def put_lines(client: httpx2.AsyncClient, tree: Tree, *lines: tuple[bytes, bytes]) -> httpx2.Response:
    """Header lines as bytes, each as often as it is told."""
    query: dict[str, str | int] = {"backendMountId": tree.mount, "path": "a"}
    return await client.put("/v1/files/by-path", params=query, content=b"x", headers=list(lines))


async def post(client: httpx2.AsyncClient, tree: Tree, content: bytes, **headers: str) -> httpx2.Response:
    sent_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    sent_headers["content-type"] = f"multipart/form-data; boundary={B}"
    return await client.post("/v1/files", content=form(tree, content), headers=sent_headers)


def form(tree: Tree, content: bytes) -> bytes:
    fields = f'--{B}\r\nContent-Disposition: form-data; name="backendMountId"\r\n\r\n{tree.mount}\r\n'
    fields += f'--{B}\r\nContent-Disposition: form-data; name="path"\r\n\r\na.txt\r\n'
    fields += f'--{B}\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
    return fields.encode() + content + f"\r\n--{B}--\r\n".encode()


def stages(tree: Tree) -> list[str]:
    return os.listdir(tree.folder / ".filestore" / "stage")


def digest(algorithm: str, content: bytes) -> str:
    raw = hashlib.new(algorithm.replace("-", ""), content).digest()
    return f"{algorithm}=:{base64.b64encode(raw).decode()}:"


SIZES = [0, 1, spool.MEMORY_MAX, spool.MEMORY_MAX + 1, spool.PIECE + 1, 3 * spool.PIECE + 7]


@pytest.mark.parametrize("size", SIZES)
async def test_the_body_is_the_file(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, size: int) -> None:
    content = os.urandom(size)
    answer = await put(client, tree, content, "d/é.txt", content_type="text/plain; charset=utf-8")
    assert answer.status_code == 201, answer.text
    assert answer.json()["data"]["commandId"] == front.commands.last.request.id
    request = front.commands.last.request
    assert (request.kind, request.path, request.overwrite) == (CommandKind.UPLOAD, "d/é.txt", True)
    assert (request.size, request.sha256) == (size, hashlib.sha256(content).hexdigest())
    assert (request.mime_type, request.checksum) == ("text/plain; charset=utf-8", None)
    if size <= spool.MEMORY_MAX:
        assert front.commands.last.content == content
    else:
        assert (tree.folder / ".filestore" / "stage" / request.id).read_bytes() == content


async def test_a_path_that_is_not_utf8_comes_as_base64(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    query: dict[str, str | int] = {"backendMountId": tree.mount, "pathB64": base64.b64encode(b"d/\xff").decode()}
    assert (await client.put("/v1/files/by-path", params=query, content=b"x")).status_code == 201
    assert front.commands.last.request.node_path.raw == b"d/\xff"


async def test_created_is_201_and_replaced_is_200(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    front.commands.answers = lambda s: succeeded(s, previousVersion=3)
    assert (await put(client, tree, b"x")).status_code == 200
    front.commands.answers = lambda s: succeeded(s, previousVersion=None)
    assert (await put(client, tree, b"x")).status_code == 201


async def test_conditions(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    assert (await put(client, tree, b"x", if_none_match="*")).status_code == 201
    assert front.commands.last.request.overwrite is False
    assert (await put(client, tree, b"x", if_match='"7"')).status_code == 201
    request = front.commands.last.request
    assert (request.overwrite, request.if_version) == (True, 7)
    assert (await put(client, tree, b"x", idempotency_key="k")).status_code == 201
    assert front.commands.last.request.key == "k"


METADATA: dict[str, Any] = {"owner": "müller", "n": 2**53 - 1}


@pytest.mark.parametrize(
    "spelt",
    [
        json.dumps(METADATA),
        " " + json.dumps(METADATA),
        base64.b64encode(json.dumps(METADATA, ensure_ascii=False).encode()).decode(),
        json.dumps(METADATA, ensure_ascii=False),
    ],
)
async def test_metadata_comes_in_a_header(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, spelt: str
) -> None:
    assert (await put_lines(client, tree, (b"x-filestore-metadata", spelt.encode()))).status_code == 201
    assert front.commands.last.metadata == METADATA and front.commands.last.request.has_metadata


async def test_metadata_in_another_encoding_is_refused_and_not_guessed(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    latin = json.dumps(METADATA, ensure_ascii=False).encode("latin-1")
    answer = await put_lines(client, tree, (b"x-filestore-metadata", latin))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST")
    assert "UTF-8" in answer.json()["error"]["message"]
    assert front.commands.submissions == []


ONCE = [
    (b"x-filestore-metadata", b'{"a": 1}', b'{"a": 2}'), (b"idempotency-key", b"one", b"two"),
    (b"x-filestore-checksum", hashlib.md5(b"x").hexdigest().encode(), b"0" * 32),
]  # fmt: skip


@pytest.mark.parametrize(("name", "first", "second"), ONCE)
async def test_of_a_header_that_came_twice_no_value_is_passed_over(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, name: bytes, first: bytes, second: bytes
) -> None:
    assert (await put_lines(client, tree, (name, first), (name, first))).status_code == 201
    front.commands.submissions.clear()
    for lines in ([(name, first), (name, second)], [(name, second), (name, first)]):
        answer = await put_lines(client, tree, *lines)
        assert answer.status_code == (422 if name == b"x-filestore-checksum" else 400), answer.text
    assert all(submission.request.failure for submission in front.commands.submissions)


@pytest.mark.parametrize(
    "spelt",
    [
        "[]",
        "{",
        "x",
        "bnVsbA=",
        base64.b64encode(b"[1]").decode(),
        base64.b64encode(b"\xff").decode(),
        '{"a": NaN}',
        '{"a": 1}, "metadata": {"b": 2}',
        '{"a": 1e20}',
    ],
)
async def test_what_is_no_metadata_is_400(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, spelt: str
) -> None:
    answer = await put(client, tree, b"x", x_filestore_metadata=spelt)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST")
    assert front.commands.submissions == []


@pytest.mark.parametrize(("headers", "status"), [
    ({"content_range": "bytes 0-1/5"}, 400), ({"content_encoding": "gzip"}, 400), ({"if_match": "x y"}, 400),
    ({"x_filestore_checksum": "crc32:nonsense"}, 400), ({"idempotency_key": "k" * 300}, 400),
    ({"content_length": str(2**50)}, 413),
])  # fmt: skip
async def test_what_the_headers_tell_is_refused_before_the_body(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, headers: dict[str, str], status: int
) -> None:
    assert (await put(client, tree, b"x", **headers)).status_code == status
    assert front.commands.submissions == []


@pytest.mark.parametrize("path", ["", "..", ".filestore/x", "a/../b", "x" * 300])
async def test_bad_paths(client: httpx2.AsyncClient, tree: Tree, path: str) -> None:
    assert (await put(client, tree, b"x", path)).status_code in (400, 403)


async def test_a_mount_that_is_not_there_or_takes_nothing(
    front: FrontOfTest, client: httpx2.AsyncClient, pool: Pool, tmp_path: Path
) -> None:
    query: dict[str, str | int] = {"backendMountId": 2**40, "path": "a"}
    assert (await client.put("/v1/files/by-path", params=query, content=b"x")).status_code == 404
    front.commands.answers = lambda s: failed(s, s.request.failure or "")
    for number, (columns, code, status) in enumerate(
        [({"access_mode": "ro"}, "MOUNT_READ_ONLY", 403), ({"state": "inactive"}, "MOUNT_OFFLINE", 503)]
    ):
        tree = await make_tree(pool, tmp_path / f"m{number}", **columns)
        assert (await put(client, tree, b"x")).status_code == status
        assert front.commands.last.request.failure == code, "it is journaled"
        assert front.commands.last.content is None


async def test_a_write_that_goes_on_is_202(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    front.commands.answers = pends
    answer = await put(client, tree, b"x", prefer="respond-async")
    assert (answer.status_code, front.commands.last.wait_seconds) == (202, 0.0)


async def test_a_body_over_the_limit_is_413(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(33):
            yield b"x" * 1024 * 1024

    answer = await put(client, tree, pieces())
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert front.commands.submissions == [] and stages(tree) == []


# Digests


@pytest.mark.parametrize("size", [5, 200_000])
@pytest.mark.parametrize("algorithm", ["sha-256", "sha-512"])
@pytest.mark.parametrize("header", ["repr_digest", "content_digest"])
async def test_a_digest_is_compared(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, size: int, algorithm: str, header: str
) -> None:
    content = os.urandom(size)
    for send, body in ((put, content), (post, content if header == "repr_digest" else form(tree, content))):
        assert (await send(client, tree, content, **{header: digest(algorithm, body)})).status_code == 201
        assert front.commands.last.request.checksum is None, (
            "a digest is proof of the transport, and no part of the file"
        )
        front.commands.submissions.clear()
        for stage in stages(tree):
            (tree.folder / ".filestore" / "stage" / stage).unlink()
        wrong = await send(client, tree, content, **{header: digest(algorithm, body + b"!")})
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (422, "CHECKSUM_MISMATCH")
        refused = front.commands.submissions.pop()
        assert (refused.request.failure, refused.content, refused.written) == ("CHECKSUM_MISMATCH", None, None)
        assert wrong.json()["error"]["details"] == refused.request.failure_details is not None
        assert front.commands.submissions == [] and stages(tree) == []


@pytest.mark.parametrize("send", [put, post])
async def test_wrong_content_is_recorded_and_its_key_stays_free_for_the_right_one(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, send: Any
) -> None:
    claim = {"idempotency_key": "k", "x_filestore_checksum": "sha256:" + hashlib.sha256(b"right").hexdigest()}
    assert (await send(client, tree, b"wrong", **claim)).status_code == 422
    refused = front.commands.last.request
    assert (refused.failure, refused.key, refused.path) == ("CHECKSUM_MISMATCH", None, "a.txt")
    assert (await send(client, tree, b"right", **claim)).status_code == 201
    assert front.commands.last.request.key == "k"


async def test_of_several_digests_each_must_be_right(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    good, bad = digest("sha-256", b"x"), digest("sha-512", b"y")
    digests = f"md5=:AAAA:, {good},{digest('sha-512', b'x')}"
    assert (await put(client, tree, b"x", repr_digest=digests)).status_code == 201
    assert (await put(client, tree, b"x", repr_digest=f"{good}, {bad}")).status_code == 422
    assert (await put(client, tree, b"x", repr_digest=f"{digest('sha-256', b'y')}, {good}")).status_code == 201, (
        "the last one counts"
    )
    answer = await put(
        client,
        tree,
        b"x",
        content_digest=good,
        repr_digest=good,
        x_filestore_checksum="sha1:" + hashlib.sha1(b"x").hexdigest(),
    )
    assert (
        answer.status_code == 201 and front.commands.last.request.checksum == "sha1:" + hashlib.sha1(b"x").hexdigest()
    )
    lines = [(b"repr-digest", good.encode()), (b"repr-digest", bad.encode())]
    query: dict[str, str | int] = {"backendMountId": tree.mount, "path": "a"}
    assert (await client.put("/v1/files/by-path", params=query, content=b"x", headers=lines)).status_code == 422


@pytest.mark.parametrize("digests", ["md5=:AAAA:", "unixsum=30637", "crc32c=:a:;q=1, adler=1", "sha=:x:"])
async def test_an_algorithm_we_do_not_know_is_ignored(client: httpx2.AsyncClient, tree: Tree, digests: str) -> None:
    assert (await put(client, tree, b"x", repr_digest=digests, content_digest=digests)).status_code == 201


@pytest.mark.parametrize(
    "value",
    [
        "",
        "sha-256",
        "sha-256=",
        "sha-256=::",
        "sha-256=abc",
        "sha-256=:AAAA:",
        "sha-256=:!!!:",
        "sha-512=:" + "A" * 43 + "=:",
        "SHA-256=:AAAA:",
        ",",
        "sha-256=:A",
        "é=:A:",
    ],
)
@pytest.mark.parametrize("header", [b"repr-digest", b"content-digest"])
async def test_a_malformed_digest_is_400(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, value: str, header: bytes
) -> None:
    query: dict[str, str | int] = {"backendMountId": tree.mount, "path": "a"}
    answer = await client.put("/v1/files/by-path", params=query, content=b"x", headers=[(header, value.encode())])
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_CHECKSUM")
    assert front.commands.submissions == []


# What only a connection shows


class SentLine:
    """One connection, spoken by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, address: tuple[str, int]) -> "SentLine":
        return cls(*await asyncio.open_connection(*address))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)

    def close(self) -> None:
        self.writer.close()


def heads(
    front: FrontOfTest,
    tree: Tree,
    way: str,
    scope: str = "write",
    mount: int | None = None,
    path: str = "a",
    **more: str,
) -> bytes:
    """The head of a request without its length."""
    target = {
        "form": "POST /v1/files", "put": f"PUT /v1/files/by-path?backendMountId={mount or tree.mount}&path={path}",
        "tus": "PATCH /v1/uploads/01993d5e-7c1a-7000-8000-0123456789ab", "json": "POST /v1/directories",
    }[way]  # fmt: skip
    lines = [f"{target} HTTP/1.1", "Host: x", f"Authorization: Bearer {front.tokens[scope]}"]
    if way == "form":
        lines.append(f"Content-Type: multipart/form-data; boundary={B}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in more.items()]
    return "\r\n".join(lines).encode()


@pytest.mark.parametrize("way", ["form", "put"])
async def test_the_body_is_asked_for_when_the_headers_are_good(
    front: FrontOfTest, tree: Tree, address: tuple[str, int], way: str
) -> None:
    body = form(tree, b"hello") if way == "form" else b"hello"
    line = await SentLine.open(address)
    await line.send(heads(front, tree, way, Expect="100-continue", Content_Length=str(len(body))) + b"\r\n\r\n")
    assert await line.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
    await line.send(body)
    assert (await line.head()).startswith(b"HTTP/1.1 201")
    line.close()
    assert front.commands.last.content == b"hello"


CODED = [
    ({"Content_Encoding": "gzip"}, "Content-Encoding: gzip"),
    ({"Content_Encoding": "identity, BR"}, "Content-Encoding: br"),
    ({"Transfer_Encoding": "gzip, chunked"}, "Transfer-Encoding: gzip"),
]
PLAIN: list[dict[str, Any]] = [
    {"Content_Encoding": "identity"}, {"Transfer_Encoding": "chunked"}, {"Transfer_Encoding": "Chunked"},
]  # fmt: skip


@pytest.mark.parametrize("way", ["form", "put", "tus", "json"])
@pytest.mark.parametrize(("headers", "named"), CODED)
async def test_content_that_was_coded_on_its_way_is_refused_before_it_comes(
    front: FrontOfTest, tree: Tree, address: tuple[str, int], way: str, headers: dict[str, Any], named: str
) -> None:
    line = await SentLine.open(address)
    framing = headers if "Transfer_Encoding" in headers else headers | {"Content_Length": "5"}
    await line.send(heads(front, tree, way, Expect="100-continue", **framing) + b"\r\n\r\n")
    assert (await line.head()).startswith(b"HTTP/1.1 400"), "before 100 Continue"
    assert named.encode() in await line.reader.readuntil(b"}}")
    line.close()
    assert front.commands.submissions == []


@pytest.mark.parametrize("headers", PLAIN)
async def test_a_coding_that_changes_nothing_is_taken(
    front: FrontOfTest, tree: Tree, address: tuple[str, int], headers: dict[str, Any]
) -> None:
    line = await SentLine.open(address)
    chunked = "Transfer_Encoding" in headers
    framing = headers if chunked else headers | {"Content_Length": "5"}
    body = b"5\r\nhello\r\n0\r\n\r\n" if chunked else b"hello"
    await line.send(heads(front, tree, "put", **framing) + b"\r\n\r\n" + body)
    assert (await line.head()).startswith(b"HTTP/1.1 201")
    line.close()
    assert front.commands.last.content == b"hello"


REFUSED: list[tuple[str, dict[str, Any], bytes]] = [
    ("form", {"scope": "read"}, b"403"), ("form", {"Content_Length": str(2**50)}, b"413"),
    ("form", {"Content_Type": "text/plain"}, b"400"), ("form", {"Repr_Digest": "x y"}, b"400"),
    ("form", {"If_Match": "x y"}, b"400"), ("form", {"Idempotency_Key": "k" * 300}, b"400"),
    ("put", {"scope": "read"}, b"403"), ("put", {"Content_Length": str(2**50)}, b"413"), ("put", {"mount": 2**40}, b"404"),
    ("put", {"path": ".."}, b"400"), ("put", {"Content_Digest": "sha-256=x"}, b"400"), ("put", {"If_Match": "x y"}, b"400"),
    ("put", {"x_filestore_metadata": "nonsense"}, b"400"), ("put", {"Content_Range": "bytes 0-1/2"}, b"400"),
]  # fmt: skip


@pytest.mark.parametrize(("way", "headers", "status"), REFUSED)
async def test_a_refused_body_is_not_asked_for(
    front: FrontOfTest, tree: Tree, address: tuple[str, int], way: str, headers: dict[str, Any], status: bytes
) -> None:
    line = await SentLine.open(address)
    framing = {"Expect": "100-continue", "Content_Length": "1000", **headers}
    head = heads(front, tree, way, **framing)
    if "Content_Type" in headers:
        head = head.replace(f"Content-Type: multipart/form-data; boundary={B}\r\n".encode(), b"")
    await line.send(head + b"\r\n\r\n")
    answer = await line.head()
    assert answer.startswith(b"HTTP/1.1 " + status), answer
    assert b"connection: close" in answer
    rest = await asyncio.wait_for(line.reader.read(), 2)
    assert json.loads(rest)["error"]["code"], "the whole answer, at once, and then the end of the connection"
    line.close()
    assert front.commands.submissions == [] and stages(tree) == []


async def test_a_closed_mount_is_not_sent_the_body(
    front: FrontOfTest, pool: Pool, tmp_path: Path, address: tuple[str, int]
) -> None:
    front.commands.answers = lambda s: failed(s, s.request.failure or "")
    tree = await make_tree(pool, tmp_path / "closed", access_mode="ro")
    line = await SentLine.open(address)
    await line.send(heads(front, tree, "put", Expect="100-continue", Content_Length="1000") + b"\r\n\r\n")
    assert (await line.head()).startswith(b"HTTP/1.1 403")
    line.close()


async def until(condition: Any, seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  it can be about the disk
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("way", ["form", "put"])
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [10, 3_000_000])
@pytest.mark.parametrize("abruptly", [False, True])
async def test_a_body_that_is_cut_short_is_no_file(
    front: FrontOfTest,
    tree: Tree,
    address: tuple[str, int],
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    chunked: bool,
    size: int,
    abruptly: bool,
) -> None:
    ended = asyncio.Event()
    plain = http_body.if_unread

    def seen(*arguments: Any) -> Any:
        ended.set()
        return plain(*arguments)

    monkeypatch.setattr(http_body, "if_unread", seen)
    content = b"x" * size
    body = form(tree, content) if way == "form" else content
    if chunked:
        head, sent = heads(front, tree, way, Transfer_Encoding="chunked"), b"%x\r\n%s\r\n" % (len(body), body)
        # All of it came, but for the chunk that says so: a form that says itself that it has ended is no exception.
    else:
        head, sent = heads(front, tree, way, Content_Length=str(len(body))), body[:-1]
    line = await SentLine.open(address)
    await line.send(head + b"\r\n\r\n" + sent)
    if size > spool.PIECE:
        await until(lambda: stages(tree))
    if abruptly:
        line.writer.transport.abort()
    else:
        line.close()
    await asyncio.wait_for(ended.wait(), 5)
    await until(lambda: stages(tree) == [])
    assert front.commands.submissions == []


async def test_chunks_that_are_no_chunks_are_no_file(front: FrontOfTest, tree: Tree, address: tuple[str, int]) -> None:
    line = await SentLine.open(address)
    await line.send(heads(front, tree, "put", Transfer_Encoding="chunked") + b"\r\n\r\n5\r\nhello\r\nzz\r\n")
    assert (await line.head()).startswith(b"HTTP/1.1 400")
    line.close()
    assert front.commands.submissions == []


async def test_a_storage_that_is_full_is_journaled(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    front.disks.broken[tree.mount] = errors.StorageFull()
    front.commands.answers = lambda s: failed(s, s.request.failure or "")
    assert (await put(client, tree, b"x" * 100)).status_code == 507
    assert front.commands.last.request.failure == "STORAGE_FULL"
