"""Which events a reader is shown: by prefix, by tenant, by rights."""

import base64
from typing import Any

import httpx2
import pytest

from schema.access.rules import Grant
from schema.events import EventType
from schema.store.events import below
from tests.api.conftest import FrontOfTest, Tree, make_tree
from tests.api.events.conftest import Connect
from tests.api.events.helpers import paths_of, position, pull, tell


@pytest.mark.parametrize(
    ("path", "prefix", "is_below"),
    [(b"a/b", b"a/b", True), (b"a/b/c", b"a/b", True), (b"a/bc", b"a/b", False), (b"a", b"a/b", False), (b"A/b", b"a", False),
     (b"a\xff/b", b"a\xff", True), (b"a\xff/b", b"a\xfe", False), (b"a\xff", b"a", False), (b"", b"a", False)],
)  # fmt: skip
def test_a_prefix_means_whole_names(path: bytes, prefix: bytes, is_below: bool) -> None:
    assert below(path, prefix) == is_below


async def test_names_that_are_no_text_and_both_places_of_a_move(
    tree: Tree, address: tuple[str, int], read_token: str, connect: Connect
) -> None:
    prefix = base64.b64encode(b"d\xff").decode()
    stream = await connect(address, read_token, backendMountId=tree.mount, pathPrefixB64=prefix)
    await tell(tree, "d\ufffd/1", pathB64=base64.b64encode(b"d\xff/1").decode())
    await tell(tree, "d\ufffd/2", pathB64=base64.b64encode(b"d\xfe/2").decode())
    await tell(tree, "d\ufffd/3")
    moved = {"path": "d\ufffd/4", "pathB64": base64.b64encode(b"d\xff/4").decode()}
    await tell(tree, "to/4", type_=EventType.NODE_MOVED, movedFrom=moved)
    assert paths_of(await stream.events(2)) == ["d\ufffd/1", "to/4"]
    await stream.close()


async def test_followers_of_a_name_hear_what_happens_to_the_directories_above_it(
    tree: Tree, address: tuple[str, int], read_token: str, connect: Connect
) -> None:
    stream = await connect(address, read_token, backendMountId=tree.mount, pathPrefix="a/b")
    start = await position(tree.pool)
    whole = {"tree": {"files": 2}}
    done = {"result": {"kind": "directory"}}
    await tell(tree, "a", type_=EventType.NODE_UPDATED, tree=None)
    await tell(tree, "a/c", "ab", "a/bc", type_=EventType.NODE_DELETED, **whole)
    await tell(tree, "a", type_=EventType.COMMAND_COMPLETED, command="createDirectory", **done)
    await tell(tree, "a", type_=EventType.NODE_DELETED, **whole)
    await tell(tree, "z", type_=EventType.NODE_MOVED, movedFrom="a", **whole)
    await tell(tree, "z", type_=EventType.COMMAND_COMPLETED, command="moveNode", movedFrom="a", **done)
    await tell(tree, "a", type_=EventType.NODE_MISSING)
    heard = await stream.events(4)
    assert [(block.event, block.data["data"]["path"]) for block in heard] == [
        (EventType.NODE_DELETED, "a"), (EventType.NODE_MOVED, "z"), (EventType.COMMAND_COMPLETED, "z"),
        (EventType.NODE_MISSING, "a"),
    ]  # fmt: skip
    await stream.close()
    async with httpx2.AsyncClient(base_url=f"http://{address[0]}:{address[1]}") as client:
        pulled = await pull(client, read_token, backendMountId=tree.mount, pathPrefix="a/b", after=start)
    assert [event["position"] for event in pulled["events"]] == [block.id for block in heard]


async def test_nobody_sees_another_tenant(
    front: FrontOfTest, tree: Tree, address: tuple[str, int], tmp_path: Any, read_token: str, connect: Connect
) -> None:
    theirs = await make_tree(front.pool, tmp_path / "theirs", tenant="theirs")
    token = await front.token("read", tenant="theirs")
    mine, other = await connect(address, read_token), await connect(address, token)
    start = await position(tree.pool)
    await tell(theirs, "secret", tenant="theirs")
    await tell(tree, "open")
    assert paths_of(await mine.events(1)) == ["open"]
    assert paths_of(await other.events(1)) == ["secret"]
    resumed = await connect(address, read_token, lastEventId=start)
    assert paths_of(await resumed.events(1)) == ["open"]
    refused = await connect(address, read_token, backendMountId=theirs.mount)
    assert refused.status == 404
    for stream in (mine, other, resumed, refused):
        await stream.close()


async def test_each_event_is_shown_to_who_may_read_its_path(
    front: FrontOfTest, tree: Tree, address: tuple[str, int], connect: Connect
) -> None:
    token = await front.token("read", grants=[Grant("secret", "deny")])
    stream = await connect(address, token, backendMountId=tree.mount)
    start = await position(tree.pool)
    await tell(tree, "secret/1", "open/1")
    await tell(tree, "open/2", type_=EventType.NODE_MOVED, movedFrom="secret/2")
    await tell(tree, "open/3")
    assert paths_of(await stream.events(2)) == ["open/1", "open/3"]
    await stream.close()
    async with httpx2.AsyncClient(base_url=f"http://{address[0]}:{address[1]}") as client:
        found = await pull(client, token, backendMountId=tree.mount, after=start)
    assert [e["data"]["path"] for e in found["events"]] == ["open/1", "open/3"]
