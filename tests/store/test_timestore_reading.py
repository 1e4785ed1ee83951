"""Questions to the lake: right answers from known rows; and of an operator's SQL, no way out of reading one dataset."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa  # type: ignore[import-untyped]
import pytest

from activities.consumers import reading
from activities.consumers.lake import Lake, LakePlace
from activities.consumers.timestore import table
from schema.errors import InvalidRequest
from tests.store.conftest import Databases

T0 = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def event(type: str, at: datetime, tenant: str = "main", mount: int = 1, **data: Any) -> tuple[Any, ...]:
    return (1, f"filestore.{type}", tenant, mount, at, json.dumps({"observedAt": at.isoformat(), **data}))


def node(type: str, at: datetime, path: str, size: int = 0, files: int = 0, **data: Any) -> tuple[Any, ...]:
    told: dict[str, Any] = {"kind": "file", "nodeId": hash(path) % 1000, "path": path, "sizeBytes": abs(size)} | data
    return event(f"node.{type}", at, delta={"sizeBytes": size, "fileCount": files}, **told)


EVENTS = [
    node("created", T0, "a/x", 100, 1, command="uploadFile"),
    node("uploaded", T0, "a/x", 100, 1),
    event("command.completed", T0, command="uploadFile", status="succeeded", principal="ann", path="a/x",
          startedAt=(T0 - timedelta(seconds=2)).isoformat()),
    node("created", T0 + DAY, "b/y", 50, 1, command="uploadFile"),
    node("updated", T0 + DAY, "a/x", 20, 0, command="uploadFile"),
    node("updated", T0 + 2 * DAY, "b/x", 0, 0, command="moveNode"),
    node("moved", T0 + 2 * DAY, "b/x", 0, 0, sizeBytes=120, movedFrom="a/x"),
    event("command.completed", T0 + 2 * DAY, command="moveNode", status="failed", code="NODE_EXISTS", principal="bob", path="q",
          startedAt=(T0 + 2 * DAY).isoformat()),
    node("deleted", T0 + 3 * DAY, "b/y", -50, -1, command="deleteNode", state="deleted"),
    event("drift.detected", T0 + DAY, nodeId=7, path="b/z"),
    event("node.reconciled", T0 + DAY + timedelta(seconds=30), nodeId=7, path="b/z", kind="file"),
    event("drift.detected", T0 + DAY, nodeId=8, path="b/w"),
    event("node.created", T0, "other", path="theirs", delta={"sizeBytes": 10**9, "fileCount": 1}),
]  # fmt: skip


@pytest.fixture(scope="module")
def reader(new_database: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    place = LakePlace(new_database(), str(tmp_path_factory.mktemp("lake")), 128 * 2**20)
    one = Lake(place)
    one.take(table(EVENTS), 0, 1)
    one.close()
    connection = reading.open_reader(place)
    yield connection
    connection.close()


Named = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def named(reader: duckdb.DuckDBPyConnection) -> Named:
    def ask(name: str, **parameters: Any) -> list[dict[str, Any]]:
        asked = {
            "from": T0.isoformat(),
            "to": (T0 + 4 * DAY).isoformat(),
            "step": 86400,
            "mount": None,
            "path": None,
            "limit": 100,
        }
        question = {"name": name, "parameters": asked | parameters, "tenant": "main", "limit": 100, "format": "json"}
        found: list[dict[str, Any]] = json.loads(reading.answer(reader, question)[1])
        return found

    return ask


def sql(
    reader: duckdb.DuckDBPyConnection, text: str, parameters: Any = (), limit: int = 100, format: str = "json"
) -> Any:
    question = {"sql": text, "parameters": list(parameters), "tenant": "main", "limit": limit, "format": format}
    head, body = reading.answer(reader, question)
    return (head, json.loads(body) if format == "json" else body)


def column(rows: list[dict[str, Any]], *names: str) -> list[Any]:
    return [tuple(row[name] for name in names) if len(names) > 1 else row[names[0]] for row in rows]


def test_growth_is_what_was_held_at_the_end_of_each_step(named: Named) -> None:
    rows = named("growth")
    assert column(rows, "sizeBytes", "fileCount") == [(100, 1), (170, 2), (170, 2), (120, 1)]
    assert column(rows, "deltaBytes", "deltaFiles") == [(100, 1), (70, 1), (0, 0), (-50, -1)]
    assert rows[0]["at"] == "2026-11-01T00:00:00Z"
    later = named("growth", **{"from": (T0 + 2 * DAY).isoformat()})
    assert column(later, "sizeBytes", "deltaBytes") == [(170, 0), (120, -50)], "what came before counts"


def test_growth_of_a_path_counts_what_moved_in_and_out(named: Named) -> None:
    assert column(named("growth", path="a"), "sizeBytes", "fileCount") == [(100, 1), (120, 1), (0, 0), (0, 0)]
    assert column(named("growth", path="b"), "sizeBytes", "fileCount") == [(0, 0), (50, 1), (170, 2), (120, 1)]
    assert column(named("growth", mount=99), "sizeBytes") == [0, 0, 0, 0]


def test_churn_counts_each_change_once(named: Named) -> None:
    assert column(named("churn"), "created", "overwritten", "moved", "deleted") == [
        (1, 0, 0, 0), (1, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1),
    ]  # fmt: skip


def test_the_other_questions(named: Named) -> None:
    assert column(named("hot"), "path", "events") == [("b", 4), ("a", 2)]
    assert column(named("principals"), "principal", "commands", "failed") == [("ann", 1, 0), ("bob", 1, 1)]
    assert column(named("commands"), "command", "p50Ms") == [("moveNode", 0.0), ("uploadFile", 2000.0)]
    assert column(named("failures"), "failed", "rate", "code") == [(0, 0.0, None), (1, 1.0, "NODE_EXISTS")]
    assert column(named("lag"), "detected", "open", "maxSeconds") == [(2, 1, 30.0)]
    [forecast] = named("forecast", mount=1)
    assert forecast["sizeBytes"] == 120 and forecast["bytesPerDay"] == pytest.approx(6.0)


def test_an_operator_asks_in_sql(reader: duckdb.DuckDBPyConnection) -> None:
    counted = "SELECT event_type, count(*) AS n FROM filestore_activity WHERE path LIKE ? GROUP BY ALL ORDER BY 1"
    head, found = sql(reader, counted, ["b/%"])
    assert found["columns"] == ["event_type", "n"] and not head.truncated
    assert ["filestore.node.moved", 1] in found["rows"]
    distinct = "WITH d AS (SELECT DISTINCT path FROM filestore_activity) SELECT count(*) FROM d WHERE path = 'theirs'"
    assert sql(reader, distinct)[1]["rows"] == [[0]], "the rows of another tenant are not there"
    head, found = sql(reader, "SELECT * FROM range(1000)", limit=10)
    assert head.truncated and len(found["rows"]) == 10
    _, body = sql(reader, "SELECT 1 AS a, 'x,y' AS b", format="csv")
    assert body == b'a,b\r\n1,"x,y"\r\n'
    _, body = sql(reader, "SELECT path FROM filestore_activity", format="arrow")
    assert pa.ipc.open_stream(body).read_all().num_rows == 12


WAYS_OUT = r"""
SELECT * FROM read_csv('/etc/passwd')
SELECT * FROM read_text('/etc/passwd')
SELECT * FROM read_blob('/etc/passwd')
SELECT * FROM '/etc/passwd'
SELECT * FROM 'x.parquet'
SELECT * FROM read_parquet('*')
SELECT * FROM glob('/*')
SELECT * FROM read_json('/proc/self/environ')
COPY (SELECT 1) TO '/tmp/x'
COPY filestore_activity TO '/tmp/x'
EXPORT DATABASE '/tmp/x'
IMPORT DATABASE '/tmp/x'
ATTACH '/tmp/x.db'
ATTACH '' AS p (TYPE postgres)
DETACH lake
INSTALL httpfs
LOAD httpfs
FORCE INSTALL x FROM community
PRAGMA database_list
PRAGMA version
SET threads = 9
RESET memory_limit
SET VARIABLE tenant = 'other'
USE lake
CALL ducklake_expire_snapshots('lake')
CHECKPOINT
CREATE TABLE t (a INT)
CREATE TEMP TABLE t AS SELECT 1
CREATE MACRO m() AS 1
CREATE OR REPLACE TEMP VIEW filestore_activity AS SELECT 1
INSERT INTO lake.filestore_activity (path) VALUES ('x')
DELETE FROM lake.filestore_activity
UPDATE lake.consumer_cursor SET position = 0
DROP TABLE lake.filestore_activity
ALTER TABLE lake.filestore_activity ADD COLUMN x INT
BEGIN
COMMIT
VACUUM
ANALYZE
PREPARE p AS SELECT 1
EXECUTE p
EXPLAIN SELECT 1
EXPLAIN ANALYZE SELECT 1
DESCRIBE filestore_activity
SHOW TABLES
SUMMARIZE filestore_activity
SELECT 1; SELECT 2
SELECT 1; DROP TABLE x
;
SELECT
SELECT * FROM lake.filestore_activity
SELECT * FROM lake.main.filestore_activity
FROM lake.consumer_cursor
SELECT * FROM temp.filestore_activity
SELECT * FROM memory.main.filestore_activity
FROM filestore_activity AT (VERSION => 1)
SELECT * FROM __ducklake_metadata_lake.timestore.ducklake_metadata
SELECT * FROM duckdb_settings()
SELECT * FROM duckdb_secrets()
SELECT * FROM duckdb_databases()
SELECT * FROM duckdb_views
SELECT * FROM information_schema.tables
SELECT * FROM pg_catalog.pg_tables
SELECT * FROM pg_tables
SELECT * FROM sqlite_master
SELECT * FROM postgres_query('__ducklake_metadata_lake', 'SELECT 1')
SELECT * FROM postgres_execute('x', 'y')
SELECT * FROM ducklake_snapshots('lake')
SELECT * FROM query('SELECT 1')
SELECT * FROM query_table('lake.consumer_cursor')
SELECT * FROM ducklake_list_files('lake', 'filestore_activity')
SELECT * FROM sql_auto_complete('x')
SELECT * FROM json_execute_serialized_sql('{}')
SELECT current_setting('memory_limit')
SELECT getvariable('tenant')
SELECT getenv('HOME')
SELECT current_database()
SELECT current_query()
SELECT nextval('s')
SELECT pg_typeof(1)
SELECT version()
SELECT write_log('x')
SELECT main.getvariable('tenant')
SELECT (SELECT count(*) FROM read_csv('/etc/passwd'))
SELECT * FROM filestore_activity WHERE path IN (FROM read_text('/etc/passwd'))
WITH x AS (FROM read_text('/etc/passwd')) FROM x
SELECT * FROM (WITH pg_tables AS (SELECT 1) FROM pg_tables) a, pg_tables
SELECT 1 UNION ALL FROM duckdb_settings()
VALUES ((SELECT content FROM read_text('/etc/passwd')))
SELECT * FROM filestore_activity, LATERAL (FROM read_text(path))
PIVOT duckdb_settings() ON name
FROM filestore_activity TABLESAMPLE 1 ROWS, duckdb_tables
SELECT COLUMNS(*) FROM duckdb_tables()
SELECT list_transform([1], x -> getvariable('tenant'))
WITH RECURSIVE r AS (SELECT 1 UNION ALL FROM read_text('/etc/passwd')) FROM r
SELECT sum(getvariable('tenant')) OVER () FROM filestore_activity
""".splitlines()
"""The first one is empty."""


def test_there_is_no_way_out_of_reading_the_dataset(reader: duckdb.DuckDBPyConnection) -> None:
    through = []
    for way in WAYS_OUT:
        try:
            sql(reader, way)
        except (InvalidRequest, duckdb.Error):
            continue
        through.append(way)
    assert through == []
    assert sql(reader, "SELECT count(*) FROM filestore_activity")[1]["rows"] == [[12]]


SECOND_WALL = r"""
SELECT * FROM read_csv('/etc/passwd')
INSTALL httpfs
INSERT INTO lake.filestore_activity (path) VALUES ('x')
DELETE FROM lake.filestore_activity
DROP TABLE lake.filestore_activity
SET enable_external_access = true
SET allowed_directories = ['/']
SET memory_limit = '64GB'
RESET lock_configuration
""".strip().splitlines()


def test_where_the_first_wall_is_gone_the_second_one_stands(reader: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Without the look at the query, the connection itself touches no file, changes nothing of the lake and no setting."""
    for way in [*SECOND_WALL, f"COPY (SELECT 1) TO '{tmp_path}/x'", f"ATTACH '{tmp_path}/x.db'"]:
        with pytest.raises(duckdb.Error):
            reader.cursor().execute(way).fetchall()
    assert list(tmp_path.iterdir()) == []


def test_memory_is_limited(reader: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(duckdb.Error, match=r"(?i)memory"):
        sql(reader, "SELECT count(*) FROM (SELECT DISTINCT range::VARCHAR || repeat('x', 200) FROM range(5000000))")
