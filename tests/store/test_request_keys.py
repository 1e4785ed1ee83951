"""Keys of requests that make something and are no commands: one key, one thing, whatever comes at the same time."""

import asyncio
import uuid
from datetime import timedelta

import pytest

from schema.errors import IdempotencyConflict
from schema.store import request_keys as store
from schema.store.pool import Pool
from schema.store.request_keys import KeyedRequest


def asked(key: str | None = None, hash: bytes = b"a" * 32, principal: str = "ann") -> KeyedRequest:
    return KeyedRequest("main", principal, key or uuid.uuid4().hex, hash)


async def made_once(pool: Pool, request: KeyedRequest, id: str) -> str:
    async with pool.connection() as connection, connection.transaction():
        known = await store.take(connection, request)
        if known is None:
            await store.keep(connection, request, id)
        return known or id


async def test_a_key_names_what_was_made_under_it_and_another_request_is_refused(pool: Pool) -> None:
    request = asked()
    async with pool.connection() as connection:
        assert await store.find(connection, request) is None
    assert await made_once(pool, request, "7") == "7"
    assert await made_once(pool, request, "8") == "7"
    assert await made_once(pool, asked(request.key, principal="ben"), "9") == "9", "another principal's key is another"
    async with pool.connection() as connection:
        assert await store.find(connection, request) == "7"
        for refused in (store.find, store.take):
            with pytest.raises(IdempotencyConflict):
                await refused(connection, asked(request.key, b"b" * 32))


async def test_of_requests_at_the_same_time_one_makes_it(pool: Pool) -> None:
    request = asked()
    made = await asyncio.gather(*(made_once(pool, request, str(number)) for number in range(4)))
    assert len(set(made)) == 1


async def test_a_transaction_that_fails_leaves_its_key_free(pool: Pool) -> None:
    request = asked()
    async with pool.connection() as connection:
        with pytest.raises(ZeroDivisionError):
            async with connection.transaction():
                assert await store.take(connection, request) is None
                raise ZeroDivisionError
    assert await made_once(pool, request, "7") == "7"


async def test_keys_go_when_their_time_is_over(pool: Pool) -> None:
    old, fresh = asked(), asked()
    for request in (old, fresh):
        await made_once(pool, request, "7")
    async with pool.connection() as connection:
        await connection.execute(
            b"UPDATE filestore.request_keys SET created_at = now() - interval '31 days' WHERE key = %s", [old.key]
        )
        assert await store.forget(connection, timedelta(days=30), 1000) >= 1
        assert await store.find(connection, old) is None and await store.find(connection, fresh) == "7"
