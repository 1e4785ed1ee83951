"""What only a connection shows: it breaks, it falls silent, it waits to be asked."""

import base64
import hashlib
import os

import httpx2
import pytest

from api.http.body import RequestBody
from api.uploads.tus import turns
from tests.api.conftest import FrontOfTest, Tree
from tests.api.test_writes import SentLine, stages, until
from tests.api.tus.helpers import begin, content_of, offset_of, patch


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of what the service has taken from its clients' bodies so far."""
    sizes: list[int] = []
    takes = RequestBody.next

    async def next(body: RequestBody) -> bytes:
        piece = await takes(body)
        sizes.append(len(piece))
        return piece

    monkeypatch.setattr(RequestBody, "next", next)
    return sizes


def waits_for_its_client(front: FrontOfTest, where: str) -> bool:
    turn = front.app.state.turns._held.get(where.rpartition("/")[2])
    return turn is not None and turn.waits


def head_of(front: FrontOfTest, where: str, offset: int, length: int | None, **more: str) -> bytes:
    lines = [
        f"PATCH {where} HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {front.tokens['write']}",
        "Tus-Resumable: 1.0.0",
    ]
    lines += ["Content-Type: application/offset+octet-stream", f"Upload-Offset: {offset}"]
    lines += ["Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in more.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("abruptly", [False, True])
async def test_what_came_before_a_connection_broke_is_kept(
    front: FrontOfTest,
    client: httpx2.AsyncClient,
    tree: Tree,
    address: tuple[str, int],
    heard: list[int],
    chunked: bool,
    abruptly: bool,
) -> None:
    content = os.urandom(3_000_000)
    where = await begin(client, tree, len(content))
    line = await SentLine.open(address)
    sent = content[:2_500_000]
    await line.send(
        head_of(front, where, 0, None if chunked else len(content))
        + (b"%x\r\n%s\r\n" % (len(sent), sent) if chunked else sent)
    )
    await until(lambda: sum(heard) == 2_500_000)
    if abruptly:
        line.writer.transport.abort()
    else:
        line.close()
    await until(lambda: not front.app.state.turns.taken(where.rpartition("/")[2]))
    offset = await offset_of(client, where)
    assert offset == 2_500_000
    assert front.commands.submissions == [] and stages(tree) == []
    assert (await patch(client, where, offset, content[offset:])).status_code == 204
    assert content_of(front, tree) == content


async def test_a_broken_chunk_with_a_checksum_is_not_kept(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, address: tuple[str, int], heard: list[int]
) -> None:
    where = await begin(client, tree, 3_000_000)
    line = await SentLine.open(address)
    await line.send(
        head_of(front, where, 0, 3_000_000, Upload_Checksum="sha1 " + base64.b64encode(b"x" * 20).decode())
        + b"x" * 2_500_000
    )
    await until(lambda: sum(heard) == 2_500_000)
    line.close()
    await until(lambda: not front.app.state.turns.taken(where.rpartition("/")[2]))
    assert await offset_of(client, where) == 0


@pytest.mark.parametrize("by", ["HEAD", "PATCH"])
async def test_a_silent_connection_gives_way(
    front: FrontOfTest,
    client: httpx2.AsyncClient,
    tree: Tree,
    address: tuple[str, int],
    monkeypatch: pytest.MonkeyPatch,
    heard: list[int],
    by: str,
) -> None:
    monkeypatch.setattr(turns, "SILENT_SECONDS", 0.0)
    where = await begin(client, tree, 2_000_000)
    line = await SentLine.open(address)  # whose cable is cut: nothing comes any more, and no end either
    await line.send(head_of(front, where, 0, 2_000_000) + b"x" * 1_500_000)
    await until(lambda: sum(heard) == 1_500_000 and waits_for_its_client(front, where))
    if by == "HEAD":
        assert await offset_of(client, where) == 1_500_000, "what it had sent counts"
    else:
        answer = await patch(client, where, 0, b"y" * 2_000_000)
        assert answer.status_code == 409 and answer.json()["error"]["details"]["offset"] == 1_500_000
    assert (await patch(client, where, 1_500_000, b"x" * 500_000)).status_code == 204
    assert front.commands.last.request.sha256 == hashlib.sha256(b"x" * 2_000_000).hexdigest()
    line.close()


async def test_a_good_chunk_is_asked_for(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, address: tuple[str, int]
) -> None:
    where = await begin(client, tree, 5)
    line = await SentLine.open(address)
    await line.send(head_of(front, where, 0, 5, Expect="100-continue"))
    assert await line.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
    await line.send(b"hello")
    assert (await line.head()).startswith(b"HTTP/1.1 204")
    line.close()


@pytest.mark.parametrize(("offset", "length", "headers", "status"), [
    (1, 5, {}, b"409"), (0, 6, {}, b"413"), (0, 5, {"Upload-Checksum": "x"}, b"400"),
    (0, 5, {"Content-Digest": "sha-256=x"}, b"400"), (0, 5, {"Authorization": "Bearer x"}, b"401"),
])  # fmt: skip
async def test_a_bad_chunk_is_not_asked_for(
    front: FrontOfTest,
    client: httpx2.AsyncClient,
    tree: Tree,
    address: tuple[str, int],
    offset: int,
    length: int,
    headers: dict[str, str],
    status: bytes,
) -> None:
    where = await begin(client, tree, 5)
    line = await SentLine.open(address)
    head = head_of(front, where, offset, length, Expect="100-continue", **headers)
    if "Authorization" in headers:
        head = head.replace(front.tokens["write"].encode(), b"x", 1)
    await line.send(head)
    answer = await line.head()
    assert answer.startswith(b"HTTP/1.1 " + status) and b"connection: close" in answer
    line.close()
    assert await offset_of(client, where) == 0
