"""What the front makes of a request for a command: the Request that is handed over, key, fingerprint, conditions."""

import base64
import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import httpx2
import pytest

from api.commands import fingerprint as sealing
from api.commands.fingerprint import fingerprint, spelled
from api.http.fields import DEPTH_MAX, METADATA_MAX
from schema.commands.command import Command, CommandKind, Status
from schema.ids import CommandId, MountId, NodeId
from tests.api.conftest import FrontOfTest, Tree, make_tree, succeeded


async def mkdir(client: httpx2.AsyncClient, tree: Tree, path: Any = "a", **more: Any) -> httpx2.Response:
    headers = more.pop("headers", {})
    return await client.post(
        "/v1/directories", json={"backendMountId": tree.mount, "path": path, **more}, headers=headers
    )


async def test_a_directory(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    metadata = {"one": 1, "float": 1.0, "text": "1", "none": None, "big": 2**53 - 1, "nested": [{"é": True}]}
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


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth - 1):
        value = [value]
    return {"a": value}


async def test_metadata_nests_so_deep_and_no_deeper(client: httpx2.AsyncClient, tree: Tree) -> None:
    assert (await mkdir(client, tree, metadata=nested(DEPTH_MAX))).status_code == 201
    deeper = await mkdir(client, tree, metadata=nested(DEPTH_MAX + 1))
    assert deeper.status_code == 400 and f"more than {DEPTH_MAX} levels" in deeper.text


@pytest.mark.parametrize("opened", ["[", '{"a":', '[{"a":'], ids=["lists", "objects", "both"])
async def test_a_body_of_brackets_alone_is_refused_whichever_route_reads_it(
    client: httpx2.AsyncClient, opened: str
) -> None:
    """Also where it stands in a field that no route knows."""
    for text in (opened * 100_000, '{"unknown":' + opened * 100_000):
        for method, path in (("POST", "/v1/directories"), ("POST", "/v1/operations"), ("POST", "/v1/commands")):
            answer = await client.request(method, path, content=text, headers={"content-type": "application/json"})
            assert answer.status_code == 400, (path, answer.text[:200])


