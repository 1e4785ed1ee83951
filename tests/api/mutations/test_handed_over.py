"""What is handed over for each command."""

import base64
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from schema.commands.command import Command, CommandKind
from tests.api.conftest import FrontOfTest, Tree, make_tree, succeeded
from tests.api.mutations.helpers import ADDRESSES, RELOCATIONS, ask, both_addresses, describe

SAME = {"id", "tenant", "principal", "token_id", "request_id", "hash"}
"""Fields that every command has; the others are those it was asked for."""


EMPTY = {field.name: field.default for field in fields(Command)}


def said(request: Command) -> dict[str, Any]:
    """What is particular to this request."""
    handed = {name: getattr(request, name) for name in EMPTY if name not in SAME}
    return {name: value for name, value in handed.items() if value != EMPTY[name]}


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
