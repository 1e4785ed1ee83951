"""What the front makes of a request for a command: the Request that is handed over, key, fingerprint, conditions."""

import base64
import json
import uuid
from typing import Any

import httpx2
import pytest

from api.models import METADATA_MAX
from schema.commands import CommandKind, Status
from tests.api.conftest import Front, Tree, succeeded


async def mkdir(client: httpx2.AsyncClient, tree: Tree, path: Any = "a", **more: Any) -> httpx2.Response:
    headers = more.pop("headers", {})
    return await client.post(
        "/v1/directories", json={"backendMountId": tree.mount, "path": path, **more}, headers=headers
    )


async def test_a_directory(front: Front, client: httpx2.AsyncClient, tree: Tree) -> None:
    metadata = {"one": 1, "float": 1.0, "text": "1", "none": None, "big": 10**30, "nested": [{"é": True}]}
    answer = await mkdir(client, tree, "reports/2026", metadata=metadata, somethingNew=1)
    assert answer.status_code == 201
    submission = front.commands.last
    request = submission.request
    assert (request.kind, request.mount_id, request.path, request.path_b64) == (
        CommandKind.CREATE_DIRECTORY, tree.mount, "reports/2026", None,
    )  # fmt: skip
    assert request.has_metadata and submission.metadata == metadata
    assert type(submission.metadata["one"]) is int and type(submission.metadata["float"]) is float
    assert uuid.UUID(request.id).version == 7
    assert request.key is None and request.tenant == "main" and request.token_id > 0
    assert submission.content is None and submission.written is None and submission.wait_seconds is None
    assert answer.json()["data"]["commandId"] == request.id == answer.headers["x-filestore-command-id"]


async def test_deleting(front: Front, client: httpx2.AsyncClient, tree: Tree) -> None:
    body = {"backendMountId": tree.mount, "path": "a", "recursive": True}
    answer = await client.request("DELETE", "/v1/nodes", json=body, headers={"if-match": '"7"'})
    assert answer.status_code == 200
    request = front.commands.last.request
    assert (request.kind, request.recursive, request.if_version) == (CommandKind.DELETE, True, 7)


async def test_a_replayed_command_is_200_and_says_so(front: Front, client: httpx2.AsyncClient, tree: Tree) -> None:
    from dataclasses import replace

    front.commands.answers = lambda submission: replace(succeeded(submission, previousVersion=None), replayed=True)
    answer = await mkdir(client, tree)
    assert answer.status_code == 200
    assert answer.json()["data"]["idempotent"] is True
    upload = await client.post("/v1/files", data={"backendMountId": str(tree.mount), "path": "a"}, files={"file": b"x"})
    assert upload.status_code == 200 and upload.json()["data"]["idempotent"] is True


async def test_replaying_touches_no_metadata_that_looks_alike(
    front: Front, client: httpx2.AsyncClient, tree: Tree
) -> None:
    from schema.commands import Outcome

    body = '{"idempotent" : false, "node" : {"metadata": {"idempotent": false, "pi": 3.14159265358979323846264338}}}'
    front.commands.answers = lambda s: Outcome(s.request.id, Status.SUCCEEDED, body, replayed=True)
    answer = await mkdir(client, tree)
    assert answer.text == '{"data":' + body.replace('"idempotent" : false', '"idempotent":true', 1) + "}"


@pytest.mark.parametrize(
    ("headers", "body", "key"),
    [
        ({}, None, None),
        ({"idempotency-key": "h"}, None, "h"),
        ({"x-idempotency-key": "x"}, None, "x"),
        ({"idempotency-key": "h", "x-idempotency-key": "x"}, None, "h"),
        ({"idempotency-key": "h"}, "b", "b"),
        ({}, "é" * 255, "é" * 255),
        ({"idempotency-key": "k" * 255}, None, "k" * 255),
    ],
)
async def test_the_key_in_the_body_wins(
    front: Front, client: httpx2.AsyncClient, tree: Tree, headers: dict[str, str], body: str | None, key: str | None
) -> None:
    assert (await mkdir(client, tree, idempotencyKey=body, headers=headers)).status_code == 201
    assert front.commands.last.request.key == key


