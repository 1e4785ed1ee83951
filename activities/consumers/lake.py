"""The lake: DuckDB over Parquet files whose catalogue is in Postgres (DuckLake). Everything here blocks, and is called in threads.

The extensions come with Python packages and are loaded as files: DuckDB checks their signature, and nothing is fetched.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import duckdb

from schema.sql import load

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

SQL = load("timestore")

CATALOGUE = "timestore"
"""The schema of Postgres that has the catalogue"""


@dataclass(frozen=True, slots=True)
class LakePlace:
    """Where the lake lies, and what a connection to it may take."""

    database_url: str
    path: str
    """A folder, or s3://bucket/prefix"""
    memory_bytes: int
    s3_endpoint: str | None = None
    s3_region: str = "us-east-1"
    s3_key: str | None = None
    s3_secret: str | None = None

    @property
    def in_bucket(self) -> bool:
        return self.path.startswith("s3://")

    @property
    def folder(self) -> str:
        """With a slash at its end."""
        return self.path.rstrip("/") + "/"


@dataclass(frozen=True, slots=True)
class LakeCursor:
    position: int
    written: int
    moved_at: Any


class LakeConflict(Exception):
    """Another process changed the cursor meanwhile: nothing of this batch was kept."""


def connect(place: LakePlace, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """With `lake` attached. Raises duckdb.Error where there is none to read, or Postgres is away."""
    connection = duckdb.connect(
        config={"memory_limit": f"{place.memory_bytes}B", "threads": 2, "custom_user_agent": "filestore"}
    )
    for extension in ("ducklake", "postgres_scanner", *(("httpfs",) if place.in_bucket else ())):
        connection.load_extension(_file_of(extension))
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET pg_pool_max_connections = 4")
    if place.in_bucket:
        connection.execute(_secret(place))
    elif not read_only:
        os.makedirs(place.folder, exist_ok=True)
    connection.execute(_attach(place, read_only=read_only))
    return connection


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """The tables are there afterwards. Doing it again is harmless."""
    if not connection.execute("FROM duckdb_tables() WHERE database_name = 'lake'").fetchall():
        connection.execute("BEGIN")
        connection.execute(SQL["create"])
        connection.execute(SQL["partition"])
        connection.execute(SQL["create_cursor"])
        connection.execute(SQL["first_cursor"])
        connection.execute("COMMIT")


class LakeFeed:
    """Pages of the feed as Arrow. DuckDB reads them from Postgres: received and cut into columns by Python, an event took nearly as
    much of the processor again as writing it does. One read at a time."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._turn = threading.Lock()

    def read(self, query: str) -> pa.Table:
        """What this query of Postgres answers."""
        with self._turn:
            try:
                return self._open().execute("FROM postgres_query('feed', $query)", {"query": query}).to_arrow_table()
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> duckdb.DuckDBPyConnection:
        if self._connection is None:
            connection = duckdb.connect(config={"threads": 1, "custom_user_agent": "filestore"})
            connection.load_extension(_file_of("postgres_scanner"))
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(_feed(self._url))
            self._connection = connection
        return self._connection


class Lake:
    """The one who writes. It holds a connection, and makes a new one after a failure."""

    def __init__(self, place: LakePlace) -> None:
        self.place = place
        self._connection: duckdb.DuckDBPyConnection | None = None

    def cursor(self) -> LakeCursor:
        row = self._open().execute(SQL["cursor"]).fetchone()
        assert row is not None
        return LakeCursor(*row)

    def take(self, batch: pa.Table, after: int, position: int) -> None:
        """Add the rows of a batch and move the cursor, in one transaction. Raises LakeConflict."""
        self._in_transaction(lambda connection: self._take(connection, batch, after, position))

    def rebuild(self, batches: Any, position: int) -> int:
        """Replace what the journal tells by these batches; how many rows there are of them."""
        written = 0

        def replace(connection: duckdb.DuckDBPyConnection) -> None:
            nonlocal written
            connection.execute(SQL["move"], {"position": position, "written": 0})
            connection.execute(SQL["forget_journal"])
            for batch in batches:
                connection.register("batch", batch)
                connection.execute(SQL["take"])
                written += batch.num_rows

        self._in_transaction(replace)
        return written

    def compact(self, keep_seconds: float) -> None:
        """Merge small files, and remove what no state of the last so many seconds needs."""
        connection = self._open()
        try:
            for name in ("flush", "rewrite", "merge"):
                connection.execute(_UPKEEP[name])
            for name in ("expire", "clean"):
                connection.execute(_UPKEEP[name], {"seconds": keep_seconds})
        except duckdb.Error:
            self.close()
            raise

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _take(self, connection: duckdb.DuckDBPyConnection, batch: pa.Table, after: int, position: int) -> None:
        row = connection.execute(SQL["cursor"]).fetchone()
        if row is None or row[0] != after:
            raise LakeConflict(f"the cursor is not at {after} any more")
        connection.register("batch", batch)
        connection.execute(SQL["take"])
        connection.execute(SQL["move"], {"position": position, "written": batch.num_rows})

    def _in_transaction(self, change: Any) -> None:
        connection = self._open()
        try:
            connection.execute("BEGIN")
            change(connection)
            connection.execute("COMMIT")
        except duckdb.TransactionException as error:
            self.close()
            raise LakeConflict(str(error)) from error
        except BaseException:
            self.close()
            raise

    def _open(self) -> duckdb.DuckDBPyConnection:
        if self._connection is None:
            connection = connect(self.place)
            prepare(connection)
            self._connection = connection
        return self._connection


_UPKEEP = {
    "flush": SQL["flush"], "merge": SQL["merge"], "rewrite": SQL["rewrite"], "expire": SQL["expire"], "clean": SQL["clean"],
}  # fmt: skip


def _file_of(extension: str) -> str:
    """The file that the package of this name has for the version of duckdb that is installed."""
    package = files(f"duckdb_extension_{extension}")
    return str(package / "extensions" / f"v{duckdb.__version__}" / f"{extension}.duckdb_extension")


def _attach(place: LakePlace, *, read_only: bool) -> str:
    options = [
        f"DATA_PATH {literal(place.folder)}",
        f"METADATA_SCHEMA {literal(CATALOGUE)}",
        *(["READ_ONLY"] if read_only else []),
    ]
    return f"ATTACH {literal('ducklake:postgres:' + place.database_url)} AS lake ({', '.join(options)})"


def _feed(database_url: str) -> str:
    return f"ATTACH {literal(database_url)} AS feed (TYPE postgres, READ_ONLY)"


def _secret(place: LakePlace) -> str:
    endpoint = place.s3_endpoint or ""
    fields = [
        f"KEY_ID {literal(place.s3_key or '')}",
        f"SECRET {literal(place.s3_secret or '')}",
        f"REGION {literal(place.s3_region)}",
    ]
    if endpoint:
        secure = str(not endpoint.startswith("http://")).lower()
        fields += [
            f"ENDPOINT {literal(endpoint.split('://')[-1].rstrip('/'))}",
            "URL_STYLE 'path'",
            f"USE_SSL {secure}",
        ]
    return f"CREATE OR REPLACE SECRET lake (TYPE s3, {', '.join(fields)})"


def literal(value: str) -> str:
    """A literal of DuckDB."""
    return "'" + value.replace("'", "''") + "'"
