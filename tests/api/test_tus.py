"""Resumable uploads: each method of the protocol, each extension, each refusal; crashes, full disks, and the published client."""

import asyncio
import base64
import errno
import hashlib
import io
import json
import os
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError, TusUploadFailed

from api.tus import area, chunks, turns
from api.tus.expiry import expire_uploads
from schema import errors
from schema.commands import CommandKind, Outcome, Request, Status
from schema.store import uploads as upload_store
from schema.store.pool import Pool
from tests.api.conftest import Front, Tree, failed, make_tree, pends, succeeded
from tests.api.test_uploads import in_pieces
from tests.api.test_writes import Line, digest, stages, until

V = {"Tus-Resumable": "1.0.0"}
CHUNK = V | {"Content-Type": "application/offset+octet-stream"}


@pytest.fixture(autouse=True)
def spool(front: Front, tmp_path: Path) -> Path:
    """The folder of uploads, made when it is first needed."""
    change(front, spool_path=str(tmp_path / "spool"), upload_max_bytes=2**30)
    return tmp_path / "spool" / "uploads"


def change(front: Front, **changes: Any) -> None:
    object.__setattr__(front.services, "settings", front.services.settings.model_copy(update=changes))


def keys(**values: Any) -> str:
    texts = {name: str(value) for name, value in values.items()}
    return ",".join(f"{name} {base64.b64encode(text.encode()).decode()}" for name, text in texts.items())


def about(tree: Tree, path: str = "a.bin", **more: Any) -> str:
    return keys(backendMountId=tree.mount, path=path, **more)


async def create(client: httpx2.AsyncClient, tree: Tree, length: int | None, **headers: str) -> httpx2.Response:
    told = V | {"Upload-Metadata": about(tree)} | {name.replace("_", "-"): text for name, text in headers.items()}
    told |= {"Upload-Defer-Length": "1"} if length is None else {"Upload-Length": str(length)}
    return await client.post("/v1/uploads", headers=told)


async def begin(client: httpx2.AsyncClient, tree: Tree, length: int | None, **headers: str) -> str:
    answer = await create(client, tree, length, **headers)
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


async def patch(
    client: httpx2.AsyncClient, where: str, offset: int, content: bytes | AsyncIterator[bytes], **headers: str
) -> httpx2.Response:
    told = CHUNK | {"Upload-Offset": str(offset)} | {name.replace("_", "-"): text for name, text in headers.items()}
    return await client.patch(where, content=content, headers=told)


async def offset_of(client: httpx2.AsyncClient, where: str) -> int:
    answer = await client.head(where, headers=V)
    assert answer.status_code == 200, answer.headers
    return int(answer.headers["upload-offset"])


def content_of(front: Front, tree: Tree) -> bytes:
    """What was handed to the command."""
    submission = front.commands.last
    if submission.content is not None:
        return submission.content
    return (tree.folder / ".filestore" / "stage" / submission.request.id).read_bytes()


def code(answer: httpx2.Response) -> str:
    return str(answer.json()["error"]["code"])


def files(spool: Path) -> list[str]:
    return sorted(os.listdir(spool)) if spool.exists() else []


# The way of one upload


