"""Parts that came in parallel are put together."""

import asyncio
import os
import uuid
from pathlib import Path

import httpx2

from tests.api.conftest import FrontOfTest, Tree, failed, succeeded
from tests.api.tus.helpers import V, about, begin, change, content_of, files, patch


async def part(client: httpx2.AsyncClient, content: bytes) -> str:
    sent_headers = V | {"Upload-Concat": "partial", "Upload-Length": str(len(content))}
    answer = await client.post("/v1/uploads", headers=sent_headers)
    assert answer.status_code == 201, answer.text
    where = answer.headers["location"]
    assert (await patch(client, where, 0, content)).status_code == 204
    return str(where)


async def join(
    client: httpx2.AsyncClient, tree: Tree, parts: list[str], path: str = "a.bin", **headers: str
) -> httpx2.Response:
    sent_headers = V | {"Upload-Concat": "final;" + " ".join(parts), "Upload-Metadata": about(tree, path)} | headers
    return await client.post("/v1/uploads", headers=sent_headers)


async def test_parts_that_came_in_parallel_become_one_file(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, spool: Path
) -> None:
    pieces = [os.urandom(size) for size in (1_500_000, 7, 900_000)]
    parts = await asyncio.gather(*(part(client, piece) for piece in pieces))
    assert front.commands.submissions == [], "a part is no file"
    assert (await client.head(parts[0], headers=V)).headers["upload-concat"] == "partial"
    answer = await join(client, tree, ["http://anywhere.example" + parts[0], *parts[1:]])
    assert answer.status_code == 201, answer.text
    assert content_of(front, tree) == b"".join(pieces)
    assert files(spool) == []
    where = answer.headers["location"]
    head = await client.head(where, headers=V)
    assert head.headers["upload-concat"] == "final;" + " ".join(parts)
    assert head.headers["upload-length"] == head.headers["upload-offset"] == str(2_400_007)
    assert (await patch(client, where, 0, b"x")).status_code == 403, "it takes no bytes of its own"
    again = await join(client, tree, ["http://anywhere.example" + parts[0], *parts[1:]])
    assert (again.status_code, again.headers["location"]) == (201, where), "asked again, it is the same"
    assert len(front.commands.submissions) == 1
    assert (await join(client, tree, list(parts), "elsewhere")).status_code == 410, "the parts are used up"


async def test_what_can_not_be_joined(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    good, whole = await part(client, b"abc"), await begin(client, tree, 5)
    sent_headers = V | {"Upload-Concat": "partial", "Upload-Length": "5"}
    unfinished = (await client.post("/v1/uploads", headers=sent_headers)).headers["location"]
    later = (
        await client.post("/v1/uploads", headers=V | {"Upload-Concat": "partial", "Upload-Defer-Length": "1"})
    ).headers["location"]
    for parts, status in (
        ([good, unfinished], 400), ([good, whole], 400), ([good, f"/v1/uploads/{uuid.uuid4()}"], 404), ([good, good], 400),
        ([later], 400),
    ):  # fmt: skip
        assert (await join(client, tree, parts)).status_code == status, parts
    assert (await join(client, tree, [good], **{"Upload-Length": "3"})).status_code == 400
    async with front.client(front.tokens["admin"]) as other:
        assert (await join(other, tree, [good])).status_code == 404, "another principal's parts"
    change(front, upload_max_bytes=2)
    assert (await join(client, tree, [good])).status_code == 413
    assert front.commands.submissions == []


async def test_parts_of_a_refused_upload_can_be_put_together_otherwise(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    parts = [await part(client, b"abc"), await part(client, b"def")]
    front.commands.answers = lambda s: failed(s, "NODE_EXISTS")
    assert (await join(client, tree, parts, "taken")).status_code == 409
    front.commands.answers = succeeded
    assert (await join(client, tree, parts, "free")).status_code == 201
    assert content_of(front, tree) == b"abcdef"


async def test_joining_that_broke_off_is_done_again(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    parts = [await part(client, b"abc"), await part(client, b"def")]
    front.commands.answers = lambda s: failed(s, "MOUNT_OFFLINE")
    answer = await join(client, tree, parts)
    assert answer.status_code == 503 and answer.headers["location"]
    front.commands.answers = succeeded
    head = await client.head(answer.headers["location"], headers=V)
    assert (head.status_code, head.headers["upload-offset"]) == (200, "6")
    assert front.commands.submissions[0].request.key == front.commands.last.request.key
