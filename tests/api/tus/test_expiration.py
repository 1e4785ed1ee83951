"""The end of uploads that no client goes on with."""

import os
import time
import uuid
from pathlib import Path

import httpx2

from api.uploads.tus.expiry import expire_uploads
from schema.store import leftovers as leftover_store
from schema.store.pool import Pool
from tests.api.conftest import FrontOfTest, Tree
from tests.api.tus.helpers import V, begin, files, patch


async def age(pool: Pool, where: str) -> None:
    async with pool.connection() as connection:
        await connection.execute(
            "UPDATE filestore.stages SET expires_at = now() - interval '1 second' WHERE id = %s",
            [where.rpartition("/")[2]],
        )


async def test_an_expired_upload_is_gone_and_takes_no_space(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, pool: Pool, spool: Path
) -> None:
    where, other = await begin(client, tree, 10), await begin(client, tree, 10)
    await age(pool, where)
    assert (await client.head(where, headers=V)).status_code == 410, "before a sweep"
    assert (await patch(client, where, 0, b"hello")).status_code == 410
    async with pool.connection() as connection:  # the sweep of the mount leaves uploads alone
        await leftover_store.forget_stages(connection, tree.mount)
    assert await expire_uploads(front.app.state.front) == 1
    assert files(spool) == [other.rpartition("/")[2]]
    assert (await client.head(where, headers=V)).status_code == 410, "and after it"
    assert (await patch(client, other, 0, b"hello")).status_code == 204
    await age(pool, where)
    assert await expire_uploads(front.app.state.front) == 0
    assert (await client.head(where, headers=V)).status_code == 404, "forgotten, long after"


async def test_each_chunk_gives_more_time(client: httpx2.AsyncClient, tree: Tree, pool: Pool) -> None:
    where = await begin(client, tree, 10)
    async with pool.connection() as connection:
        await connection.execute(
            "UPDATE filestore.stages SET expires_at = now() + interval '1 minute' WHERE id = %s",
            [where.rpartition("/")[2]],
        )
    before = (await client.head(where, headers=V)).headers["upload-expires"]
    answer = await patch(client, where, 0, b"hello")
    assert answer.headers["upload-expires"] != before


async def test_files_without_an_upload_are_removed_when_they_are_old(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, spool: Path
) -> None:
    where = await begin(client, tree, 10)
    orphan, fresh, strange = spool / str(uuid.uuid4()), spool / str(uuid.uuid4()), spool / "notes.txt"
    for place in (orphan, fresh, strange):
        place.write_bytes(b"x")
    old = time.time() - 10 * 86400
    for place in (orphan, strange, spool / where.rpartition("/")[2]):
        os.utime(place, (old, old))
    await expire_uploads(front.app.state.front)
    assert files(spool) == sorted([fresh.name, "notes.txt", where.rpartition("/")[2]])
