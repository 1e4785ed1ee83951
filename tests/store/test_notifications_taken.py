"""The watcher's part in notifications: it takes them from a Redis stream, and writes canaries where they are due."""

import asyncio
import json
import uuid
from contextlib import suppress

import redis.asyncio as redis

from activities import budgets
from activities.executors.contract.executor import Executor
from activities.executors.memory.executor import MemoryExecutor
from schema.drift.notifications import NamedKey
from schema.errors import MountOffline
from schema.ids import MountId
from schema.mounts import Mount
from schema.settings import Settings
from schema.store import bucket_notifications as store
from schema.store import drift_hints, mounts
from schema.store.pool import Pool
from tests.fix_stack import Stack
from workers.buses.notifications import RedisNotifications
from workers.watching.notifications import Canaries, follow


async def bucket_of(pool: Pool, mount: MountId) -> str:
    async with pool.connection() as connection:
        await connection.execute(
            "UPDATE filestore.backend_mounts SET backend_kind = 's3', bucket = %s, prefix = '' WHERE id = %s",
            (f"taken-{mount}", mount),
        )
    return f"taken-{mount}"


def notification(bucket: str, key: str) -> str:
    return json.dumps({"Records": [{"s3": {"bucket": {"name": bucket}, "object": {"key": key}}}]})


async def test_notifications_of_a_stream_are_hints_and_done_and_what_is_none_is_dropped(
    pool: Pool, mount: MountId, stack: Stack
) -> None:
    bucket, stream = await bucket_of(pool, mount), f"stream-{uuid.uuid4().hex[:8]}"
    client = redis.from_url(stack.env["REDIS_URL"])
    died = RedisNotifications(stack.env["REDIS_URL"], stream)
    for text in (notification(bucket, "first"), "no json", "[]", notification(bucket, "last")):
        await client.xadd(stream, {"notification": text})
    await client.xadd(stream, {"other": "field"})
    assert len(await died.take(1)) == 1, "taken, and not done: another process gets it again"
    await died.close()

    queue = RedisNotifications(stack.env["REDIS_URL"], stream)
    wanted: list[MountId] = []
    following = asyncio.create_task(follow(queue, pool, wanted.extend))
    for _ in range(1500):
        if not await client.xlen(stream):
            break
        await asyncio.sleep(0.02)
    assert await client.xlen(stream) == 0
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
    await queue.close()
    await client.aclose()
    assert set(wanted) == {mount}
    async with pool.connection() as connection:
        assert sorted(hint.path for hint in await drift_hints.take(connection, mount, 10)) == [b"first", b"last"]


class SingingExecutor(MemoryExecutor):
    def __init__(self, offline: bool = False) -> None:
        super().__init__()
        self.sung, self.offline = 0, offline

    def put_canary(self) -> None:
        if self.offline:
            raise MountOffline()
        self.sung += 1


async def test_a_canary_is_written_where_one_is_due_and_waited_for_once_it_is_written(
    pool: Pool, mount: MountId
) -> None:
    bucket = await bucket_of(pool, mount)
    executor = SingingExecutor()

    def opened(one: Mount, spool: str) -> Executor:
        return executor if one.id == mount else MemoryExecutor()

    canaries = Canaries(Settings(host_id="test-host"), pool, budgets.LOOKS.build(), opened)  # type: ignore[call-arg]
    await canaries.put_due()
    assert executor.sung == 0, "a bucket that never sent a notification gets none"
    await _hear(pool, mount, bucket)
    executor.offline = True
    await canaries.put_due()
    assert await _waits(pool, mount) == 0, "the bucket is away: its notifications are not to blame"
    executor.offline = False
    await canaries.put_due()
    await canaries.put_due()
    assert executor.sung == 1
    assert await _waits(pool, mount) > 0


async def _hear(pool: Pool, mount: MountId, bucket: str) -> None:
    async with pool.connection() as connection:
        found = await mounts.find(connection, mount, "main")
        assert found is not None
        await store.notice(connection, [found], [NamedKey(bucket, b"x")])


async def _waits(pool: Pool, mount: MountId) -> float:
    async with pool.connection() as connection:
        row = await store.notifications_of(connection, mount)
        assert row is not None
        return row.waits
