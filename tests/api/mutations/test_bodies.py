"""What is refused before a command is tried: bodies, metadata, rights."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.commands import parse as submissions
from api.commands.catalogue import KINDS
from api.http.fields import METADATA_MAX
from schema.commands.command import CommandKind
from tests.api.conftest import FrontOfTest, Tree, make_tree
from tests.api.mutations.helpers import EVERY, TAKES, describe

WRONG_VALUES: dict[str, list[Any]] = {
    "backendMountId": [None, "1", 1.5, True, 0, -1, 2**63, [1]],
    "path": [1, ["a"], {}, "a\0b", True],
    "pathB64": [1, [], "\0"],
    "targetPath": [1, ["a"], {}, "a\0b", True],
    "targetPathB64": [1, [], "\0"],
    "targetBackendMountId": ["1", 1.5, True, 0, -1, 2**63],
    "overwrite": ["yes", 1, None, []],
    "recursive": ["yes", 1, None, []],
    "idempotencyKey": ["", "k" * 256, "a\nb", "a\0b", 7],
    "nodeId": ["1", 1.5, True, 0, -1, 2**63],
    "version": ["1", 1.5, True, 0, -1, 2**63],
    "set": [[], "{}", 1, {"a": "\0"}, {"\0": 1}, {"a": [{"b": "\0"}]}],
    "unset": [{}, "a", [1], [None], ["\0"], [["a"]]],
}


WRONG = [(name, {name: value}) for name, values in WRONG_VALUES.items() for value in values]


@pytest.mark.parametrize(("name", "wrong"), WRONG, ids=lambda value: ascii(value)[:40])
async def test_a_wrong_type_is_named(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, name: str, wrong: dict[str, Any]
) -> None:
    for kind in KINDS:
        if name not in TAKES[kind.name] | {"backendMountId", "idempotencyKey"}:
            continue
        named = {} if name == "nodeId" else {"path": "a"}
        body = {"backendMountId": tree.mount, "targetPath": "b", **named, **wrong}
        answer = await client.post(f"/v1/commands/{kind.name}", content=json.dumps(body).encode())
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST"), (
            kind.name,
            answer.text,
        )
        assert answer.json()["error"]["details"]["fields"][0]["field"].split(".")[0] == name
    assert front.commands.submissions == []


async def test_what_one_command_takes_another_ignores(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    every_field = set[str]().union(*TAKES.values())
    for kind in KINDS:
        strange = {key: {"strange": [1]} for key in every_field - TAKES[kind.name]}
        needed = {"version": 1} if kind.kind is CommandKind.RESTORE else {"targetPath": "b"}
        body = {"backendMountId": tree.mount, "path": "a", **needed, **strange}
        assert (await client.post(f"/v1/commands/{kind.name}", json=body)).is_success, kind.name
    assert len(front.commands.submissions) == len(KINDS)


BROKEN = [
    b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe", b'{"backendMountId":' + b"9" * 5000 + b"}",
    b'{"backendMountId":M,"path":"\\ud800"}', b'{"backendMountId":M,"path":"\\udc00\\ud800"}',
    b'{"backendMountId":M,"path":"\xff"}', b'{"backendMountId":M,"path":"a",}', b'{"backendMountId":M,"path":"a\\u0000b"}',
]  # fmt: skip


@pytest.mark.parametrize("body", BROKEN, ids=[str(n) for n in range(len(BROKEN))])
async def test_a_malformed_body_is_400(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, body: bytes) -> None:
    sent = body.replace(b"M", str(tree.mount).encode())
    at_target = sent.replace(b'"path"', b'"path":"a","targetPath"')
    relocations = [f"/v1/{where}" for where in ("nodes/move", "nodes/copy", "commands/move", "commands/copy")]
    asked = [(f"/v1/commands/{kind.name}", sent) for kind in KINDS]
    asked += [(path, content) for path in relocations for content in (sent, at_target)]
    for path, content in asked:
        answer = await client.post(path, content=content)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST"), (path, content)
    assert front.commands.submissions == []


@pytest.mark.parametrize(
    "text",
    [
        rb'"\ud800"',
        rb'{"\ud800":1}',
        b"NaN",
        b"Infinity",
        b"1e999",
        b"1e20",
        b"18446744073709551616",
        b"-9007199254740992",
        b"[" * 5000 + b"]" * 5000,
    ],
)
async def test_metadata_that_no_database_can_hold(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, text: bytes
) -> None:
    node = await tree.file("a")
    for method, path, named in (
        ("PATCH", f"/v1/nodes/{node}/metadata", b""),
        ("POST", "/v1/commands/update-metadata", b'"path":"a",'),
    ):
        body = b'{"backendMountId":%d,%s"set":{"a":%s}}' % (tree.mount, named, text)
        answer = await client.request(method, path, content=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST")
    assert front.commands.submissions == []


async def test_a_key_is_set_or_unset(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    node = await tree.file("a")
    answer = await describe(client, tree, node, set={"a": 1, "b": 2}, unset=["c", "b"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST")
    assert answer.json()["error"]["details"] == {"keys": ["b"]}
    assert front.commands.submissions == []


async def test_too_much_metadata_is_413(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    node = await tree.file("a")
    frame = len(json.dumps({"set": {"a": ""}, "unset": []}, separators=(",", ":")))
    assert (await describe(client, tree, node, set={"a": "x" * (METADATA_MAX - frame)})).status_code == 200
    assert (await describe(client, tree, node, set={"a": "x" * (METADATA_MAX - frame + 1)})).status_code == 413
    assert (await describe(client, tree, node, unset=["x" * 1000] * 300)).status_code == 413
    assert len(front.commands.submissions) == 1


async def test_who_may_only_read_changes_nothing(front: FrontOfTest, tree: Tree) -> None:
    node = await tree.file("a")
    body = {"backendMountId": tree.mount, "path": "a", "targetPath": "b"}
    async with front.client(front.tokens["read"]) as reader, front.client() as anonymous:
        for method, path in [*EVERY, ("POST", "/v1/commands"), ("POST", "/v1/commands/nonsense")]:
            address = path.replace("{node}", str(node))
            answer = await reader.request(method, address, json=body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "MISSING_SCOPE"), (method, path)
            assert (await anonymous.request(method, address, json=body)).status_code == 401
    assert front.commands.submissions == []


async def test_both_ends_are_authorised(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a token may do with a path is asked in this one place: it has to hear of every one."""
    asked: list[Any] = []
    monkeypatch.setattr(
        submissions, "authorise", lambda _, action, mount, path: asked.append((action, mount, path.text))
    )
    other = await make_tree(tree.pool, tmp_path / "other")
    node = await tree.file("f")
    gone = await tree.file("gone", state="deleted", deleted_at="2026-01-01Z")
    ends = {"backendMountId": tree.mount, "targetBackendMountId": other.mount, "path": "a", "targetPath": "b"}
    one = {"backendMountId": tree.mount}
    here, there = tree.mount, other.mount
    for name, body, expected in (
        ("move", ends, [("move", here, "a"), ("write", there, "b")]),
        ("copy", ends, [("read", here, "a"), ("write", there, "b")]),
        ("delete", ends, [("delete", here, "a")]),
        ("create-directory", ends, [("write", here, "a")]),
        ("update-metadata", one | {"path": "a"}, [("describe", here, "a")]),
        ("update-metadata", one | {"nodeId": node}, [("describe", here, "f")]),
        ("restore", one | {"nodeId": gone}, [("restore", here, "gone")]),
        ("restore", one | {"path": "gone", "targetPath": "b"}, [("restore", here, "gone"), ("restore", here, "b")]),
        ("restore", one | {"nodeId": node, "version": 1}, [("restore", here, "f")]),
    ):
        asked.clear()
        assert (await client.post(f"/v1/commands/{name}", json=body)).is_success
        assert asked == expected, name


