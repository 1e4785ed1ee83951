"""Open uploads of a principal are limited, exactly, whichever clients announce at the same time; and those whose time
is over are found."""

import asyncio
import json
import uuid
from typing import Any

import pytest

from schema.errors import FilestoreError, RateLimited, StorageFull
from schema.ids import new_command_id
from schema.store import uploads as store
from schema.store.pool import Pool
from schema.store.uploads import Allowance, NewUpload
from schema.uploads import Announcement
from tests.store.helpers import Connection

PLENTY = Allowance(10**6, 10**18)


def new(principal: str, expected: int | None = 10, **changes: Any) -> NewUpload:
    announcement = Announcement(kind="whole", host="test-host")
    return NewUpload(str(new_command_id()), "main", principal, None, None, expected, announcement, **changes)


def new_principal() -> str:
    return f"user-{uuid.uuid4().hex[:8]}"


async def announce(pool: Pool, upload: NewUpload, most: Allowance, keep: float = 60) -> type[FilestoreError] | None:
    try:
        async with pool.connection() as connection, connection.transaction():
            await store.create(connection, upload, keep, most)
    except FilestoreError as error:
        return type(error)
    return None


@pytest.mark.parametrize(
    ("most", "fit", "refusal"), [(Allowance(7, 10**9), 7, RateLimited), (Allowance(100, 95), 9, StorageFull)]
)
async def test_of_many_announced_at_once_exactly_those_that_fit_are_taken(
    pool: Pool, most: Allowance, fit: int, refusal: type[FilestoreError]
) -> None:
    me = new_principal()
    answers = await asyncio.gather(*[announce(pool, new(me), most) for _ in range(60)])
    assert answers.count(None) == fit
    assert answers.count(refusal) == 60 - fit
    assert await announce(pool, new(new_principal()), most) is None  # another principal has a limit of its own


async def test_what_has_ended_or_expired_and_the_same_upload_again_do_not_count(pool: Pool) -> None:
    me, most = new_principal(), Allowance(2, 20)
    ended, expired, same = new(me), new(me), new(me)
    assert await announce(pool, ended, most) is None
    assert await announce(pool, expired, most, keep=-1) is None
    async with pool.connection() as connection:
        await store.end(connection, [ended.id], "done", None, 60)
    assert await announce(pool, same, most) is None
    assert await announce(pool, new(me), most) is None
    assert await announce(pool, new(me), most) is RateLimited
    assert await announce(pool, same, most) is None


async def test_an_upload_made_of_others_announces_no_bytes_of_its_own(pool: Pool) -> None:
    me, most = new_principal(), Allowance(9, 20)
    parts = [new(me), new(me)]
    assert [await announce(pool, part, most) for part in parts] == [None, None]
    assert await announce(pool, new(me, 20, parts=[part.id for part in parts]), most) is None
    assert await announce(pool, new(me, 1), most) is StorageFull


async def test_all_that_may_be_open_can_be_put_together(pool: Pool) -> None:
    me, most = new_principal(), Allowance(3, 100)
    parts = [new(me) for _ in range(3)]
    assert [await announce(pool, part, most) for part in parts] == [None, None, None]
    assert await announce(pool, new(me), most) is RateLimited
    assert await announce(pool, new(me, 30, parts=[part.id for part in parts]), most) is None
    assert await announce(pool, new(me), most) is RateLimited


async def test_a_length_that_is_told_later_counts_from_then_on(pool: Pool) -> None:
    me, most = new_principal(), Allowance(9, 20)
    later, other = new(me, None), new(me, 15)
    assert [await announce(pool, one, most) for one in (later, other)] == [None, None]
    async with pool.connection() as connection:
        with pytest.raises(StorageFull):
            async with connection.transaction():
                await store.fix_length(connection, later.id, 6, "main", me, most)
        async with connection.transaction():
            assert await store.fix_length(connection, later.id, 5, "main", me, most)


MANY = """
INSERT INTO filestore.stages (id, principal, upload_state, expected, request, expires_at)
SELECT gen_random_uuid(), %(principal)s || i %% %(principals)s, %(state)s, 1,
       jsonb_build_object('host', %(host)s::text, 'kind', 'whole'), now() - make_interval(secs => i %% 1000 + 1)
  FROM generate_series(1, %(rows)s) i"""


async def many(connection: Connection, rows: int, host: str, state: str = "open", principals: int = 100) -> None:
    values = {"rows": rows, "host": host, "state": state, "principal": "many-", "principals": principals}
    await connection.execute(MANY, values)


async def test_overdue_uploads_come_page_by_page_each_of_them_once(connection: Connection) -> None:
    await many(connection, 1_250, "this-host")
    await many(connection, 10, "another-host")
    pages = [await store.overdue(connection, "this-host")]
    while pages[-1]:
        pages.append(await store.overdue(connection, "this-host", pages[-1][-1]))
    assert [len(page) for page in pages] == [500, 500, 250, 0]
    assert len({id for page in pages for _, id in page}) == 1_250


async def touched(connection: Connection, query: str, **values: Any) -> int:
    """Pages of tables and indexes that a query looks at."""
    explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {store.SQL[query].partition('-- name')[0]}"
    cursor = await connection.execute(explain.encode(), values)
    [row] = await cursor.fetchall()
    [plan] = row["QUERY PLAN"] if not isinstance(row["QUERY PLAN"], str) else json.loads(row["QUERY PLAN"])
    return int(plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"])


async def test_expiry_and_limits_look_at_their_own_rows_among_200_000(connection: Connection) -> None:
    """Uploads of a host that is gone stay overdue for ever, and ended ones stay for a week: neither is looked through."""
    # A host of its own: what other tests took back still lies in the index of theirs.
    await many(connection, 100_000, "a host that is gone")
    await many(connection, 100_000, "a host of this test", state="done")
    await many(connection, 10, "a host of this test", principals=1)
    await connection.execute("ANALYZE filestore.stages")
    first = {"host": "a host of this test", "expired": store.BEGINNING[0], "after": store.BEGINNING[1]}
    assert await touched(connection, "overdue", **first) < 200
    assert await touched(connection, "expire_direct", keep=60) < 200
    me = {"tenant": "main", "principal": "nobody in particular", "id": str(uuid.uuid4())}
    assert await touched(connection, "open_of", **me) < 200
