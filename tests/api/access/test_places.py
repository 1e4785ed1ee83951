"""What a token may not read does not exist for it: by id, by path, in lists, in what was, in the trash, in the journal."""

from typing import Any

import httpx2
import pytest_asyncio

from schema.access.rules import Grant
from schema.ids import MountId
from schema.paths import NodePath
from tests.api.conftest import FrontOfTest, Tree

DENIED = [Grant("secret", "deny"), Grant("**/*.key", "deny")]


@pytest_asyncio.fixture
async def nodes(tree: Tree) -> dict[str, int]:
    found: dict[str, int] = {}
    for path in ("open", "secret", "open/sub"):
        found[path] = await tree.directory(path)
    for path in ("open/a", "open/x.key", "secret/b", "secret/x.key"):
        found[path] = await tree.file(path, b"1")
    return found


@pytest_asyncio.fixture
async def client(front: FrontOfTest) -> Any:
    async with front.client(await front.token("write", grants=DENIED)) as client:
        yield client


async def test_by_id_it_is_answered_like_an_id_that_was_never_given(
    client: httpx2.AsyncClient, tree: Tree, nodes: dict[str, int]
) -> None:
    never = 2**40
    for path in ("/v1/nodes/{}", "/v1/nodes/{}/children", "/v1/nodes/{}/snapshots", "/v1/files/{}/content", "/v1/files/{}/presign",
                 "/v1/nodes/{}/children?asOf=2100-01-01T00:00:00Z"):  # fmt: skip
        for hidden in ("secret/b", "open/x.key", "secret"):
            answered, missing = [await client.get(path.format(id)) for id in (nodes[hidden], never)]
            assert answered.status_code == 404
            assert answered.text.replace(str(nodes[hidden]), "N") == missing.text.replace(str(never), "N"), path
    for hidden in ("secret/b", "secret"):
        changes = {"backendMountId": tree.mount, "set": {"a": 1}}
        told = [await client.patch(f"/v1/nodes/{id}/metadata", json=changes) for id in (nodes[hidden], never)]
        assert told[0].text.replace(str(nodes[hidden]), "N") == told[1].text.replace(str(never), "N")


async def test_by_path_it_is_answered_like_a_path_where_nothing_is(
    client: httpx2.AsyncClient, tree: Tree, nodes: dict[str, int]
) -> None:
    for path in ("secret/b", "secret", "open/x.key"):
        asked = {"backendMountId": tree.mount}
        hidden = await client.get("/v1/nodes/by-path", params=asked | {"path": path})
        missing = await client.get("/v1/nodes/by-path", params=asked | {"path": "nowhere"})
        assert hidden.status_code == 404 and hidden.text.replace(path, "nowhere") == missing.text
        there, nothing = [await client.get("/v1/nodes", params=asked | {"path": at}) for at in (path, "nowhere")]
        assert there.text.replace(path, "nowhere") == nothing.text
        for route, body in (
            ("/v1/directories", {"path": path}),
            ("/v1/nodes/move", {"path": path, "targetPath": "open/y"}),
            ("/v1/nodes/copy", {"path": "open/a", "targetPath": path, "overwrite": True}),
            ("/v1/nodes/restore", {"path": path}),
        ):
            answer = await client.post(route, json=asked | body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NODE_NOT_FOUND"), route


async def test_lists_leave_it_out_and_do_not_count_it(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, nodes: dict[str, int]
) -> None:
    def names(answer: httpx2.Response, of: str) -> tuple[list[str], int]:
        data = answer.json()["data"]
        return [one["path"] for one in data[of]], data["pagination"]["total"]

    asked: dict[str, Any] = {"backendMountId": tree.mount}
    assert names(await client.get("/v1/nodes", params=asked), "nodes") == (["open", "open/a", "open/sub"], 3)
    assert names(await client.get("/v1/nodes", params=asked | {"search": "key"}), "nodes") == ([], 0)
    of = f"/v1/nodes/{nodes['open']}/children"
    assert names(await client.get(of), "children") == (["open/sub", "open/a"], 2)
    paged: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        data = (await client.get("/v1/nodes", params=asked | {"limit": 1} | cursor)).json()["data"]
        paged += [one["path"] for one in data["nodes"]]
        if (further := data["pagination"]["nextCursor"]) is None:
            break
        cursor = {"cursor": further}
    assert paged == ["open", "open/a", "open/sub"]


async def test_a_grant_for_a_part_shows_that_part(front: FrontOfTest, tree: Tree, nodes: dict[str, int]) -> None:
    token = await front.token("read", grants=[Grant("open/sub", mount=None), Grant("s*/b")])
    async with front.client(token) as client:
        listed = (await client.get("/v1/nodes", params={"backendMountId": tree.mount})).json()["data"]
        assert [one["path"] for one in listed["nodes"]] == ["open/sub", "secret/b"] and listed["pagination"][
            "total"
        ] == 2
        assert (await client.get(f"/v1/nodes/{nodes['open']}")).status_code == 404
        assert (await client.get(f"/v1/nodes/{nodes['secret/b']}")).status_code == 200


async def test_a_mount_on_which_nothing_may_be_read_is_not_there(
    front: FrontOfTest, tree: Tree, nodes: dict[str, int]
) -> None:
    token = await front.token("admin", grants=[Grant("", mount=tree.mount, effect="deny")])
    async with front.client(token) as client:
        shown = (await client.get("/v1/backend-mounts", params={"limit": 100})).json()["data"]["mounts"]
        assert tree.mount not in [one["id"] for one in shown]
    other = await front.token("admin", grants=[Grant("open", mount=tree.mount)])
    async with front.client(other) as client:
        assert (await client.get(f"/v1/backend-mounts/{tree.mount}")).status_code == 200
        assert (await client.patch(f"/v1/backend-mounts/{tree.mount}", json={})).status_code == 404, (
            "its root is not granted"
        )
        assert (await client.post("/v1/backend-mounts", json={})).status_code == 403


async def test_where_a_directory_lay_before_says_nothing_of_what_may_be_read_in_it_now(
    front: FrontOfTest, tree: Tree
) -> None:
    """Whatever the process remembers of it: a place that is open, one that is denied, one on another mount."""
    directory = await tree.directory("mixed")
    await tree.file("mixed/mine")
    await tree.file("mixed/hidden")
    closed = await tree.directory("closed")
    await tree.file("closed/f")
    grants = [
        Grant("", mount=tree.mount),
        Grant("mixed/hidden", "deny", tree.mount),
        Grant("closed", "deny", tree.mount),
    ]
    known = front.app.state.directory_places
    async with front.client(await front.token("read", grants=grants)) as client:
        for guess in (None, b"open", b"closed", b"mixed"):
            for mount in (tree.mount, MountId(tree.mount + 10**6)):
                for node in (directory, closed):
                    if guess is not None:
                        known.keep(node, (mount, NodePath(guess)))
                answer = await client.get(f"/v1/nodes/{directory}/children")
                shown = answer.json()["data"]
                assert [one["path"] for one in shown["children"]] == ["mixed/mine"], (guess, mount)
                assert shown["pagination"]["total"] == 1
                assert (await client.get(f"/v1/nodes/{closed}/children")).status_code == 404
        assert known.of(directory) == (tree.mount, NodePath(b"mixed"))