OPERATION = "01993d5e-7c1a-7000-8000-0123456789ab"


async def test_no_body_is_an_empty_one(front: FrontOfTest) -> None:
    async with front.client(front.tokens["admin"]) as client:
        for act in ("apply", "pause", "resume", "cancel", "retry", "undo"):
            answer = await client.post(f"/v1/operations/{OPERATION}/{act}")
            assert answer.json()["error"]["code"] == "NOT_FOUND", act
        answer = await client.post("/v1/directories")
        fields = [one["field"] for one in answer.json()["error"]["details"]["fields"]]
        assert answer.json()["error"]["code"] == "INVALID_REQUEST" and "backendMountId" in fields


MISSPELT: list[tuple[str, str, dict[str, Any]]] = [
    ("/v1/freeze", "scope.path", {"scope": {"backendMountId": 1, "path": "a"}, "reason": "r"}),
    ("/v1/operations", "selection.includes", {"kind": "delete", "path": "a", "selection": {"includes": ["*.tmp"]}}),
    ("/v1/operations", "selection.tenant", {"kind": "undo", "selection": {"tenant": "a"}}),
    ("/v1/operations/cancel", "selection.mount", {"selection": {"mount": 1, "path": "a"}, "reason": "r"}),
    ("/v1/drift/decide", "selection.prefix", {"selection": {"backendMountId": 1, "prefix": "a"}, "decision": "accept"}),
    ("/v1/tokens", "grants.0.path", {"principal": "p", "scopes": ["read"], "grants": [{"path": "a"}]}),
    ("/v1/subscriptions", "filter.prefix", {"url": "https://example.com", "filter": {"prefix": "a"}}),
]


@pytest.mark.parametrize(("address", "field", "body"), MISSPELT, ids=[field for _, field, _ in MISSPELT])
async def test_a_condition_that_is_unknown_is_refused_and_not_left_out(
    front: FrontOfTest, tree: Tree, address: str, field: str, body: dict[str, Any]
) -> None:
    """Without it the request would take more than was meant."""
    async with front.client(front.tokens["admin"]) as client:
        answer = await client.post(address, json={"backendMountId": tree.mount, **body})
        assert answer.status_code == 400, answer.text
        fields = [one["field"] for one in answer.json()["error"]["details"]["fields"]]
        assert [one for one in fields if one.endswith(field.rpartition(".")[2])], fields
