"""A real Postgres for the functions of `schema/store`: databases of this run alone, dropped when it ends.

The server is the one of the run's stack, or an existing one where databases may be created: TEST_DATABASE_URL.
"""

import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator

import psycopg
import pytest
from psycopg.rows import dict_row

from schema.ids import MountId
from schema.migrate import migrate
from schema.store.pool import Pool, make_pool
from tests.store.helpers import OPTIONS, TOKEN_OF_COMMANDS, Connection, Protocol, make_mount

Databases = Callable[[], str]


@pytest.fixture(scope="session")
def server_url(request: pytest.FixtureRequest) -> str:
    given = os.environ.get("TEST_DATABASE_URL") or os.environ.get("FILESTORE_DATABASE_URL")
    return given or request.getfixturevalue("stack").env["FILESTORE_DATABASE_URL"]


@pytest.fixture(scope="session")
def new_database(server_url: str) -> Iterator[Databases]:
    """Makes empty databases."""
    names: list[str] = []

    def make() -> str:
        names.append(f"store_{uuid.uuid4().hex[:12]}")
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {names[-1]}".encode())
        return server_url.rsplit("/", 1)[0] + "/" + names[-1]

    yield make
    with psycopg.connect(server_url, autocommit=True) as connection:
        for name in names:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="session")
def _scratch(new_database: Databases) -> str:
    return new_database()


@pytest.fixture
def empty(_scratch: str) -> str:
    """A database with nothing in it. One for all, emptied: dropping a database costs a checkpoint each time."""
    with psycopg.connect(_scratch, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS filestore CASCADE")
        connection.execute("DROP TABLE IF EXISTS public.filestore_migrations")
    return _scratch


@pytest.fixture(scope="session")
def record_url(new_database: Databases) -> str:
    """A migrated database that the tests of a run share; each makes mounts of its own."""
    url = new_database()
    migrate(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TOKEN_OF_COMMANDS)
    return url


@pytest.fixture
async def connection(record_url: str) -> AsyncIterator[Connection]:
    """What is done through it is rolled back."""
    opened = await Connection.connect(record_url, row_factory=dict_row, options=OPTIONS)
    try:
        yield opened
    finally:
        await opened.rollback()
        await opened.close()


@pytest.fixture
async def other(record_url: str) -> AsyncIterator[Connection]:
    """A second session, for what happens at the same time."""
    opened = await Connection.connect(record_url, row_factory=dict_row, options=OPTIONS)
    try:
        yield opened
    finally:
        await opened.rollback()
        await opened.close()


@pytest.fixture(scope="session")
async def pool(record_url: str) -> AsyncIterator[Pool]:
    opened = make_pool(record_url, name="test", min_size=2, max_size=8, generic_plans=True)
    await opened.open(wait=True)
    yield opened
    await opened.close()


@pytest.fixture
def protocol(pool: Pool) -> Protocol:
    return Protocol(pool)


@pytest.fixture
async def mount(pool: Pool) -> MountId:
    async with pool.connection() as opened:
        return await make_mount(opened)
