"""A grant removed in the middle of a list, a stream, an upload, a long copy: no effect once it is known, and an honest end."""

import asyncio

import pytest

from schema.access.rules import Grant
from schema.ids import MountId
from schema.operations.operation import OperationKind
from schema.paths import NodePath
from schema.store import tokens
from schema.store.pool import Pool
from tests import sse
from tests.api.conftest import FrontOfTest, Tree
from tests.api.events.helpers import paths_of, serving, tell
from tests.api.tus import helpers as tus
from tests.store.helpers import Protocol, make_mount, mkdir, upload
from tests.store.operation_rows import Runner, asked_for, lies, now

KNOWN_SECONDS = 1.2
"""What a process knows of a token holds for less than a second, and one request's time longer."""


async def id_of(front: FrontOfTest, token: str) -> int:
    async with front.pool.connection() as connection:
        found = await tokens.find(connection, tokens.digest(token))
    assert found is not None
    return found.token_id


async def give(pool: Pool, token: int, *grants: Grant) -> None:
    async with pool.connection() as connection, connection.transaction():
        await tokens.change(connection, token, {}, grants)


async def test_the_next_page_of_a_list_leaves_out_what_may_not_be_read_any_more(front: FrontOfTest, tree: Tree) -> None:
    directory = await tree.directory("d")
    for n in range(6):
        await tree.file(f"d/{n}", b"1")
    token = await front.token("read", principal="ann")
    async with front.client(token) as client:
        first = (await client.get(f"/v1/nodes/{directory}/children", params={"limit": 2})).json()["data"]
        assert [node["name"] for node in first["children"]] == ["0", "1"]
        await give(front.pool, await id_of(front, token), Grant("d/3", "deny"), Grant("d/4", "deny"))
        await asyncio.sleep(KNOWN_SECONDS)
        query = {"limit": 10, "cursor": first["pagination"]["nextCursor"]}
        rest = (await client.get(f"/v1/nodes/{directory}/children", params=query)).json()["data"]
        assert [node["name"] for node in rest["children"]] == ["2", "5"]
        await give(front.pool, await id_of(front, token), Grant("d", "deny"))
        await asyncio.sleep(KNOWN_SECONDS)
        assert (await client.get(f"/v1/nodes/{directory}/children", params=query)).status_code == 404


async def test_a_stream_says_nothing_more_of_what_may_not_be_read_any_more(
    front: FrontOfTest, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.access.tokens.FRESH_SECONDS", 0.1)
    token = await front.token("read", principal="ann")
    try:
        async with serving(front, events_heartbeat_seconds=0.3) as (address, _):
            stream = await sse.connect(address, token, backendMountId=tree.mount)
            await tell(tree, "secret/1", "open/1")
            assert paths_of(await stream.events(2)) == ["secret/1", "open/1"]
            await give(front.pool, await id_of(front, token), Grant("secret", "deny"))
            await asyncio.sleep(KNOWN_SECONDS)
            await tell(tree, "secret/2", "open/2")
            assert paths_of(await stream.events(1)) == ["open/2"], "and it goes on with the rest"
            await stream.close()
    finally:
        await sse.close_all()


async def test_an_upload_takes_no_more_bytes_and_becomes_no_file(front: FrontOfTest, tree: Tree) -> None:
    token = await front.token("write", principal="ann")
    async with front.client(token) as client:
        where = await tus.begin(client, tree, 8)
        assert (await tus.patch(client, where, 0, b"1234")).status_code == 204
        await give(front.pool, await id_of(front, token), Grant("a.bin", "deny", scopes=("filestore:write",)))
        await asyncio.sleep(KNOWN_SECONDS)
        refused = await tus.patch(client, where, 4, b"5678")
        assert refused.status_code == 403, refused.text
        assert front.commands.submissions == []
        await give(front.pool, await id_of(front, token))
        await asyncio.sleep(KNOWN_SECONDS)
        assert await tus.offset_of(client, where) == 4, "nothing came of it"
        assert (await tus.patch(client, where, 4, b"5678")).status_code in (200, 204)
        assert len(front.commands.submissions) == 1


async def test_a_long_copy_ends_what_it_has_begun_and_begins_nothing_more(pool: Pool) -> None:
    protocol = Protocol(pool)
    async with pool.connection() as connection, connection.transaction():
        mount = await make_mount(connection)
        token, _ = await tokens.create(connection, "ann", ["write", "filestore:operate"])
    await protocol.run(mount, mkdir(mount, "d"), mkdir(mount, "to"))
    await protocol.run(mount, *[upload(mount, f"d/{n}") for n in range(6)])
    runner = Runner(pool, protocol)
    operation = await asked_for(
        pool, mount, kind=OperationKind.COPY, path=NodePath(b"d"), target_path=NodePath(b"to"), token_id=token
    )
    await runner.plan(operation)
    step = await runner.next(operation)
    begun = await protocol.begin(MountId(step.mount_id), step.commands[:2])
    rest = step.commands[2:]
    await give(
        pool, token, Grant("", scopes=("write", "filestore:operate")), Grant("to", "deny", scopes=("filestore:write",))
    )
    await runner.end(begun)
    assert not (await protocol.begin(MountId(step.mount_id), rest)).go
    await runner.to_the_end(operation)
    ended, items = await now(pool, operation)
    assert ended.state == "partial"
    assert sorted(item.code or "done" for item in items) == ["FORBIDDEN"] * 4 + ["done"] * 2
    there = [path for path in await lies(pool, mount) if path.startswith("to/")]
    assert len(there) == 2, "whole files, and nothing half done"
