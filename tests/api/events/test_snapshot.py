"""A reader that takes all nodes and then the feed has what the record has, whatever was written meanwhile."""

import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from api.events import snapshot
from schema.access.rules import Grant
from schema.ids import MountId
from tests.api.conftest import FrontOfTest, Tree, make_tree
from tests.api.events.helpers import position, pull
from tests.store.helpers import Protocol, delete, mkdir, upload
from tests.store.test_trees import move, restore

Nodes = dict[int, tuple[str, int, int]]
"""Id -> path, version, size"""


@dataclass
class NodesByFeed:
    """What docs/http.md tells a reader to do."""

    client: httpx2.AsyncClient
    token: str
    mount: int
    nodes: dict[int, dict[str, Any]] = field(default_factory=dict)
    after: str = ""

    async def start(self, limit: int, between: Callable[[], Awaitable[None]]) -> int:
        """Take all pages. `between`: what happens after each."""
        pages, cursor = 0, None
        while pages == 0 or cursor is not None:
            asked = {"backendMountId": self.mount, "limit": limit} | ({"cursor": cursor} if cursor else {})
            answer = await self.client.get("/v1/events/snapshot", params=asked)
            assert answer.status_code == 200, answer.text
            data = answer.json()["data"]
            for node in data["nodes"]:
                assert node["nodeId"] not in self.nodes, "each node once"
                self.nodes[node["nodeId"]] = node
            assert self.after in ("", data["after"])
            self.after, cursor, pages = data["after"], data["pagination"]["nextCursor"], pages + 1
            await between()
        return pages

    async def follow(self) -> None:
        """To the end of the feed."""
        while True:
            page = await pull(self.client, self.token, backendMountId=self.mount, after=self.after, limit=50)
            for event in page["events"]:
                await self._apply(event["type"], event["data"])
            self.after = page["nextCursor"]
            if page["next"] == page["last"]:
                return

    async def _apply(self, type_: str, data: dict[str, Any]) -> None:
        if type_ not in {f"filestore.node.{name}" for name in ("created", "updated", "deleted")}:
            return
        known = self.nodes.get(data["nodeId"])
        if known is not None and known["version"] >= data["version"]:
            return
        if type_ == "filestore.node.deleted":
            self.nodes.pop(data["nodeId"], None)
            return
        self.nodes[data["nodeId"]] = data
        if data.get("tree"):
            await self._read_below(data["nodeId"])

    async def _read_below(self, directory: int) -> None:
        answer = await self.client.get(f"/v1/nodes/{directory}/children", params={"limit": 200})
        for node in answer.json()["data"]["children"] if answer.status_code == 200 else []:
            known = self.nodes.get(node["id"])
            if known is None or known["version"] < node["version"]:
                self.nodes[node["id"]] = node
            if node["kind"] == "directory":
                await self._read_below(node["id"])

    def found(self) -> Nodes:
        """Where everything lies now; what lies in a directory that is gone is gone."""
        paths = {id: self._path(id) for id in self.nodes}
        return {
            id: (path, self.nodes[id]["version"], self.nodes[id]["sizeBytes"])
            for id, path in paths.items()
            if path is not None
        }

    def _path(self, id: int) -> str | None:
        node = self.nodes.get(id)
        if node is None:
            return None
        above, _, name = node["path"].rpartition("/")
        if not above:
            return str(name)
        parent = self._path(node["parentId"])
        return None if parent is None else f"{parent}/{name}"


async def recorded(tree: Tree) -> Nodes:
    query = """SELECT id, path_text, version, size_bytes FROM filestore.node_documents
                WHERE mount_id = %s AND state <> 'deleted' AND parent_id IS NOT NULL"""
    async with tree.pool.connection() as connection:
        rows = await (await connection.execute(query, [tree.mount])).fetchall()
    return {row["id"]: (row["path_text"], row["version"], row["size_bytes"]) for row in rows}


