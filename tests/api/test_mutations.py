"""Commands on nodes: what each route hands over, field by field, and what it refuses before anybody tries."""

import base64
import json
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.commands import parse as submissions
from api.commands.catalogue import KINDS
from api.http.fields import METADATA_MAX
from schema.commands.command import Command, CommandKind, Status
from tests.api.conftest import FrontOfTest, Tree, failed, make_tree, pends, succeeded
from tests.api.test_commands_in import HOSTILE_BUT_LEGAL, REFUSED
from tests.api.test_journal import command as command_row

SAME = {"id", "tenant", "principal", "token_id", "request_id", "hash"}
"""Fields that every command has; the others are those it was asked for."""
EMPTY = {field.name: field.default for field in fields(Command)}


def said(request: Command) -> dict[str, Any]:
    """What is particular to this request."""
    told = {name: getattr(request, name) for name in EMPTY if name not in SAME}
    return {name: value for name, value in told.items() if value != EMPTY[name]}


Call = tuple[str, str]
ADDRESSES: dict[CommandKind, Call] = {
    CommandKind.CREATE_DIRECTORY: ("POST", "/v1/directories"),
    CommandKind.DELETE: ("DELETE", "/v1/nodes"),
    CommandKind.MOVE: ("POST", "/v1/nodes/move"),
    CommandKind.COPY: ("POST", "/v1/nodes/copy"),
    CommandKind.RESTORE: ("POST", "/v1/nodes/restore"),
}
RELOCATIONS = [CommandKind.MOVE, CommandKind.COPY]
EVERY = [
    *ADDRESSES.values(), ("PATCH", "/v1/nodes/{node}/metadata"),
    *(("POST", f"/v1/commands/{kind.name}") for kind in KINDS),
]  # fmt: skip


def both_addresses(kind: CommandKind) -> list[Call]:
    name = next(one.name for one in KINDS if one.kind is kind)
    return [ADDRESSES[kind], ("POST", f"/v1/commands/{name}")]


def ask(client: httpx2.AsyncClient, call: Call, body: dict[str, Any], **options: Any) -> Any:
    return client.request(call[0], call[1], json=body, **options)


# What is handed over


@pytest.mark.parametrize("kind", RELOCATIONS)
async def test_moving_and_copying(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, kind: CommandKind, tmp_path: Path
) -> None:
    other = await make_tree(tree.pool, tmp_path / "other")
    for call in both_addresses(kind):
        body = {
            "backendMountId": tree.mount,
            "path": "a/b",
            "targetPath": "/c//d/",
            "idempotencyKey": "k",
            "unknown": 1,
        }
        answer = await ask(client, call, body)
        assert answer.status_code == (200 if kind is CommandKind.MOVE else 201)
        asked = {"kind": kind, "mount_id": tree.mount, "path": "a/b", "target": "c/d", "key": "k"}
        assert said(front.commands.last.request) == asked
        assert front.commands.last.metadata is None and front.commands.last.wait_seconds is None
        assert answer.json()["data"]["result"]["commandType"] == kind

        body |= {"targetBackendMountId": other.mount, "overwrite": True}
        assert (await ask(client, call, body)).is_success
        assert said(front.commands.last.request) == asked | {"target_mount_id": other.mount, "overwrite": True}


