"""The bytes of a file: whole, in ranges, under conditions."""

import base64
import email.parser
import email.policy
import hashlib
import itertools
import random
import re

import httpx2
import pytest

from api.files import stream as streamed
from schema.ids import NodeId
from tests.api.conftest import Tree
from tests.api.content.helpers import TEXT, at


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
    ("header", "status", "content", "range"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"), ("bytes=0-", 206, TEXT, "bytes 0-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"), ("bytes=8-100", 206, b"89", "bytes 8-9/10"),
        ("items=0-1", 200, TEXT, None), ("bytes=4-2", 200, TEXT, None), ("bytes=x", 200, TEXT, None),
        ("bytes=10-", 416, None, "bytes */10"), ("bytes=-0", 416, None, "bytes */10"),
    ],
)  # fmt: skip
async def test_a_range(
    client: httpx2.AsyncClient, node: NodeId, header: str, status: int, content: bytes | None, range: str | None
) -> None:
    answer = await client.get(at(node), headers={"range": header})
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
        conditions = {"if-match": given.get(match or ""), "if-unmodified-since": unmodified,
                "if-none-match": given.get(none or ""), "if-modified-since": modified, "range": "bytes=0-1"}  # fmt: skip
        right = match in ("same", "both", "*") if match else unmodified != OLDER
        fresh = none == "other" if none else modified not in (SAME, NEWER)
        status = 412 if not right else 304 if not fresh else 206 if method == "GET" else 200
        sent = {name: value for name, value in conditions.items() if value is not None}
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
        content_range = re.search(rb"Content-Range: bytes (\d+)-(\d+)/", head)
        assert content_range
        found.append((int(content_range[1]), int(content_range[2]) + 1, body))
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
            content_range = re.fullmatch(r"bytes (\d+)-(\d+)/5000", answer.headers["content-range"])
            assert content_range
            parts = [(int(content_range[1]), int(content_range[2]) + 1, answer.content)]
        else:
            parts = parts_of(answer)
            assert len(parts) > 1
        assert all(body == content[start:end] for start, end, body in parts)
        sent = [byte for start, end, _ in parts for byte in range(start, end)]
        assert len(sent) == len(wanted) and set(sent) == wanted
