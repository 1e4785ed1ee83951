"""Events of real commands, across restarts of the server, with Redis, without, and with one that hangs."""

import asyncio
import os
import signal
import time
from typing import Any

import pytest

from tests.fix_service import PATIENCE, MountOfTest, Service
from tests.sse import SentBlock, StreamReader, close_all, connect


async def stream(service: Service, mount: MountOfTest, **asked: Any) -> StreamReader:
    opened = await connect(("127.0.0.1", service.port), service.token, backendMountId=mount.id, **asked)
    assert opened.status == 200
    return opened


async def mkdir(service: Service, mount: MountOfTest, path: str) -> None:
    answer = await asyncio.to_thread(service.mkdir, mount, path)
    assert answer.status_code == 201, answer.text


def types_and_paths(blocks: list[SentBlock]) -> list[tuple[str | None, str]]:
    return [(block.event, block.data["data"]["path"]) for block in blocks]


@pytest.fixture(autouse=True)
async def hung_up() -> Any:
    yield
    await close_all()


async def test_a_command_tells_of_its_end_then_of_its_node(service: Service, mount: MountOfTest) -> None:
    reader = await stream(service, mount)
    await mkdir(service, mount, "a")
    await asyncio.to_thread(service.upload, mount, "a/f", b"x")
    assert (await asyncio.to_thread(service.mkdir, mount, "no/b")).status_code == 404
    assert types_and_paths(await reader.events(6)) == [
        ("filestore.command.completed", "a"), ("filestore.node.created", "a"), ("filestore.command.completed", "a/f"),
        ("filestore.node.created", "a/f"), ("filestore.node.uploaded", "a/f"), ("filestore.command.completed", "no/b"),
    ]  # fmt: skip


async def test_a_stream_goes_on_across_a_restart_and_holds_up_none(service: Service, mount: MountOfTest) -> None:
    readers = [await stream(service, mount) for _ in range(20)]
    await mkdir(service, mount, "before")
    for reader in readers:
        await reader.events(1)
    codes = await asyncio.to_thread(service.stop, "api")
    assert codes == {"api": 0}
    async with asyncio.timeout(PATIENCE):
        rest = [block async for block in readers[0].blocks() if block.event]  # to its proper end
    assert types_and_paths(rest) == [("filestore.node.created", "before")]
    service.start("api")
    await mkdir(service, mount, "after")
    for seen in (readers[0].last_id, (readers[0].last_id or 0) - 1):
        again = await stream(service, mount, headers={"last-event-id": str(seen)})
        found = types_and_paths(await again.events(2 if seen == readers[0].last_id else 3))
        assert found[-2:] == [("filestore.command.completed", "after"), ("filestore.node.created", "after")]


async def test_redis_wakes_and_its_absence_is_only_slower(service: Service, mount: MountOfTest) -> None:
    reader = await stream(service, mount, events="filestore.node.created")
    await mkdir(service, mount, "with")
    await reader.events(1)
    pid = service.stack.pid("redis")
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        for turn in range(3):
            await mkdir(service, mount, f"without-{turn}")
            assert types_and_paths(await reader.events(1)) == [("filestore.node.created", f"without-{turn}")]
    finally:
        os.kill(pid, signal.SIGCONT)
    await mkdir(service, mount, "again")
    assert types_and_paths(await reader.events(1)) == [("filestore.node.created", "again")]


async def test_without_any_redis(service: Service, mount: MountOfTest) -> None:
    service.kill()
    service.start("api", REDIS_URL="inline")
    try:
        reader = await stream(service, mount, events="filestore.node.created")
        for turn in range(5):
            await mkdir(service, mount, f"d{turn}")
            assert types_and_paths(await reader.events(1)) == [("filestore.node.created", f"d{turn}")]
        entries = service.journal(mount, after=0)
        deadline = time.monotonic() + PATIENCE
        while len(entries) < 5 and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
            entries = service.journal(mount, after=0)
        assert [entry["path"] for entry in entries] == [f"d{turn}" for turn in range(5)], "a follower hears of them too"
        feed = service.call("GET", "/ready").json()["checks"]["outbox"]
        assert (feed["unpositioned"], feed["unpublished"]) == (0, 0)
    finally:
        service.restart()


async def test_many_commands_at_once_are_told_once_each(service: Service, mount: MountOfTest) -> None:
    readers = [await stream(service, mount, events="filestore.node.created") for _ in range(3)]
    async with service.async_client() as client:

        async def one(number: int) -> None:
            answer = await client.post("/v1/directories", json={"backendMountId": mount.id, "path": f"d{number:03}"})
            assert answer.status_code == 201, answer.text

        await asyncio.gather(*(one(number) for number in range(200)))
        found = await asyncio.gather(*(reader.events(200) for reader in readers))
        for blocks in found:
            positions = [block.id or 0 for block in blocks]
            assert positions == sorted(set(positions))
            assert sorted(path for _, path in types_and_paths(blocks)) == [f"d{number:03}" for number in range(200)]
        seen: list[str] = []
        after = 0
        while len(seen) < 200:
            answer = await client.get("/v1/journal", params={"backendMountId": mount.id, "after": after, "limit": 60})
            data = answer.json()["data"]
            seen += [entry["path"] for entry in data["entries"]]
            after = data["pagination"]["nextAfter"]
        assert sorted(seen) == [f"d{number:03}" for number in range(200)]