class WriterByChance:
    """Commands by chance: those that are refused change nothing."""

    def __init__(self, tree: Tree, seed: int) -> None:
        self._protocol, self._mount, self._dice = Protocol(tree.pool), MountId(tree.mount), random.Random(seed)

    async def plant(self) -> None:
        """A tree of 27 nodes."""
        tops = "abc"
        for paths in (tops, [f"{top}/{name}" for top in tops for name in tops]):
            await self._protocol.run(self._mount, *(mkdir(self._mount, path) for path in paths))
        files = [f"{top}/{name}/{top}" for top in tops for name in tops]
        await self._protocol.run(self._mount, *(upload(self._mount, path) for path in files))
        await position(self._protocol.pool)

    async def write(self) -> None:
        for _ in range(3):
            await self._protocol.run(self._mount, self._command())
        await position(self._protocol.pool)

    def _path(self) -> str:
        return "/".join(self._dice.choice("abc") for _ in range(self._dice.randrange(1, 4)))

    def _command(self) -> Any:
        mount, path = self._mount, self._path()
        match self._dice.randrange(10):
            case 0 | 1 | 2:
                return mkdir(mount, path)
            case 3 | 4 | 5:
                return upload(mount, path, size=self._dice.randrange(100), overwrite=True)
            case 6 | 7:
                return move(mount, path, self._path())
            case 8:
                return delete(mount, path, recursive=True)
            case _:
                return restore(mount, path)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("seed", range(8))
async def test_a_snapshot_and_the_feed_after_it_are_the_nodes(
    front: FrontOfTest, tree: Tree, read_token: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(snapshot, "LOOKED", 3)  # few at a time, so that much is written between two looks
    writer = WriterByChance(tree, seed)
    await writer.plant()
    await writer.write()
    async with front.client(read_token) as client:
        reader = NodesByFeed(client, read_token, tree.mount)
        assert await reader.start(3, writer.write) >= 3
        await reader.follow()
        assert reader.found() == await recorded(tree)
        whole = await client.get("/v1/events/snapshot", params={"backendMountId": tree.mount, "format": "jsonl"})
        assert {node["nodeId"] for node in map(_parsed, whole.text.splitlines())} == set(await recorded(tree))


def _parsed(line: str) -> dict[str, Any]:
    return dict(json.loads(line))


async def test_a_snapshot_shows_what_may_be_read_and_is_asked_for(
    front: FrontOfTest, tree: Tree, tmp_path: Any
) -> None:
    other = await make_tree(front.pool, tmp_path / "theirs", tenant="theirs")
    for one in (tree, other):
        protocol = Protocol(front.pool)
        tenant = {"tenant": "theirs" if one is other else "main"}
        for path in ("a", "ab", "a/secret"):
            await protocol.run(MountId(one.mount), mkdir(MountId(one.mount), path, **tenant))
        await protocol.run(MountId(one.mount), delete(MountId(one.mount), "ab", **tenant))
    everything, some = await front.token("read"), await front.token("read", grants=[Grant("a/secret", "deny")])

    async def paths(token: str, **params: Any) -> list[str]:
        async with front.client(token) as client:
            answer = await client.get("/v1/events/snapshot", params={"backendMountId": tree.mount, **params})
        assert answer.status_code == 200, answer.text
        return [node["path"] for node in answer.json()["data"]["nodes"]]

    assert await paths(everything) == ["a", "a/secret"], "none that is deleted, and none of another tenant"
    assert await paths(some) == ["a"]
    assert await paths(everything, pathPrefix="a/secret") == ["a/secret"]
    async with front.client(everything) as client:
        refused = await client.get("/v1/events/snapshot", params={"backendMountId": other.mount})
        assert refused.status_code == 404
        for cursor in ("x", "AAAA", "é", "_" * 32):
            answer = await client.get("/v1/events/snapshot", params={"cursor": cursor})
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST"), cursor
