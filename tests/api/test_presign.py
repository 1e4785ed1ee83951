"""Links: the route is proved with an executor that has them; what a bucket makes of them is proved elsewhere."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from activities.executors.contract.identity import Identity
from schema.errors import MountOffline
from schema.ids import NodeId
from schema.paths import NodePath
from tests.api.conftest import FrontOfTest, Tree


@dataclass
class Linking:
    """An executor whose storage has links."""

    executor: Any
    width: int = 1
    asked: list[tuple[NodePath, Identity, int, str, str]] = field(default_factory=list)
    broken: bool = False

    def presign(self, path: NodePath, identity: Identity, seconds: int, disposition: str, media: str) -> str:
        if self.broken:
            raise MountOffline()
        self.asked.append((path, identity, seconds, disposition, media))
        return "https://bucket.example/key?signature=x"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.executor, name)


@pytest.fixture
def linking(front: FrontOfTest) -> Linking:
    made = Linking(None)

    def wrapped(executor: Any) -> Linking:
        made.executor = executor
        return made

    front.disks.wrapped = wrapped
    return made


@pytest.fixture
async def node(tree: Tree) -> NodeId:
    return await tree.file("é.txt", b"x", mime_type="text/plain")


def at(node: NodeId) -> str:
    return f"/v1/files/{node}/presign"


async def test_a_link_is_for_exactly_this_content(
    client: httpx2.AsyncClient, linking: Linking, tree: Tree, node: NodeId
) -> None:
    before = datetime.now(UTC)
    answer = await client.get(at(node), params={"expiresIn": 60, "disposition": "inline"})
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    data = answer.json()["data"]
    expires = datetime.fromisoformat(data.pop("expiresAt"))
    assert data == {"url": "https://bucket.example/key?signature=x", "headers": {}, "method": "GET"}
    assert 58 <= (expires - before).total_seconds() <= 62
    ((path, identity, seconds, disposition, media),) = linking.asked
    assert (path.raw, seconds, media) == ("é.txt".encode(), 60, "text/plain")
    assert disposition == "inline; filename=\"_.txt\"; filename*=UTF-8''%C3%A9.txt"
    opened = linking.executor.open(path)
    opened.close()
    assert identity.same_content(opened.identity)
    await client.get(at(node))
    assert linking.asked[-1][2] == 300 and linking.asked[-1][3].startswith("attachment;")


async def test_links_are_for_buckets(client: httpx2.AsyncClient, node: NodeId) -> None:
    answer = await client.get(at(node), params={"expiresIn": 60})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "NOT_SUPPORTED")


async def test_links_that_are_refused(client: httpx2.AsyncClient, linking: Linking, tree: Tree, node: NodeId) -> None:
    for bad in ("expiresIn=0", "expiresIn=3601", "expiresIn=x", "expiresIn=-1", "disposition=x"):
        answer = await client.get(f"{at(node)}?{bad}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST"), bad
    gone = await tree.file("gone", state="deleted", deleted_at="2026-01-01T00:00:00Z")
    unseen = await tree.file("unseen")
    for other, status in ((tree.root, 409), (gone, 404), (unseen, 412), (10**15, 404)):
        assert (await client.get(at(NodeId(other)))).status_code == status
    linking.broken = True
    assert (await client.get(at(node))).status_code == 503
    assert linking.asked == []


SHOWN = ["image/png", "text/plain; charset=utf-8", "application/pdf", "video/mp4", "audio/ogg"]
NOT_SHOWN = [
    "text/html", "TEXT/HTML; charset=utf-8", "image/svg+xml", "application/xhtml+xml", "text/xml", "application/xml",
    "application/javascript", "text/html;text/plain", "unknown/unknown", "application/x-shockwave-flash",
    "multipart/x-mixed-replace",
]  # fmt: skip


@pytest.mark.parametrize(("media", "shown"), [*((one, True) for one in SHOWN), *((one, False) for one in NOT_SHOWN)])
async def test_under_a_link_nothing_of_a_stranger_runs(
    client: httpx2.AsyncClient, linking: Linking, tree: Tree, media: str, shown: bool
) -> None:
    node = await tree.file("page", b"<script>alert(1)</script>", mime_type=media)
    for asked in ("inline", "attachment"):
        assert (await client.get(at(node), params={"disposition": asked})).status_code == 200
        kind = linking.asked[-1][3].partition(";")[0]
        assert kind == ("inline" if shown and asked == "inline" else "attachment")


@pytest.mark.parametrize(
    ("recorded", "served"),
    [("text/csv", "text/csv"), (None, "application/octet-stream"), ("no type\r\nx: y", "application/octet-stream")],
)
async def test_a_link_carries_the_recorded_type(
    client: httpx2.AsyncClient, linking: Linking, tree: Tree, recorded: str | None, served: str
) -> None:
    node = await tree.file("f", b"x", mime_type=recorded)
    await client.get(at(node))
    assert linking.asked[-1][4] == served