@pytest.mark.parametrize(
    ("header", "body"),
    [(b"", None), (b"k" * 256, None), (b"\xff", None), (b"a\tb", None),
     (None, ""), (None, "k" * 256), (None, "a\nb"), (None, "a\0b"), (None, 7)],
)  # fmt: skip
async def test_an_unusable_key_is_400(
    front: Front, client: httpx2.AsyncClient, tree: Tree, header: bytes | None, body: Any
) -> None:
    told = json.dumps({"backendMountId": tree.mount, "path": "a", "idempotencyKey": body}).encode()
    headers = [(b"idempotency-key", header)] if header is not None else []
    answer = await client.post("/v1/directories", content=told, headers=headers)
    assert answer.status_code == 400
    assert front.commands.submissions == []


@pytest.mark.parametrize(
    ("text", "version", "hash"),
    [
        ('"7"', 7, None), ("7", 7, None), ('"0"', 0, None), ("f" * 64, None, "f" * 64), (f'"{"A" * 64}"', None,
        "a" * 64),
        (f'"sha256:{"1" * 64}"', None, "1" * 64), (f"sha256:{'1' * 64}", None, "1" * 64),
    ],
)  # fmt: skip
async def test_if_match_names_a_version_or_a_hash(
    front: Front, client: httpx2.AsyncClient, tree: Tree, text: str, version: int | None, hash: str | None
) -> None:
    body = {"backendMountId": tree.mount, "path": "a"}
    assert (await client.request("DELETE", "/v1/nodes", json=body, headers={"if-match": text})).status_code == 200
    assert (front.commands.last.request.if_version, front.commands.last.request.if_hash) == (version, hash)


@pytest.mark.parametrize(
    "headers",
    [{"if-match": "*"}, {"if-match": 'W/"7"'}, {"if-match": '"7", "8"'}, {"if-match": "x"}, {"if-match": "-1"},
     {"if-match": "9" * 30}, {"if-none-match": '"7"'}],
)  # fmt: skip
async def test_a_condition_that_can_not_be_kept_is_400(
    client: httpx2.AsyncClient, tree: Tree, headers: dict[str, str]
) -> None:
    assert (await mkdir(client, tree, headers=headers)).status_code == 400


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [("respond-async", 0.0), ("wait=10", 10.0), ("wait=99999", 300.0), ("handling=lenient, wait=5", 5.0), ("x", None)],
)
async def test_a_client_may_prefer_not_to_wait(
    front: Front, client: httpx2.AsyncClient, tree: Tree, prefer: str, seconds: float | None
) -> None:
    await mkdir(client, tree, headers={"prefer": prefer})
    assert front.commands.last.wait_seconds == seconds


