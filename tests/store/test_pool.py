"""A server that is stopped keeps its connections open and answers no request: callers hear so in time."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from psycopg import AsyncConnection, OperationalError
from psycopg.rows import DictRow
from psycopg_pool import PoolTimeout

from schema.store import pool as store
from schema.store import trees
from schema.store.pool import LimitedConnection, make_pool


@contextmanager
def stopped(*backends: int) -> Iterator[None]:
    """The servers of these connections, which run on this machine."""
    for pid in backends:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in backends:
            os.kill(pid, signal.SIGCONT)


async def backend(connection: AsyncConnection[DictRow]) -> int:
    row = await (await connection.execute("SELECT pg_backend_pid() AS pid")).fetchone()
    assert row is not None
    return int(row["pid"])


async def test_a_silent_server_is_given_up_and_its_connection_closed(record_url: str) -> None:
    async with make_pool(record_url, name="silent", min_size=1, max_size=1) as pool:
        async with pool.connection() as connection:
            assert isinstance(connection, LimitedConnection)
            silent = await backend(connection)
            connection.answer_seconds = 0.3
            with stopped(silent):
                began = time.monotonic()
                with pytest.raises(OperationalError):
                    async with connection.transaction():
                        await connection.execute("SELECT 1")
                assert connection.closed
                assert time.monotonic() - began < store.ANSWER_SECONDS
        async with pool.connection() as connection:
            assert await backend(connection) != silent


async def test_a_tree_may_take_longer_and_what_comes_after_may_not(
    record_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "ANSWER_SECONDS", 0.3)
    async with make_pool(record_url, name="tree", min_size=1, max_size=1) as pool:
        async with pool.connection() as connection, connection.transaction():
            await trees.allow_time(connection)
            await connection.execute("SELECT pg_sleep(0.6)")
        with pytest.raises(OperationalError):
            async with pool.connection() as connection:
                await connection.execute("SELECT pg_sleep(0.6)")


async def test_a_silent_connection_is_not_handed_out(record_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_CHECK_SECONDS", 0.3)
    monkeypatch.setattr(store, "_CHECK_AFTER_SECONDS", 0.0)
    async with make_pool(record_url, name="handed", min_size=1, max_size=1, timeout=10) as pool:
        async with pool.connection() as connection:
            silent = await backend(connection)
        with stopped(silent):
            async with pool.connection() as connection:
                assert await backend(connection) != silent
                assert isinstance(connection, LimitedConnection)
                assert connection.answer_seconds == store.ANSWER_SECONDS


async def test_where_everything_is_silent_the_pool_says_so(record_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_CHECK_SECONDS", 0.3)
    monkeypatch.setattr(store, "_CHECK_AFTER_SECONDS", 0.0)
    async with make_pool(record_url, name="all", min_size=1, max_size=1, timeout=0.2) as pool:
        async with pool.connection() as connection:
            silent = await backend(connection)
        with stopped(silent), pytest.raises(PoolTimeout):
            async with pool.connection():
                pass
