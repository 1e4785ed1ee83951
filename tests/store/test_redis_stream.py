"""The Redis stream has every event once, in its order, whatever is sent again; consumer groups share it."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis.asyncio as redis

from schema.settings import Settings
from schema.store.events import Event
from tests.fix_stack import Stack
from workers.buses.redis import EventsStream, RedisBus

Client = Any


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[Client]:
    opened = redis.from_url(stack.env["REDIS_URL"])
    yield opened
    await opened.aclose()


def some(first: int, last: int) -> list[Event]:
    return [Event(n, "filestore.node.created", json.dumps({"path": f"f{n}"})) for n in range(first, last + 1)]


async def test_a_stream_has_each_event_once_and_groups_share_it(stack: Stack, client: Client) -> None:
    name = f"stream-{uuid.uuid4().hex[:8]}"
    bus = RedisBus(stack.env["REDIS_URL"], f"channel-{name}", EventsStream(name, 0))
    await bus.send(some(1, 5))
    await bus.send(some(3, 8))  # a publisher that died after it had sent them
    found = await client.xrange(name)
    assert [id for id, _ in found] == [f"{n}-0".encode() for n in range(1, 9)]
    fields = found[6][1]
    assert fields[b"type"] == b"filestore.node.created" and fields[b"position"] == b"7"
    assert json.loads(fields[b"event"])["event"] == {"type": "filestore.node.created", "data": {"path": "f7"}}
    await client.xgroup_create(name, "workers", id="0")
    [[_, one], [_, other]] = [
        (await client.xreadgroup("workers", reader, {name: ">"}, count=4))[0] for reader in ("one", "other")
    ]
    assert sorted(id for id, _ in [*one, *other]) == [id for id, _ in found]
    await client.delete(name)
    await bus.send(some(9, 9))
    assert [id for id, _ in await client.xrange(name)] == [b"9-0"], "a Redis that was flushed goes on"
    await client.delete(name)
    await bus.close()


async def test_a_stream_is_trimmed_and_a_channel_without_one_is_as_before(stack: Stack, client: Client) -> None:
    name = f"stream-{uuid.uuid4().hex[:8]}"
    bus = RedisBus(stack.env["REDIS_URL"], f"channel-{name}", EventsStream(name, 100))
    await bus.send(some(1, 1000))
    assert 100 <= await client.xlen(name) < 400
    await client.delete(name)
    await client.set(name, "no stream")
    async with client.pubsub(ignore_subscribe_messages=True) as heard:
        await heard.subscribe(f"channel-{name}")
        await heard.get_message(timeout=5)
        for _ in range(3):
            with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
                await bus.send(some(1001, 1002))
        await client.delete(name)
        await bus.send(some(1001, 1002))
        told = [json.loads((await heard.get_message(timeout=5))["data"])["position"] for _ in range(2)]
        assert told == [1001, 1002] and await heard.get_message(timeout=0.1) is None, "once, however often it was tried"
    await client.delete(name)
    await bus.close()
    plain = RedisBus(stack.env["REDIS_URL"], f"channel-{name}")
    async with client.pubsub(ignore_subscribe_messages=True) as heard:
        await heard.subscribe(f"channel-{name}")
        await asyncio.sleep(0)
        await heard.get_message(timeout=5)
        await plain.send(some(1, 2))
        messages = [json.loads((await heard.get_message(timeout=5))["data"])["position"] for _ in range(2)]
    assert messages == [1, 2] and not await client.exists(name)
    await plain.close()


def test_inline_mode_needs_no_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    for environment, url in (({"FILESTORE_EVENTS_MODE": "inline"}, "inline"), ({"REDIS_URL": "inline"}, "inline"),
                             ({"REDIS_URL": ""}, "inline"), ({"REDIS_URL": "redis://x"}, "redis://x"),
                             ({"FILESTORE_EVENTS_MODE": "inline", "REDIS_URL": "redis://x"}, "inline")):  # fmt: skip
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            assert Settings().redis_url == url, environment  # type: ignore[call-arg]