async def test_chunks_become_a_file(front: Front, client: httpx2.AsyncClient, tree: Tree, spool: Path) -> None:
    front.commands.answers = lambda s: succeeded(s, nodeId=77)
    content = os.urandom(3_000_000)
    metadata = about(
        tree,
        "d/é.bin",
        filename="C:\\x\\photo.jpg",
        filetype="image/jpeg",
        overwrite="true",
        metadata='{"n": 10000000000000000000000}',
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
    assert front.commands.last.metadata == {"n": 10**22}
    assert files(spool) == [], "the bytes are freed"
    head = await client.head(where, headers=V)
    assert (head.headers["upload-offset"], head.headers["upload-length"]) == ("3000000", "3000000")
    assert head.headers["upload-metadata"] == metadata and head.headers["cache-control"] == "no-store"
    assert (head.headers["x-filestore-command"], head.headers["x-filestore-node"]) == (request.id, "77")
    told = (await client.get(where)).json()["data"]
    assert (told["state"], told["offset"], told["length"], told["path"]) == ("done", 3_000_000, 3_000_000, "d/é.bin")
    assert told["outcome"]["result"]["nodeId"] == 77 and told["commandId"] == request.id
    assert (await patch(client, where, 3_000_000, b"")).status_code == 204, "nothing more is fine"
    assert (await patch(client, where, 0, content)).status_code == 409
    assert len(front.commands.submissions) == 1


async def test_what_can_be_done_is_told(client: httpx2.AsyncClient) -> None:
    answer = await client.options("/v1/uploads")
    assert answer.status_code == 204
    assert answer.headers["tus-version"] == "1.0.0" and answer.headers["tus-max-size"] == str(2**30)
    assert set(answer.headers["tus-extension"].split(",")) == {
        "creation", "creation-with-upload", "creation-defer-length", "checksum", "expiration", "termination", "concatenation",
    }  # fmt: skip
    assert answer.headers["tus-checksum-algorithm"] == "sha1,sha256,md5"


async def test_the_first_chunk_can_come_with_the_creation(front: Front, client: httpx2.AsyncClient, tree: Tree) -> None:
    told = CHUNK | {"Upload-Length": "10", "Upload-Metadata": about(tree)}
    answer = await client.post("/v1/uploads", headers=told, content=b"hello")
    assert (answer.status_code, answer.headers["upload-offset"]) == (201, "5")
    assert (await patch(client, answer.headers["location"], 5, b"world")).status_code == 204
    assert content_of(front, tree) == b"helloworld"
    answer = await client.post("/v1/uploads", headers=told, content=b"helloworld")
    assert (answer.status_code, answer.headers["upload-offset"]) == (201, "10")
    assert answer.headers["x-filestore-command"] == front.commands.last.request.id


async def test_an_empty_file_is_complete_at_once(front: Front, client: httpx2.AsyncClient, tree: Tree) -> None:
    where = await begin(client, tree, 0)
    assert front.commands.last.content == b"" and await offset_of(client, where) == 0


async def test_the_length_can_come_later(front: Front, client: httpx2.AsyncClient, tree: Tree) -> None:
    where = await begin(client, tree, None)
    head = await client.head(where, headers=V)
    assert head.headers["upload-defer-length"] == "1" and "upload-length" not in head.headers
    assert (await patch(client, where, 0, b"hello")).status_code == 204
    assert code(await patch(client, where, 5, b"", Upload_Length="4")) == "INVALID_REQUEST"
    assert front.commands.submissions == []
    assert (await patch(client, where, 5, b"wo", Upload_Length="10")).status_code == 204
    assert (await patch(client, where, 7, b"rld", Upload_Length="11")).status_code == 400, "it is told once"
    assert (await patch(client, where, 7, b"rld", Upload_Length="10")).status_code == 204
    assert content_of(front, tree) == b"helloworld"
    where = await begin(client, tree, None)
    assert (await patch(client, where, 0, b"abc")).status_code == 204
    assert (await patch(client, where, 3, b"", Upload_Length="3")).status_code == 204
    assert content_of(front, tree) == b"abc", "told when everything is there"
    assert (await patch(client, await begin(client, tree, None), 0, b"", Upload_Length=str(2**40))).status_code == 413


async def test_conditions_and_keys_are_those_of_the_creation(
    front: Front, client: httpx2.AsyncClient, tree: Tree
) -> None:
    where = await begin(client, tree, 1, If_Match='"7"', Upload_Metadata=about(tree, idempotencyKey="mine"))
    assert (await patch(client, where, 0, b"x", If_Match='"8"')).status_code == 204
    request = front.commands.last.request
    assert (request.if_version, request.overwrite, request.key) == (7, True, "mine")
    where = await begin(client, tree, 1, Idempotency_Key="header")
    assert (await patch(client, where, 0, b"x", Idempotency_Key="other")).status_code == 204
    assert front.commands.last.request.key == "header"


async def test_the_digest_of_the_whole_is_compared_at_the_end(
    front: Front, client: httpx2.AsyncClient, tree: Tree, spool: Path
) -> None:
    content = os.urandom(100_000)
    sha1 = "sha1:" + hashlib.sha1(content).hexdigest()
    where = await begin(client, tree, len(content), Repr_Digest=digest("sha-512", content), x_filestore_checksum=sha1)
    assert (await patch(client, where, 0, content)).status_code == 204
    assert front.commands.last.request.checksum == sha1
    before = len(front.commands.submissions)
    where = await begin(client, tree, 1, Repr_Digest=digest("sha-256", b"y"))
    assert code(await patch(client, where, 0, b"x")) == "CHECKSUM_MISMATCH"
    head = await client.head(where, headers=V)
    assert head.status_code == 422 and "upload-offset" not in head.headers, "nobody takes it for complete"
    assert (await client.get(where)).json()["data"]["error"]["code"] == "CHECKSUM_MISMATCH"
    assert len(front.commands.submissions) == before and files(spool) == []


# Refusals


BAD: list[tuple[dict[str, str], int]] = [
    ({"Tus-Resumable": ""}, 412), ({"Tus-Resumable": "0.2.2"}, 412), ({"Upload-Length": "x"}, 400),
    ({"Upload-Length": "-1"}, 400), ({"Upload-Length": ""}, 400), ({"Upload-Length": "9" * 30}, 400),
    ({"Upload-Length": str(2**30 + 1)}, 413), ({"Upload-Defer-Length": "1"}, 400), ({"Upload-Defer-Length": "2"}, 400),
    ({"Upload-Metadata": ""}, 400), ({"Upload-Metadata": "path !"}, 400), ({"Upload-Metadata": "a YQ==,a YQ=="}, 400),
    ({"Upload-Metadata": " YQ=="}, 400), ({"Upload-Metadata": "path /w=="}, 400), ({"Upload-Metadata": keys(path="a")}, 400),
    ({"Upload-Metadata": keys(backendMountId=1, path="..")}, 400), ({"Upload-Metadata": keys(backendMountId=2**40, path="a")}, 404),
    ({"Upload-Metadata": keys(backendMountId=1, path=".filestore/x")}, 403), ({"If-Match": "x y"}, 400),
    ({"Upload-Concat": "other"}, 400), ({"Upload-Concat": "final;"}, 400), ({"Upload-Concat": "final;/v1/uploads/x"}, 400),
    ({"Content-Type": "text/plain", "Content-Length": "1"}, 415), ({"x-filestore-checksum": "x"}, 400),
    ({"Repr-Digest": "x y"}, 400),
]  # fmt: skip


@pytest.mark.parametrize(("headers", "status"), BAD)
async def test_bad_creations(
    front: Front, client: httpx2.AsyncClient, tree: Tree, spool: Path, headers: dict[str, str], status: int
) -> None:
    told = V | {"Upload-Length": "1", "Upload-Metadata": about(tree)} | headers
    answer = await client.post("/v1/uploads", headers=told, content=b"x" if "Content-Length" in headers else b"")
    assert answer.status_code == status, answer.text
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert ("tus-version" in answer.headers) == (status == 412)
    assert files(spool) == [] and front.commands.submissions == []


@pytest.mark.parametrize("columns", [{"access_mode": "ro"}, {"state": "inactive"}])
async def test_nothing_is_announced_to_a_closed_mount(
    client: httpx2.AsyncClient, pool: Pool, tmp_path: Path, columns: dict[str, str], spool: Path
) -> None:
    tree = await make_tree(pool, tmp_path / "closed", **columns)
    assert (await create(client, tree, 1)).status_code in (403, 503)
    assert files(spool) == []


async def test_bad_chunks(front: Front, client: httpx2.AsyncClient, tree: Tree) -> None:
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
            told = CHUNK | {"Upload-Offset": "0"}
            assert (await client.request(method, f"/v1/uploads/{id}", headers=told)).status_code == 404
    assert (await client.head(where)).status_code == 412
    assert (await client.delete(where)).status_code == 412


async def test_only_its_own_principal_goes_on_with_it(front: Front, client: httpx2.AsyncClient, tree: Tree) -> None:
    where = await begin(client, tree, 5)
    for token in (await front.token("admin"), await front.token("write", tenant="other")):
        async with front.client(token) as other:
            assert (await patch(other, where, 0, b"hello")).status_code == 404
            for method in ("HEAD", "DELETE", "GET"):
                assert (await other.request(method, where, headers=V)).status_code == 404
    async with front.client(front.tokens["read"]) as reader:
        assert (await patch(reader, where, 0, b"hello")).status_code == 403
    assert await offset_of(client, where) == 0


async def test_a_scope_that_was_taken_away_meanwhile(
    front: Front, client: httpx2.AsyncClient, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = await begin(client, tree, 5)

    def refuse(*_: Any) -> None:
        raise errors.MissingScope()

    with monkeypatch.context() as patched:
        patched.setattr("api.tus.completion.authorise", refuse)
        assert (await patch(client, where, 0, b"hello")).status_code == 403
        assert front.commands.submissions == []
    assert await offset_of(client, where) == 5, "given back, it goes on"
    assert content_of(front, tree) == b"hello"


async def test_another_method_can_be_meant(client: httpx2.AsyncClient, front: Front, tree: Tree) -> None:
    where = await begin(client, tree, 5)
    told = CHUNK | {"Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert (await client.post(where, content=b"hel", headers=told)).status_code == 204
    answer = await client.post(where, headers=V | {"X-HTTP-Method-Override": "HEAD"})
    assert (answer.status_code, answer.headers["upload-offset"]) == (200, "3")
    assert (await client.post(where, headers=V)).status_code == 400
    assert (await client.post(where, headers=V | {"X-HTTP-Method-Override": "DELETE"})).status_code == 204
    assert (await client.head(where, headers=V)).status_code == 410


odd = st.binary(max_size=40).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b""))
likely = st.sampled_from(
    [
        b"1",
        b"0",
        b"partial",
        b"final;/v1/uploads/" + b"0" * 36,
        b"sha1 \xe9",
        b"sha1 AAAA",
        b"path YQ==",
        b"a",
        b"sha-256=:\xe9:",
    ]
)
NAMES = ["Upload-Length", "Upload-Defer-Length", "Upload-Metadata", "Upload-Concat", "Upload-Checksum", "Upload-Offset",
         "Content-Digest", "Repr-Digest", "X-HTTP-Method-Override", "If-Match", "Content-Type",
         "x-filestore-metadata", "Prefer"]  # fmt: skip


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(NAMES), odd | likely, max_size=5), st.binary(max_size=20))
async def test_whatever_the_headers_hold_it_is_no_500(
    client: httpx2.AsyncClient, tree: Tree, headers: dict[str, bytes], content: bytes
) -> None:
    where = await begin(client, tree, 10)
    told = [(b"tus-resumable", b"1.0.0"), *((name.encode(), value) for name, value in headers.items())]
    known = {name.lower() for name in headers}
    more = [
        (name.encode(), value.encode())
        for name, value in (CHUNK | {"Upload-Offset": "0"}).items()
        if name.lower() not in known
    ]
    for method, address, sent in (
        ("POST", "/v1/uploads", told),
        ("PATCH", where, told + more),
        ("POST", where, told),
        ("HEAD", where, told),
    ):
        answer = await client.request(method, address, headers=sent, content=content if method != "HEAD" else b"")
        assert answer.status_code != 500, (method, sent, answer.text)
    query: dict[str, str | int] = {"backendMountId": tree.mount, "path": "a"}
    assert (await client.put("/v1/files/by-path", params=query, headers=told, content=content)).status_code != 500


