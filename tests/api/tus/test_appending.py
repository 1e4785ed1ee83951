"""Chunks come at their offsets, and become a file."""

import hashlib
import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2

from schema.commands.command import CommandKind
from tests.api.conftest import FrontOfTest, Tree, succeeded
from tests.api.tus.helpers import CHUNK, V, about, begin, content_of, create, files, offset_of, patch


async def test_chunks_become_a_file(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, spool: Path) -> None:
    front.commands.answers = lambda s: succeeded(s, nodeId=77)
    content = os.urandom(3_000_000)
    metadata = about(
        tree,
        "d/é.bin",
        filename="C:\\x\\photo.jpg",
        filetype="image/jpeg",
        overwrite="true",
        metadata='{"n": 9007199254740991}',
    )
    answer = await create(client, tree, len(content), Upload_Metadata=metadata)
    assert (answer.status_code, answer.headers["tus-resumable"], answer.content) == (201, "1.0.0", b"")
    where = answer.headers["location"]
    assert where.startswith("/v1/uploads/") and "upload-expires" in answer.headers
    for start in (0, 1_000_000, 2_500_000):
        assert await offset_of(client, where) == start
        end = {0: 1_000_000, 1_000_000: 2_500_000, 2_500_000: 3_000_000}[start]
        answer = await patch(client, where, start, content[start:end])
        assert (answer.status_code, answer.headers["upload-offset"]) == (204, str(end)), answer.text
        assert answer.headers["tus-resumable"] == "1.0.0"
    request = front.commands.last.request
    assert len(front.commands.submissions) == 1
    assert answer.headers["x-filestore-command"] == request.id and answer.headers["x-filestore-node"] == "77"
    assert content_of(front, tree) == content
    assert (request.kind, request.path, request.overwrite) == (CommandKind.UPLOAD, "d/é.bin", True)
    assert (request.size, request.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert (request.mime_type, request.original_name) == ("image/jpeg", "photo.jpg")
    assert request.key == "tus:" + where.rpartition("/")[2]
    assert front.commands.last.metadata == {"n": 2**53 - 1}
    assert files(spool) == [], "the bytes are freed"
    head = await client.head(where, headers=V)
    assert (head.headers["upload-offset"], head.headers["upload-length"]) == ("3000000", "3000000")
    assert head.headers["upload-metadata"] == metadata and head.headers["cache-control"] == "no-store"
    assert (head.headers["x-filestore-command"], head.headers["x-filestore-node"]) == (request.id, "77")
    upload = (await client.get(where)).json()["data"]
    assert (upload["state"], upload["offset"], upload["length"], upload["path"]) == (
        "done",
        3_000_000,
        3_000_000,
        "d/é.bin",
    )
    assert upload["outcome"]["result"]["nodeId"] == 77 and upload["commandId"] == request.id
    assert (await patch(client, where, 3_000_000, b"")).status_code == 204, "nothing more is fine"
    assert (await patch(client, where, 0, content)).status_code == 409
    assert len(front.commands.submissions) == 1


async def test_bad_chunks(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    where = await begin(client, tree, 10)
    assert (await patch(client, where, 0, b"hello")).status_code == 204
    for headers, status in (
        ({"Upload-Offset": "0"}, 409), ({"Upload-Offset": "6"}, 409), ({"Upload-Offset": "x"}, 400), ({"Upload-Offset": "-5"}, 400),
        ({"Content-Type": "application/octet-stream"}, 415), ({"Tus-Resumable": "2.0.0"}, 412),
        ({"Upload-Checksum": "crc32 AAAA"}, 400),
        ({"Upload-Checksum": "sha1 !"}, 400), ({"Upload-Checksum": "sha1 AAAA"}, 400), ({"Content-Digest": "sha-256=x"}, 400),
    ):  # fmt: skip
        answer = await client.patch(where, content=b"world", headers=CHUNK | {"Upload-Offset": "5"} | headers)
        assert answer.status_code == status, (headers, answer.text)
        assert answer.headers["tus-resumable"] == "1.0.0"
        assert await offset_of(client, where) == 5
    assert (await client.patch(where, content=b"world", headers=CHUNK)).status_code == 400, "no offset"
    assert (await patch(client, where, 5, b"world!")).status_code == 413

    async def unannounced() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"wor"

    assert (await patch(client, where, 5, unannounced())).status_code == 413
    assert await offset_of(client, where) == 5 and front.commands.submissions == []
    for method in ("PATCH", "HEAD", "DELETE", "GET"):
        for id in ("1", str(uuid.uuid4()), "%2e%2e", where.rpartition("/")[2] + "0"):
            sent_headers = CHUNK | {"Upload-Offset": "0"}
            assert (await client.request(method, f"/v1/uploads/{id}", headers=sent_headers)).status_code == 404
    assert (await client.head(where)).status_code == 412
    assert (await client.delete(where)).status_code == 412
