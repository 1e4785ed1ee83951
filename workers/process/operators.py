"""What the commands of operators share: one connection to Postgres, and the end when it can not be asked."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from schema.store.connection import Connection


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    """What stands open at the end is committed, or taken back where the command fails."""
    async with await psycopg.AsyncConnection.connect(url, row_factory=dict_row, connect_timeout=5) as connection:
        yield connection


def answered(work: Coroutine[Any, Any, int]) -> int:
    """The exit code of a command; 3 when Postgres can not be asked."""
    try:
        return asyncio.run(work)
    except psycopg.OperationalError as error:
        print(f"Postgres can not be asked: {error}. See FILESTORE_DATABASE_URL.", file=sys.stderr)
        return 3