async def test_a_mount_that_is_closed_for_a_while_costs_no_upload(
    front: Front, client: httpx2.AsyncClient, tree: Tree, pool: Pool
) -> None:
    from schema.store import mounts

    for change_to, back, status in (
        ({"access_mode": "ro"}, {"access_mode": "rw"}, 403),
        ({"state": "inactive"}, {"state": "active"}, 503),
    ):
        where = await begin(client, tree, 5)
        async with pool.connection() as connection:
            await mounts.update(connection, tree.mount, change_to)
        front.app.state.front.mounts.forget()
        assert (await patch(client, where, 0, b"hello")).status_code == status
        async with pool.connection() as connection:
            await mounts.update(connection, tree.mount, back)
        assert await offset_of(client, where) == 5
        assert content_of(front, tree) == b"hello" and front.commands.last.request.failure is None


# Checksums of chunks


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
@pytest.mark.parametrize("size", [5, 2_500_000])
async def test_a_chunk_with_a_wrong_checksum_is_not_taken(
    front: Front, client: httpx2.AsyncClient, tree: Tree, spool: Path, algorithm: str, size: int
) -> None:
    content = os.urandom(size)
    where = await begin(client, tree, size + 3)
    assert (await patch(client, where, 0, b"abc")).status_code == 204

    def told(of: bytes) -> str:
        return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, of).digest()).decode()}"

    answer = await patch(client, where, 3, content, Upload_Checksum=told(b"else"))
    assert (answer.status_code, code(answer)) == (460, "CHECKSUM_MISMATCH")
    assert await offset_of(client, where) == 3 and (spool / files(spool)[0]).stat().st_size == 3
    assert (await patch(client, where, 3, content, Upload_Checksum=told(content))).status_code == 204
    assert content_of(front, tree) == b"abc" + content


