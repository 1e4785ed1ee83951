"""Positions are gapless and follow commits, whatever order the ids were drawn in."""

import asyncio
import json

import pytest

from schema.ids import MountId
from schema.store import events as store
from schema.store.pool import Pool
from tests.store.helpers import Connection, Protocol, mkdir

EVENT = "INSERT INTO filestore.outbox (tenant, mount_id, type, data) VALUES ('main', 1, %s, '{}')"


@pytest.fixture(autouse=True)
async def drained(pool: Pool) -> None:
    """Every test begins with a feed in which nothing waits."""
    await give(pool)


async def give(pool: Pool, limit: int = 1000) -> int:
    total = 0
    async with pool.connection() as connection:
        while given := await store.give_positions(connection, limit):
            total += given
            await connection.commit()
    return total


async def after(pool: Pool, position: int) -> list[tuple[int, str]]:
    async with pool.connection() as connection:
        return [(event.position, event.type) for event in await store.after(connection, position, 10_000)]


async def last(pool: Pool) -> int:
    async with pool.connection() as connection:
        return (await store.lag(connection)).position


async def test_a_short_transaction_waits_for_a_long_one_that_began_before_it(
    pool: Pool, connection: Connection, other: Connection
) -> None:
    start = await last(pool)
    await connection.execute(EVENT, ("A",))
    await other.execute(EVENT, ("B",))
    await other.commit()
    assert await give(pool) == 0, "A is open still: a consumer that had seen B would miss it"
    await connection.commit()
    assert await give(pool) == 2
    assert await after(pool, start) == [(start + 1, "A"), (start + 2, "B")]


async def test_what_began_after_the_horizon_waits_and_what_came_before_does_not(
    pool: Pool, connection: Connection, other: Connection
) -> None:
    start = await last(pool)
    await other.execute(EVENT, ("early",))
    await other.commit()
    await connection.execute(EVENT, ("open",))
    await other.execute(EVENT, ("late",))
    await other.commit()
    assert await give(pool) == 1
    assert await after(pool, start) == [(start + 1, "early")]
    await connection.commit()
    await give(pool)
    assert [type_ for _, type_ in await after(pool, start)] == ["early", "open", "late"]


async def test_a_transaction_that_is_rolled_back_leaves_no_gap(pool: Pool, connection: Connection) -> None:
    start = await last(pool)
    for type_, keep in (("1", True), ("lost", False), ("2", True)):
        await connection.execute(EVENT, (type_,))
        await (connection.commit() if keep else connection.rollback())
    assert await give(pool) == 2
    assert await after(pool, start) == [(start + 1, "1"), (start + 2, "2")]


async def test_pages_and_many_writers_leave_no_gap_and_lose_nothing(pool: Pool) -> None:
    start = await last(pool)

    async def write(name: int) -> None:
        for turn in range(10):
            async with pool.connection() as connection, connection.transaction():
                await connection.execute(EVENT, (f"{name}",))
                await connection.execute(EVENT, (f"{name}",))
                await asyncio.sleep(0.001 * (turn % 3))

    writers = [asyncio.create_task(write(name)) for name in range(5)]
    while not all(writer.done() for writer in writers):
        await give(pool, limit=7)
    await asyncio.gather(*writers)
    await give(pool, limit=7)
    seen = await after(pool, start)
    assert [position for position, _ in seen] == list(range(start + 1, start + 101))
    assert sorted(type_ for _, type_ in seen) == sorted(str(name) for name in range(5) for _ in range(20))


async def test_only_one_publisher_is_at_work(pool: Pool, connection: Connection, other: Connection) -> None:
    assert await store.lock_feed(connection)
    assert not await store.lock_feed(other)
    await store.unlock_feed(connection)
    assert await store.lock_feed(other)
    await store.unlock_feed(other)


async def test_what_is_published_is_not_published_again_and_never_taken_back(
    pool: Pool, connection: Connection
) -> None:
    start = await last(pool)
    async with pool.connection() as session:
        await store.published(session, start)
    for type_ in "123":
        await connection.execute(EVENT, (type_,))
    await connection.commit()
    await give(pool)
    async with pool.connection() as session:
        assert [event.position - start for event in await store.unpublished(session, 10)] == [1, 2, 3]
        await store.published(session, start + 2)
        await store.published(session, start + 1)
        assert [event.position - start for event in await store.unpublished(session, 10)] == [3]
        lag = await store.lag(session)
        assert (lag.unpositioned, lag.unpublished) == (0, 1)


async def test_a_command_tells_of_its_node_and_of_its_end_in_that_order(
    pool: Pool, protocol: Protocol, mount: MountId
) -> None:
    start = await last(pool)
    await protocol.run(mount, mkdir(mount, "x"), mkdir(mount, "no/x"))
    await give(pool)
    async with pool.connection() as connection:
        told = [(e.type, json.loads(e.data)) for e in await store.after(connection, start, 10)]
    ends = [data["status"] for type_, data in told if type_ == "filestore.command.completed"]
    assert sorted(ends) == ["failed", "succeeded"]
    types = [type_ for type_, data in told if data["path"] == "x"]
    assert types == ["filestore.node.created", "filestore.command.completed"]