async def test_ids_of_request_and_trace_go_with_it(front: Front, client: httpx2.AsyncClient, tree: Tree) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    await mkdir(client, tree, headers={"x-request-id": "r-1", "traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    assert (front.commands.last.request.request_id, front.commands.last.request.trace_id) == ("r-1", trace)
    await mkdir(client, tree, headers={"traceparent": "nonsense"})
    assert front.commands.last.request.trace_id is None
    assert len(front.commands.last.request.request_id or "") == 16


async def fingerprints(front: Front, client: httpx2.AsyncClient, *bodies: dict[str, Any]) -> list[str | None]:
    for body in bodies:
        answer = await client.post("/v1/directories", json=body)
        assert answer.status_code == 201, answer.text
    return [submission.request.hash for submission in front.commands.submissions[-len(bodies) :]]


async def test_the_fingerprint_is_of_what_was_asked_for(front: Front, client: httpx2.AsyncClient, tree: Tree) -> None:
    base = {"backendMountId": tree.mount, "path": "a", "metadata": {"x": 1, "y": [1, 2]}}
    same = await fingerprints(
        front, client, base, {**base, "metadata": {"y": [1, 2], "x": 1}}, {**base, "path": "/a//"},
        {**base, "idempotencyKey": "k"}, {**base, "unknown": 1},
    )  # fmt: skip
    assert len(set(same)) == 1 and len(same[0] or "") == 64
    other = await fingerprints(
        front,
        client,
        {**base, "path": "b"},
        {**base, "metadata": {"x": "1", "y": [1, 2]}},
        {**base, "metadata": {"x": 1.0, "y": [1, 2]}},
        {**base, "metadata": {"x": 1, "y": [2, 1]}},
        {**base, "metadata": {}},
        {**base, "metadata": None},
    )
    assert len({*same, *other}) == 7


HOSTILE_BUT_LEGAL = [
    "a..b", "...", ".hidden", "-rf", " lead", "trail ", "a b", "tab\there", "line\nbreak", "a\r\nX: y", "\x1b[31m",
    "\x01",
    "‮txt", "zero​width", "CON", "a:b", "é", "e\u0301", "\U0001f600", "%2e%2e%2f", "%00", "'; DROP TABLE nodes; --",
    "a_b%", "x" * 255, "/".join(["d"] * 300),
]  # fmt: skip


@pytest.mark.parametrize("path", HOSTILE_BUT_LEGAL)
async def test_a_hostile_name_that_a_disk_can_hold_goes_through_as_it_is(
    front: Front, client: httpx2.AsyncClient, tree: Tree, path: str
) -> None:
    answer = await mkdir(client, tree, path)
    assert answer.status_code == 201, answer.text
    assert front.commands.last.request.path == path
    assert front.commands.last.request.node_path.raw == path.encode()
    by_path = await client.get("/v1/nodes/by-path", params={"backendMountId": tree.mount, "path": path})
    assert by_path.status_code == 404
    listed = await client.get("/v1/nodes", params={"backendMountId": tree.mount, "search": path[:200], "path": path})
    assert listed.status_code == 200


REFUSED = [
    ("", "INVALID_PATH"), ("/", "INVALID_PATH"), ("//", "INVALID_PATH"), (".", "INVALID_PATH"), ("..", "INVALID_PATH"),
    ("../x", "INVALID_PATH"), ("a/../b", "INVALID_PATH"), ("a/./b", "INVALID_PATH"), ("a\\b", "INVALID_PATH"),
    ("x" * 256, "INVALID_PATH"), ("é" * 128, "INVALID_PATH"), ("a/" * 2100 + "b", "INVALID_PATH"),
    (".filestore", "FORBIDDEN"), (".filestore/x", "FORBIDDEN"), ("/.filestore/trash", "FORBIDDEN"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "code"), REFUSED)
async def test_a_path_that_no_mount_can_hold_is_refused(
    front: Front, client: httpx2.AsyncClient, tree: Tree, path: str, code: str
) -> None:
    status = 403 if code == "FORBIDDEN" else 400
    body = {"backendMountId": tree.mount, "path": path}
    form = {"backendMountId": str(tree.mount), "path": path}
    for answer in (
        await client.post("/v1/directories", json=body),
        await client.request("DELETE", "/v1/nodes", json=body),
        await client.post("/v1/files", data=form, files={"file": b"x"}),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert front.commands.submissions == []


async def test_a_name_that_is_not_utf8_comes_as_base64(front: Front, client: httpx2.AsyncClient, tree: Tree) -> None:
    raw = b"dir/\xff\xfe.bin"
    told = base64.b64encode(raw).decode()
    assert (await mkdir(client, tree, "ignored", pathB64=told)).status_code == 201
    request = front.commands.last.request
    assert request.node_path.raw == raw and request.path_b64 == told and "�" in request.path
    for bad in ("!!", "YQ", "YQ==\n", "é", base64.b64encode(b"a\0b").decode(), base64.b64encode(b"../x").decode(), ""):
        assert (await mkdir(client, tree, "a", pathB64=bad)).status_code == 400, bad


BAD_BODIES = [
    b"", b" ", b"{", b"[]", b"null", b"1", b'"x"', b"{}", b'{"backendMountId":1}', b"\xff\xfe", b"\xef\xbb\xbf{}",
    b'{"backendMountId":"1","path":"a"}', b'{"backendMountId":1.5,"path":"a"}', b'{"backendMountId":true,"path":"a"}',
    b'{"backendMountId":0,"path":"a"}', b'{"backendMountId":-1,"path":"a"}', b'{"backendMountId":1e400,"path":"a"}',
    b'{"backendMountId":9223372036854775808,"path":"a"}', b'{"backendMountId":' + b"9" * 5000 + b',"path":"a"}',
    b'{"backendMountId":null,"path":"a"}', b'{"backendMountId":M,"path":1}', b'{"backendMountId":M,"path":["a"]}',
    b'{"backendMountId":M,"path":null}', b'{"backendMountId":M,"path":"a\\u0000b"}',
    b'{"backendMountId":M,"path":"\\ud800"}',
    b'{"backendMountId":M,"path":"\\udc00\\ud800"}', b'{"backendMountId":M,"path":"\xff"}',
    b'{"backendMountId":M,"path":"a",}',
    b'{"backendMountId":M,"path":"a","metadata":[]}', b'{"backendMountId":M,"path":"a","metadata":"{}"}',
    b'{"backendMountId":M,"path":"a","metadata":{"a":"\\u0000"}}',
    b'{"backendMountId":M,"path":"a","metadata":{"\\u0000":1}}',
    b'{"backendMountId":M,"path":"a","metadata":{"a":[{"b":"\\u0000"}]}}',
    b'{"backendMountId":M,"path":"a","metadata":{"a":"\\ud800"}}',
    b'{"backendMountId":M,"path":"a","metadata":{"a":NaN}}',
    b'{"backendMountId":M,"path":"a","metadata":{"a":Infinity}}',
    b'{"backendMountId":M,"path":"a","metadata":{"a":1e999}}',
    b'{"backendMountId":M,"path":"a","metadata":' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}",
    b'{"backendMountId":M,"path":"a","metadata":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
    b'{"backendMountId":M,"path":"a","recursive":"yes","metadata":{"a":' + b"1" * 5000 + b"}}",
]  # fmt: skip


@pytest.mark.parametrize("body", BAD_BODIES, ids=[str(n) for n in range(len(BAD_BODIES))])
async def test_a_malformed_body_is_400_with_the_field(
    front: Front, client: httpx2.AsyncClient, tree: Tree, body: bytes
) -> None:
    body = body.replace(b"M", str(tree.mount).encode())
    answer = await client.post("/v1/directories", content=body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["code"] in ("INVALID_REQUEST", "INVALID_PATH")
    if error["code"] == "INVALID_REQUEST":
        assert error["details"]["fields"][0]["message"]
    assert front.commands.submissions == []


async def test_a_wrong_type_is_named(client: httpx2.AsyncClient, tree: Tree) -> None:
    answer = await client.request(
        "DELETE", "/v1/nodes", json={"backendMountId": tree.mount, "path": "a", "recursive": "yes"}
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["details"]["fields"] == [
        {"field": "recursive", "message": "Input should be a valid boolean"}
    ]


async def test_too_large_is_413(client: httpx2.AsyncClient, tree: Tree) -> None:
    assert (await mkdir(client, tree, metadata={"a": "x" * (METADATA_MAX - 8)})).status_code == 201
    assert (await mkdir(client, tree, metadata={"a": "x" * METADATA_MAX})).status_code == 413
    assert (await mkdir(client, tree, metadata={"a": "x" * 2**21})).status_code == 413


async def test_an_unknown_mount_is_404(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/v1/directories", json={"backendMountId": 2**63 - 1, "path": "a"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "BACKEND_NOT_FOUND")