async def test_deleting(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    body = {"backendMountId": tree.mount, "path": "a", "recursive": True}
    answer = await client.request("DELETE", "/v1/nodes", json=body, headers={"if-match": '"7"'})
    assert answer.status_code == 200
    request = front.commands.last.request
    assert (request.kind, request.recursive, request.if_version) == (CommandKind.DELETE, True, 7)


async def test_a_replayed_command_is_200_and_says_so(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    front.commands.answers = lambda submission: replace(succeeded(submission, previousVersion=None), replayed=True)
    answer = await mkdir(client, tree)
    assert answer.status_code == 200
    assert answer.json()["data"]["idempotent"] is True
    upload = await client.post("/v1/files", data={"backendMountId": str(tree.mount), "path": "a"}, files={"file": b"x"})
    assert upload.status_code == 200 and upload.json()["data"]["idempotent"] is True


async def test_replaying_touches_no_metadata_that_looks_alike(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    from schema.commands.payloads import Outcome

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
    front: FrontOfTest,
    client: httpx2.AsyncClient,
    tree: Tree,
    headers: dict[str, str],
    body: str | None,
    key: str | None,
) -> None:
    assert (await mkdir(client, tree, idempotencyKey=body, headers=headers)).status_code == 201
    assert front.commands.last.request.key == key


@pytest.mark.parametrize(
    ("header", "body"),
    [(b"", None), (b"k" * 256, None), (b"\xff", None), (b"a\tb", None),
     (None, ""), (None, "k" * 256), (None, "a\nb"), (None, "a\0b"), (None, 7)],
)  # fmt: skip
async def test_an_unusable_key_is_400(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, header: bytes | None, body: Any
) -> None:
    content = json.dumps({"backendMountId": tree.mount, "path": "a", "idempotencyKey": body}).encode()
    headers = [(b"idempotency-key", header)] if header is not None else []
    answer = await client.post("/v1/directories", content=content, headers=headers)
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
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, text: str, version: int | None, hash: str | None
) -> None:
    body = {"backendMountId": tree.mount, "path": "a"}
    assert (await client.request("DELETE", "/v1/nodes", json=body, headers={"if-match": text})).status_code == 200
    assert (front.commands.last.request.if_version, front.commands.last.request.if_hash) == (version, hash)


H = "ab" * 32
NONE: dict[str, Any] = {
    "if_version": None, "if_hash": None, "if_exists": False,
    "unless_version": None, "unless_hash": None, "must_be_new": False,
}  # fmt: skip
MATCH = [
    ("7", {"if_version": 7}), ('"7"', {"if_version": 7}), (' "7" ,', {"if_version": 7}), ("0", {"if_version": 0}),
    (H, {"if_hash": H}), (f'"{H}"', {"if_hash": H}), (f'"sha256:{H.upper()}"', {"if_hash": H}), ("*", {"if_exists": True}),
]  # fmt: skip
NONE_MATCH = [
    ("7", {"unless_version": 7}), ('W/"7"', {"unless_version": 7}), ('"0"', {"unless_version": 0}),
    (f'"{H}"', {"unless_hash": H}), (f'W/"sha256:{H}"', {"unless_hash": H}), ("*", {"must_be_new": True}),
]  # fmt: skip


async def conditions_of(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, **sent: Any) -> dict[str, Any]:
    move = {"backendMountId": tree.mount, "path": "a", "targetPath": "b", **sent.get("body", {})}
    answer = await client.post("/v1/nodes/move", json=move, headers=sent.get("headers"))
    assert answer.status_code == 200, answer.text
    return {name: getattr(front.commands.last.request, name) for name in NONE}


@pytest.mark.parametrize(("text", "condition"), MATCH)
async def test_if_match(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, text: str, condition: dict[str, Any]
) -> None:
    assert await conditions_of(front, client, tree, headers={"if-match": text}) == NONE | condition
    assert await conditions_of(front, client, tree, body={"ifMatch": text}) == NONE | condition


@pytest.mark.parametrize(("text", "condition"), NONE_MATCH)
async def test_if_none_match(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, text: str, condition: dict[str, Any]
) -> None:
    assert await conditions_of(front, client, tree, headers={"if-none-match": text}) == NONE | condition
    assert await conditions_of(front, client, tree, body={"ifNoneMatch": text}) == NONE | condition


async def test_conditions_add_up_and_those_of_the_body_win(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    both = {"if-match": "7", "if-none-match": "*"}
    conditions = await conditions_of(front, client, tree, headers=both)
    assert conditions == NONE | {"if_version": 7, "must_be_new": True}
    conditions = await conditions_of(front, client, tree, headers=both, body={"ifMatch": H, "ifNoneMatch": 0})
    assert conditions == NONE | {"if_hash": H, "unless_version": 0}
    assert await conditions_of(front, client, tree, headers=both, body={"ifMatch": "*"}) == NONE | {
        "if_exists": True, "must_be_new": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["", "x", "-1", "9" * 30, '"7', '7"', '"x"', "7.0", '"1.2"', H[1:], f"md5:{H}", '""', "W/7", "**", ",", "\u0667"],
)
@pytest.mark.parametrize("name", ["if-match", "if-none-match"])
async def test_a_condition_that_is_not_one_is_400(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, name: str, text: str
) -> None:
    for headers, body in (([(name.encode(), text.encode())], {}), ([], {NAMES_IN_BODIES[name]: text})):
        move = {"backendMountId": tree.mount, "path": "a", "targetPath": "b", **body}
        answer = await client.post("/v1/nodes/move", json=move, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST")
    assert front.commands.submissions == []


NAMES_IN_BODIES = {"if-match": "ifMatch", "if-none-match": "ifNoneMatch"}


@pytest.mark.parametrize("name", ["if-match", "if-none-match"])
async def test_one_tag_is_all_that_a_condition_names(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, name: str
) -> None:
    body = {"backendMountId": tree.mount, "path": "a"}
    for headers in ([(name, '"7", "8"')], [(name, "7"), (name, "8")], [(name, '*, "7"')]):
        answer = await client.post("/v1/directories", json=body, headers=headers)
        assert answer.status_code == 400 and "takes one" in answer.json()["error"]["message"]
    assert front.commands.submissions == []


async def test_a_weak_tag_never_matches_if_match(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    """RFC 9110, 13.1.1: a strong comparison, which a weak tag can not pass."""
    body = {"backendMountId": tree.mount, "path": "a"}
    for tag in ('W/"7"', f'W/"{H}"', 'W/"12.3"', 'W/"x"'):
        answer = await client.request("DELETE", "/v1/nodes", json=body, headers={"if-match": tag})
        assert (answer.status_code, answer.json()["error"]["code"]) == (412, "VERSION_CONFLICT")
    assert front.commands.submissions == []


@pytest.mark.parametrize("value", [True, 7.5, -1, [], {}, ["7"], "x" * 1001])
@pytest.mark.parametrize("name", ["ifMatch", "ifNoneMatch"])
async def test_a_condition_in_a_body_is_a_text_or_a_version(
    client: httpx2.AsyncClient, tree: Tree, name: str, value: Any
) -> None:
    assert (await mkdir(client, tree, **{name: value})).status_code == 400


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("respond-async", 0.0), ("wait=10", 10.0), ("wait=99999", 300.0), ("handling=lenient, wait=5", 5.0), ("x", None),
        ('Wait="10"', 10.0), ("respond-async, wait=10", 10.0), ("respond-async; x=1", 0.0), ("not-respond-async", None),
        ("wait=soon", None), ("await=5", None), ("wait=-1", None), ("", None),
    ],
)  # fmt: skip
async def test_a_client_may_prefer_not_to_wait(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, prefer: str, seconds: float | None
) -> None:
    await mkdir(client, tree, headers={"prefer": prefer})
    assert front.commands.last.wait_seconds == seconds


async def test_how_long_to_wait_can_stand_in_the_address(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    body = {"backendMountId": tree.mount, "path": "a"}
    for query, prefer, seconds in (("7", "respond-async", 7.0), ("0", "wait=9", 0.0), ("99999", "", 300.0)):
        await client.post("/v1/directories", params={"wait": query}, json=body, headers={"prefer": prefer})
        assert front.commands.last.wait_seconds == seconds
    for query in ("", "x", "-1", "1.5", "\u0667", "9" * 10):
        answer = await client.post("/v1/directories", params={"wait": query}, json=body)
        assert answer.status_code == 400 and answer.json()["error"]["details"]["fields"][0]["field"] == "wait"


async def test_preferences_add_up_over_several_headers(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    body = {"backendMountId": tree.mount, "path": "a"}
    await client.post("/v1/directories", json=body, headers=[("prefer", "respond-async"), ("prefer", "wait=3")])
    assert front.commands.last.wait_seconds == 3.0


async def test_ids_of_request_and_trace_go_with_it(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    await mkdir(client, tree, headers={"x-request-id": "r-1", "traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    assert (front.commands.last.request.request_id, front.commands.last.request.trace_id) == ("r-1", trace)
    await mkdir(client, tree, headers={"traceparent": "nonsense"})
    assert front.commands.last.request.trace_id is None
    assert len(front.commands.last.request.request_id or "") == 16


async def test_the_name_of_a_piece_of_work_goes_with_its_commands(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    for name in ("import 7", "~" * 255):
        await mkdir(client, tree, headers={"x-correlation-id": name})
        assert front.commands.last.request.correlation_id == name
    await mkdir(client, tree)
    assert front.commands.last.request.correlation_id is None


@pytest.mark.parametrize("names", [[""], ["c" * 256], ["a\tb"], ["\xe9"], ["a", "b"]])
async def test_a_name_that_is_no_name_of_a_piece_of_work_is_refused(
    client: httpx2.AsyncClient, tree: Tree, names: list[str]
) -> None:
    sent = [(b"x-correlation-id", name.encode("latin-1")) for name in names]
    answer = await client.post("/v1/directories", json={"backendMountId": tree.mount, "path": "a"}, headers=sent)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST")
    assert "X-Correlation-Id" in answer.json()["error"]["message"]


async def test_the_name_of_a_piece_of_work_is_no_part_of_what_is_asked_for(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    found = []
    for name in ("one", "two"):
        await mkdir(client, tree, headers={"x-correlation-id": name})
        found.append(front.commands.last.request.hash)
    assert found[0] == found[1]


async def fingerprints(front: FrontOfTest, client: httpx2.AsyncClient, *bodies: dict[str, Any]) -> list[str | None]:
    for body in bodies:
        answer = await client.post("/v1/directories", json=body)
        assert answer.status_code == 201, answer.text
    return [submission.request.hash for submission in front.commands.submissions[-len(bodies) :]]


async def test_the_fingerprint_is_of_what_was_asked_for(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
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


async def test_everything_a_command_can_ask_for_is_in_its_fingerprint(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, tmp_path: Path
) -> None:
    other = await make_tree(tree.pool, tmp_path / "other")
    base = {"backendMountId": tree.mount, "path": "a", "targetPath": "b"}
    asked: list[dict[str, Any]] = [
        base, {**base, "path": "c"}, {**base, "targetPath": "c"}, {**base, "targetPathB64": "/w=="},
        {**base, "targetBackendMountId": other.mount}, {**base, "overwrite": True}, {**base, "ifMatch": "*"},
        {**base, "ifMatch": 7}, {**base, "ifMatch": H}, {**base, "ifNoneMatch": "*"}, {**base, "ifNoneMatch": 7},
        {**base, "ifNoneMatch": 0}, {**base, "ifNoneMatch": H},
    ]  # fmt: skip
    for body in asked:
        for route in ("/v1/nodes/move", "/v1/nodes/copy"):
            assert (await client.post(route, json=body)).is_success
    hashes = [submission.request.hash for submission in front.commands.submissions]
    assert len(set(hashes)) == len(hashes) == 2 * len(asked)
    for same in (
        {**base, "targetBackendMountId": tree.mount},
        {**base, "targetPath": "//b/"},
        {**base, "overwrite": False},
    ):
        assert (await client.post("/v1/nodes/move", json=same)).status_code == 200
        assert front.commands.last.request.hash == hashes[0]
        assert front.commands.last.request.target_mount_id is None


def test_what_an_earlier_release_stored_under_a_key_still_compares_equal() -> None:
    """Fingerprints lie in the database: that of a request which says nothing new must stay what it was."""
    request = Command(
        id=CommandId("0"), kind=CommandKind.DELETE, mount_id=MountId(7), path="reports/2025", tenant="main", principal="ann",
        token_id=1, recursive=True, if_version=3, key="k", request_id="r", node_id=NodeId(9),
    )  # fmt: skip
    assert fingerprint(request, "") == "256cc81063afdcb028bb049bd4a592f7c622bec8b8f2c7a39f159489c8f1bd57"
    made = replace(request, kind=CommandKind.CREATE_DIRECTORY, recursive=False, if_version=None)
    assert (
        fingerprint(made, spelled({"owner": "é", "n": 1}))
        == "df359801bbc1652046ac884d6988171fd977cf0bf2ab3bdc2c74f47560e6b9c0"
    )


def test_the_metadata_of_an_upload_is_written_out_once_for_both_of_its_fingerprints(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = Mock(wraps=sealing._sorted)
    monkeypatch.setattr(sealing, "_sorted", written)
    upload = Command(
        id=CommandId("0"), kind=CommandKind.UPLOAD, mount_id=MountId(7), path="a", tenant="main", principal="ann",
        token_id=1, sha256=H, has_metadata=True,
    )  # fmt: skip
    made = sealing.sealed(upload, sealing.spelled({"owner": "ann"}))
    written.assert_called_once()
    assert made.head == sealing.headed(upload, '{"owner":"ann"}').head != made.hash


HOSTILE_BUT_LEGAL = [
    "a..b", "...", ".hidden", "-rf", " lead", "trail ", "a b", "tab\there", "line\nbreak", "a\r\nX: y", "\x1b[31m",
    "\x01",
    "‮txt", "zero​width", "CON", "a:b", "é", "e\u0301", "\U0001f600", "%2e%2e%2f", "%00", "'; DROP TABLE nodes; --",
    "a_b%", "x" * 255, "/".join(["d"] * 300),
]  # fmt: skip


@pytest.mark.parametrize("path", HOSTILE_BUT_LEGAL)
async def test_a_hostile_name_that_a_disk_can_hold_goes_through_as_it_is(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, path: str
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
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, path: str, code: str
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


async def test_a_name_that_is_not_utf8_comes_as_base64(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    raw = b"dir/\xff\xfe.bin"
    encoded = base64.b64encode(raw).decode()
    assert (await mkdir(client, tree, "ignored", pathB64=encoded)).status_code == 201
    request = front.commands.last.request
    assert request.node_path.raw == raw and request.path_b64 == encoded and "�" in request.path
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
    b'{"backendMountId":M,"path":"a","metadata":{"a":18446744073709551616}}',
    b'{"backendMountId":M,"path":"a","metadata":{"a":[{"b":1e20}]}}',
    b'{"backendMountId":M,"path":"a","metadata":' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}",
    b'{"backendMountId":M,"path":"a","metadata":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
    b'{"backendMountId":M,"path":"a","recursive":"yes","metadata":{"a":' + b"1" * 5000 + b"}}",
]  # fmt: skip


@pytest.mark.parametrize("body", BAD_BODIES, ids=[str(n) for n in range(len(BAD_BODIES))])
async def test_a_malformed_body_is_400_with_the_field(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, body: bytes
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
