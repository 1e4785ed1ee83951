"""What is refused before a command is tried: places and nodes."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from schema.commands.command import CommandKind
from tests.api.conftest import FrontOfTest, Tree, make_tree
from tests.api.mutations.helpers import ADDRESSES, RELOCATIONS, ask, both_addresses, describe
from tests.api.test_commands_in import HOSTILE_BUT_LEGAL, REFUSED


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