async def test_a_copy_is_201_unless_it_took_the_place_of_something(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    body = {"backendMountId": tree.mount, "path": "a", "targetPath": "b", "overwrite": True}
    for result, replayed, status in (({}, False, 201), ({"previousVersion": None}, False, 201),
                                     ({"previousVersion": 3}, False, 200), ({}, True, 200)):  # fmt: skip
        front.commands.answers = lambda s, r=result, p=replayed: replace(succeeded(s, **r), replayed=p)  # type: ignore[misc]
        for call in both_addresses(CommandKind.COPY):
            answer = await ask(client, call, body)
            assert answer.status_code == status
            assert answer.json()["data"]["idempotent"] is replayed
    # Metadata that looks like it means nothing.
    front.commands.answers = lambda s: succeeded(s, metadata={"previousVersion": 3}, previousVersion=None)
    assert (await ask(client, ADDRESSES[CommandKind.COPY], body)).status_code == 201


async def test_deleting_with_everything_below(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    for call in both_addresses(CommandKind.DELETE):
        answer = await ask(client, call, {"backendMountId": tree.mount, "path": "a", "recursive": True})
        assert answer.status_code == 200
        assert said(front.commands.last.request) == {
            "kind": CommandKind.DELETE, "mount_id": tree.mount, "path": "a", "recursive": True,
        }  # fmt: skip


async def test_a_directory_by_the_name_of_its_command(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    body = {"backendMountId": tree.mount, "path": "a", "metadata": {"n": 1}}
    for call in both_addresses(CommandKind.CREATE_DIRECTORY):
        assert (await ask(client, call, body)).status_code == 201
        assert front.commands.last.metadata == {"n": 1}
        assert said(front.commands.last.request) == {
            "kind": CommandKind.CREATE_DIRECTORY, "mount_id": tree.mount, "path": "a", "has_metadata": True,
        }  # fmt: skip


@pytest.mark.parametrize("kind", RELOCATIONS)
async def test_paths_that_are_not_utf8(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, kind: CommandKind
) -> None:
    source, target = b"\xff", b"d/\xfe"
    body = {
        "backendMountId": tree.mount, "path": "ignored", "pathB64": base64.b64encode(source).decode(),
        "targetPath": "ignored", "targetPathB64": base64.b64encode(target).decode(),
    }  # fmt: skip
    for call in both_addresses(kind):
        assert (await ask(client, call, body)).is_success
        request = front.commands.last.request
        assert request.node_path.raw == source and request.appears_at.raw == target
    for bad in ("!!", "YQ", "", base64.b64encode(b"a\0b").decode(), base64.b64encode(b"../x").decode()):
        answer = await ask(client, ADDRESSES[kind], body | {"targetPathB64": bad})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_PATH"), bad
        assert answer.json()["error"]["details"] == {"field": "targetPath"}


async def describe(client: httpx2.AsyncClient, tree: Tree, node: int, **body: Any) -> httpx2.Response:
    headers = body.pop("headers", {})
    told = {"backendMountId": tree.mount, **body}
    return await client.patch(f"/v1/nodes/{node}/metadata", json=told, headers=headers)


async def test_metadata(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    await tree.directory("d")
    node = await tree.file("d/f")
    changes = {
        "set": {"one": 1, "float": 1.0, "text": "1", "none": None, "nested": [{"é": True}]},
        "unset": ["a", "b", "a"],
    }
    asked = {"kind": CommandKind.DESCRIBE, "mount_id": tree.mount, "path": "d/f", "has_metadata": True}
    # Node and path belong to the address here: in the body they are unknown fields.
    answer = await describe(client, tree, node, **changes, headers={"if-match": "7"}, nodeId="x", path=9)
    assert answer.status_code == 200, answer.text
    assert said(front.commands.last.request) == asked | {"node_id": node, "if_version": 7}
    assert front.commands.last.metadata == changes
    given = (front.commands.last.metadata or {})["set"]
    assert type(given["one"]) is int and type(given["float"]) is float

    body = {"backendMountId": tree.mount, **changes}
    for named, more in (({"nodeId": node}, {"node_id": node}), ({"path": "d/f"}, {})):
        answer = await client.post("/v1/commands/update-metadata", json=body | named)
        assert answer.status_code == 200, answer.text
        assert said(front.commands.last.request) == asked | more
        assert front.commands.last.metadata == changes


async def test_metadata_of_a_node_whose_name_is_not_utf8(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    node = await tree.file(b"\xff\xfe")
    assert (await describe(client, tree, node, set={"a": 1})).status_code == 200
    assert front.commands.last.request.node_path.raw == b"\xff\xfe"


async def test_metadata_with_nothing_to_change(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    node = await tree.file("f")
    bodies: list[dict[str, Any]] = [{}, {"set": {}, "unset": []}, {"set": None, "unset": None}]
    for body in bodies:
        assert (await describe(client, tree, node, **body)).status_code == 200
        assert front.commands.last.metadata == {"set": {}, "unset": []}


async def test_restoring_a_deleted_node(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    await tree.file("a", state="deleted", deleted_at="2026-01-01Z")
    latest = await tree.file("a", state="deleted", deleted_at="2026-01-02Z")
    living = await tree.file("a")
    base = {"backendMountId": tree.mount}
    asked = {"kind": CommandKind.RESTORE, "mount_id": tree.mount, "path": "a", "node_id": latest}
    for call in both_addresses(CommandKind.RESTORE):
        for named in ({"nodeId": latest}, {"path": "a"}, {"pathB64": "YQ=="}):
            assert (await ask(client, call, base | named)).status_code == 200
            assert said(front.commands.last.request) == asked
            assert (await ask(client, call, base | named | {"targetPath": "d/b"})).status_code == 200
            assert said(front.commands.last.request) == asked | {"target": "d/b"}
            b64 = {"targetPathB64": base64.b64encode(b"\xff").decode()}
            assert (await ask(client, call, base | named | b64)).status_code == 200
            assert front.commands.last.request.appears_at.raw == b"\xff"
    # What is not deleted is for the record to refuse: under its key it may have been restored a moment ago.
    assert (await ask(client, call, base | {"nodeId": living})).status_code == 200
    assert front.commands.last.request.node_id == living


async def test_restoring_what_lives_already_is_for_the_record_to_refuse(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    living = await tree.file("b")
    answer = await client.post("/v1/nodes/restore", json={"backendMountId": tree.mount, "path": "b"})
    assert answer.status_code == 200 and front.commands.last.request.node_id == living


async def test_restoring_older_content(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    node = await tree.file("a")
    base = {"backendMountId": tree.mount, "version": 2}
    asked = {"kind": CommandKind.RESTORE, "mount_id": tree.mount, "path": "a", "content_version": 2}
    for named, more in (({"nodeId": node}, {"node_id": node}), ({"path": "a"}, {})):
        answer = await client.post("/v1/nodes/restore", json=base | named, headers={"if-match": "*"})
        assert answer.status_code == 200
        assert said(front.commands.last.request) == asked | more | {"if_exists": True}
    answer = await client.post("/v1/nodes/restore", json=base | {"path": "a", "targetPath": "b"})
    assert answer.status_code == 400 and "targetPath" in answer.json()["error"]["message"]


# The same request under the same key, though the world has changed


async def fingerprints(
    front: FrontOfTest, client: httpx2.AsyncClient, call: Call, bodies: Sequence[dict[str, Any]]
) -> list[Any]:
    hashes = []
    for body in bodies:
        answer = await ask(client, call, body)
        assert answer.is_success, answer.text
        hashes.append(front.commands.last.request.hash)
    return hashes


async def test_a_node_named_by_its_id_is_the_same_request_wherever_it_lies(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    node = await tree.file("before")
    call = ("PATCH", f"/v1/nodes/{node}/metadata")
    body = {"backendMountId": tree.mount, "set": {"a": 1}, "idempotencyKey": "k"}
    (first,) = await fingerprints(front, client, call, [body])
    async with tree.pool.connection() as connection:
        await connection.execute("UPDATE filestore.nodes SET name = 'after', name_text = 'after' WHERE id = %s", [node])
    assert await fingerprints(front, client, call, [body]) == [first]
    assert front.commands.last.request.path == "after"
    other = await tree.file("other")
    changed = [
        await fingerprints(front, client, ("PATCH", f"/v1/nodes/{other}/metadata"), [body]),
        await fingerprints(front, client, call, [{**body, "set": {"a": "1"}}, {**body, "unset": ["b"]}]),
        await fingerprints(front, client, ("POST", "/v1/commands/update-metadata"), [{**body, "path": "after"}]),
    ]
    assert len({first, *(hash for some in changed for hash in some)}) == 5


async def test_a_path_to_restore_is_the_same_request_whichever_node_was_found_there(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    call, body = ADDRESSES[CommandKind.RESTORE], {"backendMountId": tree.mount, "path": "a", "idempotencyKey": "k"}
    one = await tree.file("a", state="deleted", deleted_at="2026-01-01Z")
    (first,) = await fingerprints(front, client, call, [body])
    assert front.commands.last.request.node_id == one
    two = await tree.file("a", state="deleted", deleted_at="2026-01-02Z")
    assert await fingerprints(front, client, call, [body]) == [first]
    assert front.commands.last.request.node_id == two
    by_id = {"backendMountId": tree.mount, "nodeId": two}
    others = await fingerprints(front, client, call, [by_id, {**by_id, "nodeId": one}, {**by_id, "version": 1},
                                                      {**body, "version": 1}, {**body, "targetPath": "b"}])  # fmt: skip
    assert len({first, *others}) == 6


async def test_a_deleted_node_is_described_no_more_but_its_answer_can_still_be_heard(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    node = await tree.file("a", state="deleted", deleted_at="2026-01-01Z")
    answer = await describe(client, tree, node, set={"a": 1})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NODE_NOT_FOUND")
    assert front.commands.submissions == []
    front.commands.answers = lambda submission: replace(succeeded(submission), replayed=True)
    assert (await describe(client, tree, node, set={"a": 1}, idempotencyKey="k")).json()["data"]["idempotent"] is True
    front.commands.answers = lambda submission: failed(submission, "NODE_NOT_FOUND")
    assert (await describe(client, tree, node, set={"a": 1}, headers={"idempotency-key": "k"})).status_code == 404


# What is refused before anybody tries


@pytest.mark.parametrize("kind", RELOCATIONS)
@pytest.mark.parametrize(
    ("path", "target"), [("a", "a"), ("a", "/a/"), ("a/b", "a//b"), ("a", "a/b"), ("a/b", "a/b/c/d")]
)
async def test_nothing_goes_onto_or_into_itself(
    front: FrontOfTest,
    client: httpx2.AsyncClient,
    tree: Tree,
    kind: CommandKind,
    path: str,
    target: str,
    tmp_path: Path,
) -> None:
    body = {"backendMountId": tree.mount, "path": path, "targetPath": target, "overwrite": True}
    for call in both_addresses(kind):
        for mount in ({}, {"targetBackendMountId": tree.mount}):
            answer = await ask(client, call, body | mount)
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST")
            assert "path" in answer.json()["error"]["message"]
    assert front.commands.submissions == []
    other = await make_tree(tree.pool, tmp_path / "other")
    assert (await ask(client, call, body | {"targetBackendMountId": other.mount})).is_success


@pytest.mark.parametrize("kind", RELOCATIONS)
async def test_a_name_that_only_begins_alike_is_another_one(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, kind: CommandKind
) -> None:
    for path, target in (("a", "ab"), ("a", "a b"), ("a", "A"), ("a/b", "a"), ("a", "b/a"), ("é", "e\u0301")):
        body = {"backendMountId": tree.mount, "path": path, "targetPath": target}
        assert (await ask(client, ADDRESSES[kind], body)).is_success
        assert front.commands.last.request.target == target


@pytest.mark.parametrize(("path", "code"), REFUSED)
async def test_a_path_that_no_mount_can_hold_is_refused(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, path: str, code: str
) -> None:
    deleted = await tree.file("gone", state="deleted", deleted_at="2026-01-01Z")
    base: dict[str, Any] = {"backendMountId": tree.mount}
    status = 403 if code == "FORBIDDEN" else 400
    asked = [(call, base | body)
             for kind in RELOCATIONS for call in both_addresses(kind)
             for body in ({"path": path, "targetPath": "b"}, {"path": "a", "targetPath": path})]  # fmt: skip
    asked += [(call, base | {"path": path}) for call in both_addresses(CommandKind.RESTORE)]
    asked += [(call, base | {"path": path}) for call in both_addresses(CommandKind.DELETE)]
    asked += [(ADDRESSES[CommandKind.RESTORE], base | {"nodeId": deleted, "targetPath": path})]
    if path.strip("/"):
        asked.append((("POST", "/v1/commands/update-metadata"), base | {"path": path}))
    for call, body in asked:
        answer = await ask(client, call, body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), (call, body)
    assert front.commands.submissions == []


@pytest.mark.parametrize("path", HOSTILE_BUT_LEGAL)
async def test_a_hostile_name_that_a_disk_can_hold_goes_through_as_it_is(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, path: str
) -> None:
    for kind in RELOCATIONS:
        for source, target in ((path, "target"), ("source", path)):
            body = {"backendMountId": tree.mount, "path": source, "targetPath": target}
            assert (await ask(client, ADDRESSES[kind], body)).is_success
            request = front.commands.last.request
            assert (request.node_path.raw, request.appears_at.raw) == (source.encode(), target.encode())
    answer = await client.post("/v1/commands/update-metadata", json={"backendMountId": tree.mount, "path": path})
    assert answer.status_code == 200 and front.commands.last.request.path == path
    answer = await client.post("/v1/nodes/restore", json={"backendMountId": tree.mount, "path": path})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NODE_NOT_FOUND")


async def test_the_root_of_a_mount_is_not_described_nor_restored(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    base = {"backendMountId": tree.mount}
    for answer in (
        await describe(client, tree, tree.root, set={"a": 1}),
        await client.post("/v1/commands/update-metadata", json=base | {"nodeId": tree.root}),
        await client.post("/v1/commands/update-metadata", json=base | {"path": "/"}),
        await client.post("/v1/commands/update-metadata", json=base | {"path": ""}),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "NOT_SUPPORTED")
    for named in ({"nodeId": tree.root}, {"nodeId": tree.root, "version": 1}, {"path": "/", "version": 1}):
        answer = await client.post("/v1/nodes/restore", json=base | named)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_PATH")
    assert front.commands.submissions == []


async def test_a_node_is_named_by_its_id_or_by_its_path(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    node = await tree.file("a")
    for route in ("/v1/commands/update-metadata", "/v1/nodes/restore", "/v1/commands/restore"):
        for named in ({}, {"nodeId": node, "path": "a"}, {"nodeId": node, "pathB64": "YQ=="}, {"nodeId": None}):
            answer = await client.post(route, json={"backendMountId": tree.mount, **named})
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST"), (route, named)
    assert front.commands.submissions == []


async def test_a_node_that_is_not_there(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, tmp_path: Path
) -> None:
    other = await make_tree(tree.pool, tmp_path / "other")
    elsewhere = await other.file("a")
    foreign = await make_tree(tree.pool, tmp_path / "foreign", tenant="other")
    theirs = await foreign.file("a")
    for node in (elsewhere, theirs, 2**63 - 1):
        for answer in (
            await describe(client, tree, node, set={"a": 1}),
            await client.post("/v1/commands/restore", json={"backendMountId": tree.mount, "nodeId": node}),
            await client.post("/v1/nodes/restore", json={"backendMountId": tree.mount, "nodeId": node, "version": 1}),
        ):
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NODE_NOT_FOUND")
    assert (await describe(client, tree, 2**63, set={})).status_code == 404
    for id in ("x", "-1", "%00", "1.0", "٣"):
        answer = await client.patch(f"/v1/nodes/{id}/metadata", json={"backendMountId": tree.mount})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST")
    answer = await client.post("/v1/nodes/restore", json={"backendMountId": tree.mount, "path": "nothing/here"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NODE_NOT_FOUND")
    assert front.commands.submissions == []


async def test_both_mounts_must_be_there(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, tmp_path: Path
) -> None:
    foreign = await make_tree(tree.pool, tmp_path / "foreign", tenant="other")
    for missing in (foreign.mount, 2**63 - 1):
        for kind in RELOCATIONS:
            for mounts in (
                {"backendMountId": missing},
                {"backendMountId": tree.mount, "targetBackendMountId": missing},
            ):
                answer = await ask(client, ADDRESSES[kind], {"path": "a", "targetPath": "b", **mounts})
                assert (answer.status_code, answer.json()["error"]["code"]) == (404, "BACKEND_NOT_FOUND")
                assert answer.json()["error"]["details"]["backendMountId"] == missing
        for route in ("/v1/nodes/restore", "/v1/commands/update-metadata"):
            for named in ({"path": "a"}, {"nodeId": 1}):
                answer = await client.post(route, json={"backendMountId": missing, **named})
                assert (answer.status_code, answer.json()["error"]["code"]) == (404, "BACKEND_NOT_FOUND")
    assert front.commands.submissions == []


async def test_a_free_name_is_asked_for_only_where_something_gets_a_name(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    node = await tree.file("a")
    base = {"backendMountId": tree.mount, "path": "a"}
    star = {"if-none-match": "*"}
    for answer in (
        await client.request("DELETE", "/v1/nodes", json=base, headers=star),
        await describe(client, tree, node, set={"a": 1}, headers=star),
        await client.post("/v1/nodes/restore", json=base | {"version": 1}, headers=star),
        await client.post("/v1/commands/delete", json=base | {"ifNoneMatch": "*"}),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST")
    assert front.commands.submissions == []
    for route, more in (
        ("directories", {}),
        ("nodes/move", {"targetPath": "b"}),
        ("nodes/restore", {"targetPath": "b"}),
    ):
        assert (await client.post(f"/v1/{route}", json=base | more, headers=star)).is_success
        assert front.commands.last.request.must_be_new


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
TAKES: dict[str, set[str]] = {
    "create-directory": {"path", "pathB64"},
    "delete": {"path", "pathB64", "recursive"},
    "move": {"path", "pathB64", "targetPath", "targetPathB64", "targetBackendMountId", "overwrite"},
    "copy": {"path", "pathB64", "targetPath", "targetPathB64", "targetBackendMountId", "overwrite"},
    "update-metadata": {"path", "pathB64", "nodeId", "set", "unset"},
    "restore": {"path", "pathB64", "targetPath", "targetPathB64", "nodeId", "version"},
}


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
    asked += [(path, told) for path in relocations for told in (sent, at_target)]
    for path, told in asked:
        answer = await client.post(path, content=told)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST"), (path, told)
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
    async with front.client(front.tokens["read"]) as reader, front.client() as nobody:
        for method, path in [*EVERY, ("POST", "/v1/commands"), ("POST", "/v1/commands/nonsense")]:
            address = path.replace("{node}", str(node))
            answer = await reader.request(method, address, json=body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "MISSING_SCOPE"), (method, path)
            assert (await nobody.request(method, address, json=body)).status_code == 401
    assert front.commands.submissions == []


async def test_both_ends_are_authorised(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths that a token may use will be asked for in this one place: it has to hear of every one."""
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
        ("move", ends, [("write", here, "a"), ("write", there, "b")]),
        ("copy", ends, [("read", here, "a"), ("write", there, "b")]),
        ("delete", ends, [("write", here, "a")]),
        ("create-directory", ends, [("write", here, "a")]),
        ("update-metadata", one | {"path": "a"}, [("write", here, "a")]),
        ("update-metadata", one | {"nodeId": node}, [("write", here, "f")]),
        ("restore", one | {"nodeId": gone}, [("write", here, "gone")]),
        ("restore", one | {"path": "gone", "targetPath": "b"}, [("write", here, "gone"), ("write", here, "b")]),
        ("restore", one | {"nodeId": node, "version": 1}, [("write", here, "f")]),
    ):
        asked.clear()
        assert (await client.post(f"/v1/commands/{name}", json=body)).is_success
        assert asked == expected, name


# Keys, waiting, names


async def test_the_key_in_the_body_wins_everywhere(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    node = await tree.file("a")
    for method, path in EVERY:
        for headers, key, used in (({}, None, None), ({"idempotency-key": "h"}, None, "h"), ({"idempotency-key": "h"}, "b", "b"),
                                   ({"x-idempotency-key": "x"}, None, "x")):  # fmt: skip
            body = {"backendMountId": tree.mount, "path": "a", "targetPath": "b", "idempotencyKey": key}
            answer = await client.request(method, path.replace("{node}", str(node)), json=body, headers=headers)
            assert answer.is_success, (path, answer.text)
            assert front.commands.last.request.key == used


async def test_nobody_has_to_wait(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    node = await tree.file("a")
    front.commands.answers = pends
    body = {"backendMountId": tree.mount, "path": "a", "targetPath": "b"}
    for method, path in EVERY:
        address = path.replace("{node}", str(node))
        for query, prefer, seconds in (({}, "respond-async", 0.0), ({"wait": 3}, "", 3.0), ({}, "wait=4", 4.0)):
            answer = await client.request(method, address, json=body, params=query, headers={"prefer": prefer})
            submission = front.commands.last
            assert submission.wait_seconds == seconds
            assert answer.status_code == 202
            assert answer.headers["location"] == f"/v1/commands/{submission.request.id}"
            assert answer.headers["retry-after"] == "1"
            assert answer.json()["data"]["commandId"] == submission.request.id


async def test_a_refusal_of_the_record_is_answered_verbatim(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    node = await tree.file("a")
    front.commands.answers = lambda submission: failed(submission, "VERSION_CONFLICT")
    for method, path in EVERY:
        body = {"backendMountId": tree.mount, "path": "a", "targetPath": "b"}
        answer = await client.request(method, path.replace("{node}", str(node)), json=body)
        assert (answer.status_code, answer.json()["error"]["message"]) == (412, "as told")


@pytest.mark.parametrize("name", ["nonsense", "Move", "moveNode", "upload", "%00", "é"])
async def test_a_command_that_nobody_knows(front: FrontOfTest, client: httpx2.AsyncClient, name: str) -> None:
    answer = await client.post(f"/v1/commands/{name}", json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")
    assert answer.json()["error"]["details"]["commands"] == [
        "create-directory", "delete", "move", "copy", "update-metadata", "restore",
    ]  # fmt: skip


def test_every_kind_of_command_but_the_upload_has_a_place_in_the_table() -> None:
    assert {kind.kind for kind in KINDS} == set(CommandKind) - {CommandKind.UPLOAD}
    assert {kind.name for kind in KINDS} == set(TAKES)


async def test_a_running_command_says_where_and_when_to_ask_again(front: FrontOfTest, tree: Tree) -> None:
    running = await command_row(tree, "ann", kind="moveNode", request='{"path": "a", "target": "b"}')
    ended = await command_row(tree, "ann", status="succeeded", ended_at="2026-01-01Z", outcome="{}")
    async with front.client(await front.token("read", principal="ann")) as ann:
        answer = await ann.get(f"/v1/commands/{running.upper()}")
        assert (answer.headers["location"], answer.headers["retry-after"]) == (f"/v1/commands/{running}", "1")
        told = answer.json()["data"]
        assert (told["status"], told["command"], told["path"], told["targetPath"]) == (
            Status.RUNNING,
            "moveNode",
            "a",
            "b",
        )
        assert told["href"] == f"/v1/commands/{running}"
        answer = await ann.get(f"/v1/commands/{ended}")
        assert answer.status_code == 200 and not {"location", "retry-after"} & set(answer.headers)
        assert answer.json()["data"]["href"] == f"/v1/commands/{ended}"


async def test_the_journal_can_be_asked_for_every_kind(client: httpx2.AsyncClient) -> None:
    for kind in CommandKind:
        assert (await client.get("/v1/journal", params={"command": kind})).status_code == 200