async def test_a_chunk_with_a_wrong_content_digest_is_not_taken(
    front: Front, client: httpx2.AsyncClient, tree: Tree
) -> None:
    where = await begin(client, tree, 5)
    assert (await patch(client, where, 0, b"hello", Content_Digest=digest("sha-256", b"x"))).status_code == 422
    assert await offset_of(client, where) == 0
    assert (await patch(client, where, 0, b"hello", Content_Digest=digest("sha-512", b"hello"))).status_code == 204
    assert content_of(front, tree) == b"hello"


# Parts


async def part(client: httpx2.AsyncClient, content: bytes) -> str:
    told = V | {"Upload-Concat": "partial", "Upload-Length": str(len(content))}
    answer = await client.post("/v1/uploads", headers=told)
    assert answer.status_code == 201, answer.text
    where = answer.headers["location"]
    assert (await patch(client, where, 0, content)).status_code == 204
    return str(where)


async def join(
    client: httpx2.AsyncClient, tree: Tree, parts: list[str], path: str = "a.bin", **headers: str
) -> httpx2.Response:
    told = V | {"Upload-Concat": "final;" + " ".join(parts), "Upload-Metadata": about(tree, path)} | headers
    return await client.post("/v1/uploads", headers=told)


async def test_parts_that_came_in_parallel_become_one_file(
    front: Front, client: httpx2.AsyncClient, tree: Tree, spool: Path
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


async def test_what_can_not_be_joined(front: Front, client: httpx2.AsyncClient, tree: Tree) -> None:
    good, whole = await part(client, b"abc"), await begin(client, tree, 5)
    told = V | {"Upload-Concat": "partial", "Upload-Length": "5"}
    unfinished = (await client.post("/v1/uploads", headers=told)).headers["location"]
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
        assert (await join(other, tree, [good])).status_code == 404, "somebody else's parts"
    change(front, upload_max_bytes=2)
    assert (await join(client, tree, [good])).status_code == 413
    assert front.commands.submissions == []


async def test_parts_of_a_refused_upload_can_be_put_together_otherwise(
    front: Front, client: httpx2.AsyncClient, tree: Tree
) -> None:
    parts = [await part(client, b"abc"), await part(client, b"def")]
    front.commands.answers = lambda s: failed(s, "NODE_EXISTS")
    assert (await join(client, tree, parts, "taken")).status_code == 409
    front.commands.answers = succeeded
    assert (await join(client, tree, parts, "free")).status_code == 201
    assert content_of(front, tree) == b"abcdef"


async def test_joining_that_broke_off_is_done_again(front: Front, client: httpx2.AsyncClient, tree: Tree) -> None:
    parts = [await part(client, b"abc"), await part(client, b"def")]
    front.commands.answers = lambda s: failed(s, "MOUNT_OFFLINE")
    answer = await join(client, tree, parts)
    assert answer.status_code == 503 and answer.headers["location"]
    front.commands.answers = succeeded
    head = await client.head(answer.headers["location"], headers=V)
    assert (head.status_code, head.headers["upload-offset"]) == (200, "6")
    assert front.commands.submissions[0].request.key == front.commands.last.request.key


# What becomes of it


@pytest.mark.parametrize("refusal", ["NODE_EXISTS", "PARENT_NOT_FOUND", "VERSION_CONFLICT", "IDEMPOTENCY_CONFLICT"])
async def test_a_refused_command_ends_the_upload(
    front: Front, client: httpx2.AsyncClient, tree: Tree, spool: Path, refusal: str
) -> None:
    front.commands.answers = lambda s: failed(s, refusal)
    where = await begin(client, tree, 5)
    answer = await patch(client, where, 0, b"hello")
    assert code(answer) == refusal and answer.headers["tus-resumable"] == "1.0.0"
    front.commands.answers = succeeded
    head = await client.head(where, headers=V)
    assert head.status_code == answer.status_code and "upload-offset" not in head.headers
    assert code(await patch(client, where, 5, b"")) == refusal
    assert len(front.commands.submissions) == 1 and files(spool) == []
    told = (await client.get(where)).json()["data"]
    assert (told["state"], told["error"]["code"]) == ("refused", refusal)


@pytest.mark.parametrize("refusal", ["MOUNT_OFFLINE", "STORAGE_FULL", "PATH_BUSY", "STAGE_LOST"])
@pytest.mark.parametrize("by", ["HEAD", "PATCH"])
@pytest.mark.parametrize("raised", [False, True])
async def test_a_failure_that_can_pass_is_healed_by_the_next_request(
    front: Front, client: httpx2.AsyncClient, tree: Tree, refusal: str, by: str, raised: bool
) -> None:
    def refuse(submission: Any) -> Outcome:
        if raised:
            raise errors.from_code(refusal)
        return failed(submission, refusal)

    front.commands.answers = refuse
    where = await begin(client, tree, 5)
    answer = await patch(client, where, 0, b"hello")
    assert code(answer) == refusal and int(answer.headers["retry-after"])
    head = await client.head(where, headers=V)
    assert head.status_code == answer.status_code and "upload-offset" not in head.headers
    front.commands.answers = succeeded
    told = CHUNK | {"Upload-Offset": "5"}
    answer = await client.request(by, where, headers=told)
    assert answer.status_code in (200, 204) and answer.headers["upload-offset"] == "5"
    assert answer.headers["x-filestore-command"] == front.commands.last.request.id
    assert len({s.request.key for s in front.commands.submissions}) == 1, "one key, one command"
    assert len({s.request.hash for s in front.commands.submissions}) == 1


async def test_a_full_mount_is_journaled_and_healed(front: Front, client: httpx2.AsyncClient, tree: Tree) -> None:
    front.disks.broken[tree.mount] = errors.StorageFull()
    front.commands.answers = lambda s: failed(s, s.request.failure) if s.request.failure else succeeded(s)
    where = await begin(client, tree, 5)
    assert (await patch(client, where, 0, b"hello")).status_code == 507
    front.disks.broken.clear()
    assert await offset_of(client, where) == 5
    assert content_of(front, tree) == b"hello"


async def record(
    pool: Pool, tree: Tree, request: Request, status: Status, code: str | None = None, outcome: Any = None
) -> None:
    """As `begin` and `commit` would have left it."""
    async with pool.connection() as connection:
        await connection.execute(
            "INSERT INTO filestore.commands (id, tenant, principal, key, kind, mount_id, path, request, intent, status, code,"
            " outcome, ended_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, '{}', '{}', %s, %s, %s, CASE WHEN %s THEN NULL ELSE now() END)",
            [request.id, request.tenant, request.principal, request.key, request.kind, tree.mount, request.node_path.raw, status,
             code, json.dumps(outcome), status is Status.RUNNING],
        )  # fmt: skip


async def test_a_command_that_still_runs_is_asked_for_later(
    front: Front, client: httpx2.AsyncClient, tree: Tree, pool: Pool, spool: Path
) -> None:
    front.commands.answers = pends
    where = await begin(client, tree, 5)
    answer = await patch(client, where, 0, b"hello", Prefer="respond-async")
    request = front.commands.last.request
    assert front.commands.last.wait_seconds == 0.0
    assert (answer.status_code, answer.headers["x-filestore-command"]) == (204, request.id)
    await record(pool, tree, request, Status.RUNNING)
    head = await client.head(where, headers=V)
    assert (head.headers["x-filestore-command"], head.headers["upload-offset"]) == (request.id, "5")
    assert "x-filestore-node" not in head.headers and len(files(spool)) == 1, (
        "the bytes stay until the outcome is known"
    )
    async with pool.connection() as connection:
        body = json.dumps({"idempotent": False, "node": {"id": 9}, "result": {"nodeId": 9}})
        await connection.execute(
            "UPDATE filestore.commands SET status = 'succeeded', ended_at = now(), outcome = %s WHERE id = %s",
            [body, request.id],
        )
    head = await client.head(where, headers=V)
    assert (head.headers["x-filestore-command"], head.headers["x-filestore-node"]) == (request.id, "9")
    assert len(front.commands.submissions) == 1 and files(spool) == []


async def test_a_crash_between_the_command_and_the_row_is_recognised(
    front: Front, client: httpx2.AsyncClient, tree: Tree, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: Any) -> None:
        raise RuntimeError("the process dies here")

    where = await begin(client, tree, 5)
    with monkeypatch.context() as patched:
        patched.setattr("api.tus.completion._end", crash)
        assert (await patch(client, where, 0, b"hello")).status_code == 500
    request = front.commands.last.request
    await record(
        pool, tree, request, Status.SUCCEEDED, outcome={"idempotent": False, "node": None, "result": {"nodeId": 3}}
    )
    head = await client.head(where, headers=V)
    assert (head.headers["x-filestore-command"], head.headers["x-filestore-node"]) == (request.id, "3")
    assert len(front.commands.submissions) == 1, "it happened once"


# What comes in survives


async def test_what_lies_behind_the_acknowledged_offset_is_nobodys(
    front: Front, client: httpx2.AsyncClient, tree: Tree, spool: Path
) -> None:
    where = await begin(client, tree, 10)
    assert (await patch(client, where, 0, b"hello")).status_code == 204
    (spool / files(spool)[0]).write_bytes(b"hello" + b"torn by a power cut, and much longer")
    assert await offset_of(client, where) == 5
    assert (await patch(client, where, 5, b"world")).status_code == 204
    assert content_of(front, tree) == b"helloworld"


async def test_the_row_comes_after_the_flush(
    front: Front, client: httpx2.AsyncClient, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    write, flush, advance = area.Waiting.write, area.Waiting.flush, upload_store.advance

    def seen(name: str, function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            order.append(name)
            return function(*arguments)

        return call

    monkeypatch.setattr(area.Waiting, "write", seen("write", write))
    monkeypatch.setattr(area.Waiting, "flush", seen("flush", flush))
    monkeypatch.setattr(upload_store, "advance", seen("row", advance))
    where = await begin(client, tree, 10)
    assert (await patch(client, where, 0, b"hello")).status_code == 204
    assert order == ["write", "flush", "row"]


async def test_a_long_chunk_is_acknowledged_along_the_way(
    front: Front, client: httpx2.AsyncClient, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "ACKNOWLEDGE", 2 * chunks.PIECE)
    where = await begin(client, tree, 10 * chunks.PIECE)
    seen = []

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(10):
            yield b"x" * chunks.PIECE
            if number < 8:  # with the last byte it is about to become a file
                seen.append(await offset_of(client, where))

    assert (await patch(client, where, 0, pieces())).status_code == 204
    assert any(0 < offset < 10 * chunks.PIECE for offset in seen) and seen == sorted(seen)
    assert front.commands.last.request.sha256 == hashlib.sha256(b"x" * 10 * chunks.PIECE).hexdigest()


@pytest.mark.parametrize("when", ["write", "flush"])
async def test_a_full_disk_leaves_the_offset_as_it_was(
    front: Front, client: httpx2.AsyncClient, tree: Tree, spool: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    where = await begin(client, tree, 5_000_005)
    assert (await patch(client, where, 0, b"hello")).status_code == 204
    calls = 0
    pwrite = os.pwrite

    def full(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if when == "flush" or calls > 2:
            raise OSError(errno.ENOSPC, "full")
        return pwrite(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite" if when == "write" else "fdatasync", full)
        answer = await patch(client, where, 5, in_pieces(b"x" * 5_000_000))
        assert (answer.status_code, code(answer)) == (507, "STORAGE_FULL")
    assert await offset_of(client, where) == 5
    assert (spool / files(spool)[0]).stat().st_size == 5, "what was not acknowledged takes no space"
    assert (await patch(client, where, 5, b"y" * 5_000_000)).status_code == 204
    assert content_of(front, tree) == b"hello" + b"y" * 5_000_000


async def test_an_upload_whose_bytes_were_lost_is_gone(
    front: Front, client: httpx2.AsyncClient, tree: Tree, spool: Path
) -> None:
    where = await begin(client, tree, 10)
    assert (await patch(client, where, 0, b"hello")).status_code == 204
    os.truncate(spool / files(spool)[0], 3)
    assert (await patch(client, where, 5, b"world")).status_code == 410
    (spool / files(spool)[0]).unlink()
    assert (await patch(client, where, 5, b"world")).status_code == 410
    assert front.commands.submissions == []


async def test_on_another_host_it_can_not_be_gone_on_with(front: Front, client: httpx2.AsyncClient, tree: Tree) -> None:
    where = await begin(client, tree, 10)
    change(front, host_id="another-host")
    answer = await patch(client, where, 0, b"hello")
    assert answer.status_code == 503 and "test-host" in answer.text


# The end of what nobody goes on with


async def age(pool: Pool, where: str) -> None:
    async with pool.connection() as connection:
        await connection.execute(
            "UPDATE filestore.stages SET expires_at = now() - interval '1 second' WHERE id = %s",
            [where.rpartition("/")[2]],
        )


async def test_an_expired_upload_is_gone_and_takes_no_space(
    front: Front, client: httpx2.AsyncClient, tree: Tree, pool: Pool, spool: Path
) -> None:
    where, other = await begin(client, tree, 10), await begin(client, tree, 10)
    await age(pool, where)
    assert (await client.head(where, headers=V)).status_code == 410, "before anybody swept"
    assert (await patch(client, where, 0, b"hello")).status_code == 410
    async with pool.connection() as connection:  # the sweep of the mount leaves uploads alone
        from schema.store import commands

        await commands.forget_stages(connection, tree.mount)
    assert await expire_uploads(front.app.state.front) == 1
    assert files(spool) == [other.rpartition("/")[2]]
    assert (await client.head(where, headers=V)).status_code == 410, "and after it"
    assert (await patch(client, other, 0, b"hello")).status_code == 204
    await age(pool, where)
    assert await expire_uploads(front.app.state.front) == 0
    assert (await client.head(where, headers=V)).status_code == 404, "forgotten, long after"


async def test_each_chunk_gives_more_time(client: httpx2.AsyncClient, tree: Tree, pool: Pool) -> None:
    where = await begin(client, tree, 10)
    async with pool.connection() as connection:
        await connection.execute(
            "UPDATE filestore.stages SET expires_at = now() + interval '1 minute' WHERE id = %s",
            [where.rpartition("/")[2]],
        )
    before = (await client.head(where, headers=V)).headers["upload-expires"]
    answer = await patch(client, where, 0, b"hello")
    assert answer.headers["upload-expires"] != before


async def test_files_without_an_upload_are_removed_when_they_are_old(
    front: Front, client: httpx2.AsyncClient, tree: Tree, spool: Path
) -> None:
    where = await begin(client, tree, 10)
    orphan, fresh, strange = spool / str(uuid.uuid4()), spool / str(uuid.uuid4()), spool / "notes.txt"
    for place in (orphan, fresh, strange):
        place.write_bytes(b"x")
    old = time.time() - 10 * 86400
    for place in (orphan, strange, spool / where.rpartition("/")[2]):
        os.utime(place, (old, old))
    await expire_uploads(front.app.state.front)
    assert files(spool) == sorted([fresh.name, "notes.txt", where.rpartition("/")[2]])


async def test_giving_up_frees_the_disk(front: Front, client: httpx2.AsyncClient, tree: Tree, spool: Path) -> None:
    where = await begin(client, tree, 10)
    assert (await patch(client, where, 0, b"hello")).status_code == 204
    answer = await client.delete(where, headers=V)
    assert (answer.status_code, answer.headers["tus-resumable"]) == (204, "1.0.0")
    assert files(spool) == []
    assert (await client.head(where, headers=V)).status_code == 410
    assert (await patch(client, where, 5, b"world")).status_code == 410
    assert (await client.delete(where, headers=V)).status_code == 410
    assert front.commands.submissions == []


# Several at once, and what only a connection shows


async def test_two_writers_never_mix(front: Front, client: httpx2.AsyncClient, tree: Tree) -> None:
    where = await begin(client, tree, 8 * chunks.PIECE)
    going, go = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"a" * 4 * chunks.PIECE
        going.set()
        await go.wait()
        yield b"a" * 4 * chunks.PIECE

    first = asyncio.create_task(patch(client, where, 0, slow()))
    await going.wait()
    second = await patch(client, where, 0, b"b" * chunks.PIECE)
    assert (second.status_code, code(second)) == (423, "PATH_BUSY") and int(second.headers["retry-after"])
    assert (await client.delete(where, headers=V)).status_code == 423
    assert (await client.head(where, headers=V)).headers["upload-offset"] == "0"
    go.set()
    assert (await first).status_code == 204
    assert content_of(front, tree) == b"a" * 8 * chunks.PIECE
    assert (await patch(client, where, 0, b"b")).status_code == 409


async def test_another_process_that_writes_is_not_disturbed(
    front: Front, client: httpx2.AsyncClient, tree: Tree, spool: Path
) -> None:
    where = await begin(client, tree, 10)
    held = area.find(str(spool), where.rpartition("/")[2])
    assert (await patch(client, where, 0, b"hello")).status_code == 423
    assert (await client.delete(where, headers=V)).status_code == 423
    held.close()
    assert (await patch(client, where, 0, b"hello")).status_code == 204


def head_of(front: Front, where: str, offset: int, length: int | None, **more: str) -> bytes:
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
    front: Front, client: httpx2.AsyncClient, tree: Tree, address: tuple[str, int], chunked: bool, abruptly: bool
) -> None:
    content = os.urandom(3_000_000)
    where = await begin(client, tree, len(content))
    line = await Line.open(address)
    sent = content[:2_500_000]
    await line.send(
        head_of(front, where, 0, None if chunked else len(content))
        + (b"%x\r\n%s\r\n" % (len(sent), sent) if chunked else sent)
    )
    await until(lambda: True)
    await asyncio.sleep(0.2)
    if abruptly:
        line.writer.transport.abort()
    else:
        line.close()
    await until(lambda: not front.app.state.front.turns.taken(where.rpartition("/")[2]))
    offset = await offset_of(client, where)
    assert offset == 2_500_000 or (abruptly and offset > 0)
    assert front.commands.submissions == [] and stages(tree) == []
    assert (await patch(client, where, offset, content[offset:])).status_code == 204
    assert content_of(front, tree) == content


async def test_a_broken_chunk_with_a_checksum_is_not_kept(
    front: Front, client: httpx2.AsyncClient, tree: Tree, address: tuple[str, int]
) -> None:
    where = await begin(client, tree, 3_000_000)
    line = await Line.open(address)
    await line.send(
        head_of(front, where, 0, 3_000_000, Upload_Checksum="sha1 " + base64.b64encode(b"x" * 20).decode())
        + b"x" * 2_500_000
    )
    await asyncio.sleep(0.2)
    line.close()
    await until(lambda: not front.app.state.front.turns.taken(where.rpartition("/")[2]))
    assert await offset_of(client, where) == 0


@pytest.mark.parametrize("by", ["HEAD", "PATCH"])
async def test_a_silent_connection_gives_way(
    front: Front,
    client: httpx2.AsyncClient,
    tree: Tree,
    address: tuple[str, int],
    monkeypatch: pytest.MonkeyPatch,
    by: str,
) -> None:
    monkeypatch.setattr(turns, "SILENT_SECONDS", 0.1)
    where = await begin(client, tree, 2_000_000)
    line = await Line.open(address)  # whose cable is cut: nothing comes any more, and no end either
    await line.send(head_of(front, where, 0, 2_000_000) + b"x" * 1_500_000)
    await asyncio.sleep(0.5)
    if by == "HEAD":
        assert await offset_of(client, where) == 1_500_000, "what it had sent counts"
    else:
        answer = await patch(client, where, 0, b"y" * 2_000_000)
        assert answer.status_code == 409 and answer.json()["error"]["details"]["offset"] == 1_500_000
    assert (await patch(client, where, 1_500_000, b"x" * 500_000)).status_code == 204
    assert front.commands.last.request.sha256 == hashlib.sha256(b"x" * 2_000_000).hexdigest()
    line.close()


async def test_a_good_chunk_is_asked_for(
    front: Front, client: httpx2.AsyncClient, tree: Tree, address: tuple[str, int]
) -> None:
    where = await begin(client, tree, 5)
    line = await Line.open(address)
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
    front: Front,
    client: httpx2.AsyncClient,
    tree: Tree,
    address: tuple[str, int],
    offset: int,
    length: int,
    headers: dict[str, str],
    status: bytes,
) -> None:
    where = await begin(client, tree, 5)
    line = await Line.open(address)
    head = head_of(front, where, offset, length, Expect="100-continue", **headers)
    if "Authorization" in headers:
        head = head.replace(front.tokens["write"].encode(), b"x", 1)
    await line.send(head)
    answer = await line.head()
    assert answer.startswith(b"HTTP/1.1 " + status) and b"connection: close" in answer
    line.close()
    assert await offset_of(client, where) == 0


# The published client


class Server:
    """The application of a test as a server of its own thread and loop, to be stopped and started again."""

    def __init__(self, database: str, settings: Any, tree: Tree) -> None:
        self.database, self.settings, self.tree = database, settings, tree
        self.commands: Any = None

    @contextmanager
    def running(self, port: int = 0) -> Iterator[int]:
        ready = threading.Event()
        holder: dict[str, Any] = {}

        async def main() -> None:
            from schema.store.pool import make_pool

            pool = make_pool(self.database, name="another-process", min_size=1, max_size=4)
            await pool.open()
            front = Front(pool)
            object.__setattr__(front.services, "settings", self.settings)
            if self.commands is not None:
                front.commands.submissions = self.commands.submissions
            self.commands = front.commands
            server = holder["server"] = uvicorn.Server(
                uvicorn.Config(
                    front.app,
                    port=port,
                    log_level="critical",
                    lifespan="off",
                    http="httptools",
                    ws="none",
                    timeout_graceful_shutdown=1,
                )
            )
            serving = asyncio.create_task(server._serve())
            while not server.started:  # noqa: ASYNC110  uvicorn has no event for it
                await asyncio.sleep(0.005)
            holder["port"] = server.servers[0].sockets[0].getsockname()[1]
            ready.set()
            await serving
            await pool.close()

        thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
        thread.start()
        assert ready.wait(10)
        try:
            yield holder["port"]
        finally:
            holder["server"].should_exit = holder["server"].force_exit = True
            thread.join(20)
            assert not thread.is_alive()


async def test_the_published_client_goes_on_after_the_server_was_stopped(
    front: Front, tree: Tree, api_database: str, spool: Path
) -> None:
    content = os.urandom(50 * 1024 * 1024)
    server = Server(api_database, front.services.settings, tree)

    def upload() -> None:
        with server.running() as port:
            client = TusClient(
                f"http://127.0.0.1:{port}/v1/uploads", headers={"Authorization": f"Bearer {front.tokens['write']}"}
            )
            told = {
                "backendMountId": str(tree.mount),
                "path": "big.bin",
                "filename": "big.bin",
                "filetype": "application/zip",
            }
            uploader = client.uploader(file_stream=io.BytesIO(content), chunk_size=7 * 1024 * 1024, metadata=told)
            uploader.upload(stop_at=21 * 1024 * 1024)
            url = uploader.url
        assert url is not None
        with pytest.raises((TusUploadFailed, TusCommunicationError, OSError)):
            uploader.upload_chunk()
        with server.running(port):
            later = client.uploader(
                file_stream=io.BytesIO(content), chunk_size=20 * 1024 * 1024, url=url, upload_checksum=True
            )
            assert later.offset == 21 * 1024 * 1024
            later.upload()
            assert later.get_offset() == len(content)

    await asyncio.to_thread(upload)
    submission = server.commands.submissions[-1]
    assert len(server.commands.submissions) == 1
    assert (tree.folder / ".filestore" / "stage" / submission.request.id).read_bytes() == content
    assert (submission.request.path, submission.request.mime_type) == ("big.bin", "application/zip")
    assert files(spool) == []


async def test_the_published_client_uploads_an_empty_file(front: Front, tree: Tree, address: tuple[str, int]) -> None:
    def upload() -> None:
        client = TusClient(
            f"http://{address[0]}:{address[1]}/v1/uploads", headers={"Authorization": f"Bearer {front.tokens['write']}"}
        )
        client.uploader(
            file_stream=io.BytesIO(b""), metadata={"backendMountId": str(tree.mount), "path": "empty"}
        ).upload()

    await asyncio.to_thread(upload)
    assert front.commands.last.content == b"" and front.commands.last.request.path == "empty"


async def test_rows_of_uploads_are_what_the_schema_allows(pool: Pool, tree: Tree) -> None:
    async with pool.connection() as connection:
        for state, received, expected in (("strange", 0, 1), ("open", 2, 1), ("open", -1, 1)):
            with pytest.raises(psycopg.errors.CheckViolation):
                await connection.execute(
                    "INSERT INTO filestore.stages (id, principal, upload_state, received, expected, expires_at)"
                    " VALUES (gen_random_uuid(), 'p', %s, %s, %s, now())",
                    [state, received, expected],
                )
        with pytest.raises(psycopg.errors.CheckViolation):
            await connection.execute(
                "INSERT INTO filestore.stages (id, principal, expires_at) VALUES (gen_random_uuid(), 'p', now())"
            )
