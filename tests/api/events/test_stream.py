"""The stream: what it looks like, where it goes on, what it takes."""

from typing import Any

import pytest

from tests.api.conftest import FrontOfTest, Tree, make_tree
from tests.api.events.conftest import Connect
from tests.api.events.helpers import COMPLETED, CREATED, DELETED, paths_of, position, tell
from tests.sse import connect


async def test_what_a_stream_looks_like(
    front: FrontOfTest, tree: Tree, address: tuple[str, int], read_token: str
) -> None:
    last = await position(tree.pool)
    stream = await connect(address, read_token, backendMountId=tree.mount)
    assert stream.status == 200 and stream.headers["content-type"].startswith("text/event-stream")
    assert stream.headers["cache-control"] == "no-store" and "content-length" not in stream.headers
    opening = await stream.opening()
    assert opening.lines == ["retry: 2000", f"id: {last}"], (
        "from now on; a client that is cut off before the first event can resume"
    )
    await tell(tree, "a/é\n", metadata={"n": 1.0, "text": "two\nlines"})
    (block,) = await stream.events(1)
    assert block.lines[:2] == [f"event: {CREATED}", f"id: {last + 1}"] and len(block.lines) == 3
    assert block.data == {"type": CREATED, "data": {"path": "a/é\n", "metadata": {"n": 1.0, "text": "two\nlines"}}}
    await stream.close()


async def test_a_pretty_document_still_goes_into_one_line(
    front: FrontOfTest, tree: Tree, address: tuple[str, int], read_token: str
) -> None:
    stream = await connect(address, read_token, backendMountId=tree.mount)
    async with tree.pool.connection() as connection:
        await connection.execute(
            "INSERT INTO filestore.outbox (tenant, mount_id, type, data) VALUES ('main', %s, %s, %s)",
            [tree.mount, CREATED, '{\n "path":\r\n "x"\n}'],
        )
    await position(tree.pool)
    assert paths_of(await stream.events(1)) == ["x"]
    await stream.close()


async def test_a_stream_goes_on_right_after_the_last_event(
    tree: Tree, address: tuple[str, int], read_token: str, connect: Connect
) -> None:
    last = await tell(tree, *(f"f{n}" for n in range(10)))
    third = str(last - 7)
    for asked in ({"headers": {"Last-Event-ID": third}}, {"lastEventId": third},
                  {"headers": {"last-event-id": third}, "lastEventId": "1"}):  # fmt: skip
        stream = await connect(address, read_token, backendMountId=tree.mount, **asked)
        assert (await stream.opening()).id == last - 7
        assert paths_of(await stream.events(7)) == [f"f{n}" for n in range(3, 10)]
        await tell(tree, "more")
        assert paths_of(await stream.events(1)) == ["more"]
        await stream.close()


async def test_a_stream_waits_for_what_is_committed_late(tree: Tree, address: tuple[str, int], read_token: str) -> None:
    stream = await connect(address, read_token, backendMountId=tree.mount)
    async with tree.pool.connection() as late, late.transaction():
        await late.execute(
            "INSERT INTO filestore.outbox (tenant, mount_id, type, data) VALUES ('main', %s, %s, '{\"path\":\"first\"}')",
            [tree.mount, CREATED],
        )
        await tell(tree, "second")
        with pytest.raises(TimeoutError):
            await stream.events(1, seconds=0.8)
    await stream.close()
    stream = await connect(address, read_token, backendMountId=tree.mount, lastEventId=stream.last_id)
    await position(tree.pool)
    assert paths_of(await stream.events(2)) == ["first", "second"]
    await stream.close()


async def test_two_streams_with_filters_of_their_own(
    front: FrontOfTest, tree: Tree, address: tuple[str, int], read_token: str, tmp_path: Any, connect: Connect
) -> None:
    other = await make_tree(front.pool, tmp_path / "other")
    below_a = await connect(address, read_token, pathPrefix="/a/b/", events=[CREATED, DELETED])
    of_mount = await connect(address, read_token, backendMountId=other.mount, events=f"{DELETED}, {COMPLETED}")
    for one in (tree, other):
        for type_ in (CREATED, COMPLETED, DELETED):
            await tell(one, "a/b", "a/b/c", "a/bc", "a", "a/b.c", "a%2Fb/c", "b/a/b", "a/b/c/d", type_=type_)
    mine = ["a/b", "a/b/c", "a/b/c/d"]
    found = await below_a.events(12)
    assert paths_of(found) == mine * 4 and [b.event for b in found] == ([CREATED] * 3 + [DELETED] * 3) * 2
    found = await of_mount.events(16)
    assert [b.event for b in found] == [COMPLETED] * 8 + [DELETED] * 8
    for stream in (below_a, of_mount):
        await stream.close()
