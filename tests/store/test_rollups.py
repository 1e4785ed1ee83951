"""Totals are exact at every moment, before, while and after they are folded."""

import asyncio

from schema.ids import MountId
from schema.locks import Lock
from schema.store import events
from schema.store import rollups as store
from schema.store.pool import Pool
from tests.store.helpers import Connection, Protocol, mkdir, upload

READ = """SELECT r.size_bytes, r.file_count, r.child_count FROM filestore.nodes n, filestore.rollup_of(n.id) r
           WHERE n.mount_id = %s AND n.depth = 0"""


async def total(pool: Pool, mount: MountId) -> tuple[int, ...]:
    async with pool.connection() as connection:
        row = await (await connection.execute(READ, (mount,))).fetchone()
    assert row is not None
    return tuple(row.values())


async def fold(pool: Pool, limit: int = 10_000) -> int:
    async with pool.connection() as connection, connection.transaction():
        return await store.fold(connection, limit)


async def test_folding_changes_no_total(pool: Pool, protocol: Protocol, mount: MountId) -> None:
    await protocol.run(mount, mkdir(mount, "d"))
    await protocol.run(mount, *(upload(mount, f"d/{n}", n) for n in range(10)))
    before = await total(pool, mount)
    assert before == (45, 10, 1)
    while await fold(pool, 3):
        assert await total(pool, mount) == before
    async with pool.connection() as connection:
        cursor = await connection.execute("SELECT count(*) FROM filestore.rollup_deltas")
        assert await cursor.fetchone() == {"count": 0}


async def test_a_reader_is_exact_while_a_folder_is_at_work(pool: Pool, protocol: Protocol, mount: MountId) -> None:
    delta = """INSERT INTO filestore.rollup_deltas (directory_id, size_bytes, file_count, directory_count, child_count)
               SELECT id, 1, 1, 0, 1 FROM filestore.nodes, generate_series(1, %s) WHERE mount_id = %s AND depth = 0"""
    async with pool.connection() as connection:
        await connection.execute(delta, (500, mount))
    folding = asyncio.create_task(_keep_folding(pool))
    seen = {await total(pool, mount) for _ in range(100)}
    await folding
    assert seen == {(500, 500, 500)}
    assert await total(pool, mount) == (500, 500, 500)


async def _keep_folding(pool: Pool) -> None:
    while await fold(pool, 10):
        pass


async def test_totals_only_ever_rise_while_only_additions_are_made_and_folded(
    pool: Pool, protocol: Protocol, mount: MountId
) -> None:
    async def write() -> None:
        for n in range(20):
            await protocol.run(mount, upload(mount, f"f{n}", 1))
            await fold(pool, 5)

    writing = asyncio.create_task(write())
    seen = []
    while not writing.done():
        seen.append((await total(pool, mount))[0])
        await asyncio.sleep(0)
    await writing
    assert seen == sorted(seen)
    assert await total(pool, mount) == (20, 20, 20)


async def test_one_folder_at_a_time(
    pool: Pool, connection: Connection, other: Connection, protocol: Protocol, mount: MountId
) -> None:
    await protocol.run(mount, upload(mount, "a", 1), upload(mount, "b", 1))
    assert await store.fold(connection, 1) == 2, "one of rollups, one of what is charged"
    assert await store.fold(other, 1) == 0, "another process is at it"
    await connection.commit()
    await protocol.run(mount, upload(mount, "c", 1))
    assert await store.fold(other, 1) == 2
    await other.commit()


async def test_deltas_are_folded_while_redis_hangs(pool: Pool, protocol: Protocol, mount: MountId) -> None:
    await protocol.run(mount, *(upload(mount, f"{n}", n) for n in range(3)))
    async with pool.connection() as speaking:
        assert await events.lock(speaking, Lock.BUS), "a publisher that waits for Redis keeps this lock"
        try:
            assert await fold(pool) > 0
        finally:
            await events.unlock(speaking, Lock.BUS)
