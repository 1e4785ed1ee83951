"""What the consumers take in and find: `python -m tests.bench.consumers [--events 200000] [--rounds 5]`.

Metastore: records a second from a backlog, and searches over as many records. Timestore: events a second beside a bare insert of
the same rows as Arrow into the same kind of lake; growth and churn beside the same queries over a plain table of DuckDB.
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from activities.consumers.lake import Lake, LakePlace, connect
from activities.consumers.metastore import Metastore
from activities.consumers.reading import QUERIES, SQL
from activities.consumers.timestore import Timestore
from schema.ids import MountId
from schema.paths import NodePath
from schema.store import records as record_store
from schema.store.pool import Pool, make_pool
from schema.store.records import RecordSearch
from tests.bench.figures import figures
from tests.bench.running import record

FOLDERS = 1000
FILL = (
    "SET session_replication_role = replica",
    "INSERT INTO filestore.backend_mounts (id, mount_key, backend_kind, host_id) VALUES (1, 'm', 'local', 'h')",
    """INSERT INTO filestore.nodes (id, mount_id, name, name_text, directory_path, directory_text, depth, kind)
       VALUES (1, 1, '', '', '', '', 0, 'directory')""",
    f"""INSERT INTO filestore.nodes (id, mount_id, parent_id, name, name_text, directory_path, directory_text, depth, kind)
       SELECT d + 1, 1, 1, ('folder-' || d)::bytea, 'folder-' || d, ('folder-' || d || '/')::bytea, 'folder-' || d || '/', 1,
              'directory'
         FROM generate_series(1, {FOLDERS}) d""",
    f"""INSERT INTO filestore.nodes (id, mount_id, parent_id, name, name_text, depth, kind, size_bytes, sha256)
       SELECT f + {FOLDERS} + 1, 1, 2 + f %% {FOLDERS}, ('report-' || f || '.pdf')::bytea, 'report-' || f || '.pdf', 2, 'file', f,
              sha256(f::text::bytea) FROM generate_series(1, %(events)s) f""",
    """INSERT INTO filestore.outbox (tenant, mount_id, type, data, position, created_at)
       SELECT 'main', 1, 'filestore.node.created', json_build_object('backendMountId', 1, 'nodeId', n.id, 'path',
                  coalesce(p.directory_text, '') || n.name_text, 'kind', n.kind, 'state', 'active', 'parentId', n.parent_id,
                  'version', 1,
                  'sizeBytes', n.size_bytes, 'checksum', encode(n.sha256, 'hex'), 'contentHash', encode(n.sha256, 'hex'),
                  'metadata', json_build_object('k', n.id), 'journalId', n.id, 'command', 'uploadFile',
                  'commandId', gen_random_uuid(),
                  'idempotencyKey', n.id::text, 'principal', 'user' || n.id %% 50,
                  'observedAt', now() - n.id * interval '2 seconds',
                  'delta', json_build_object('sizeBytes', n.size_bytes, 'fileCount', 1)), row_number() OVER (ORDER BY n.id), now()
         FROM filestore.nodes n JOIN filestore.nodes p ON p.id = n.parent_id""",
    "UPDATE filestore.event_feed SET position = (SELECT max(position) FROM filestore.outbox)",
    "RESET session_replication_role",
    "ANALYZE",
)
DESCRIBED = """UPDATE filestore.metastore_records
   SET tags = ARRAY['t' || node_id %% 1000, CASE WHEN node_id %% 10 = 0 THEN 'common' ELSE 'rest' END],
       owner = 'user' || node_id %% 500, metadata = jsonb_build_object('project', 'p' || node_id %% 2000)
 WHERE node_id %% 4 = 0"""


def folder_of(n: int) -> NodePath:
    return NodePath(f"folder-{n % FOLDERS + 1}".encode())


SEARCHES: dict[str, Callable[[int], RecordSearch]] = {
    "one word": lambda n: RecordSearch(query=f"{n}"),
    "two words": lambda n: RecordSearch(query=f"folder {n % 1000}"),
    "a rare tag": lambda n: RecordSearch(tags=[f"t{n % 1000 // 4 * 4}"]),
    "a common tag": lambda n: RecordSearch(tags=["common"]),
    "an owner": lambda n: RecordSearch(owner=f"user{n % 500}"),
    "metadata": lambda n: RecordSearch(metadata={"project": f"p{n % 2000}"}),
    "a folder": lambda n: RecordSearch(mount=MountId(1), prefix=folder_of(n)),
    "a tag in a folder": lambda n: RecordSearch(tags=["common"], mount=MountId(1), prefix=folder_of(n)),
}


async def drained(step: Callable[[], Awaitable[int]]) -> float:
    began = time.perf_counter()
    while await step():
        pass
    return time.perf_counter() - began


async def metastore(url: str, pool: Pool, events: int, rounds: int) -> None:
    rates = []
    for _ in range(rounds):
        async with pool.connection() as connection:
            await connection.execute("TRUNCATE filestore.metastore_records, filestore.metastore_history")
            await connection.execute("UPDATE filestore.metastore_cursor SET position = 0")
        rates.append((events + FOLDERS) / await drained(Metastore(pool).step))
    print(f"Metastore, a backlog of {events + FOLDERS} events: {shown(rates)} records/s")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(DESCRIBED.replace("%%", "%").encode())
        connection.execute("VACUUM ANALYZE filestore.metastore_records")
    reading = make_pool(url, name="bench", min_size=1, max_size=2)
    await reading.open(wait=True)
    for name, wanted in SEARCHES.items():
        taken = []
        async with reading.connection() as connection:
            for n in range(200):
                began = time.perf_counter()
                await record_store.search(connection, "main", wanted(n * 7919 % events + 1), 0, 50)
                taken.append(time.perf_counter() - began)
        found = figures(taken, sum(taken))
        print(f"  search by {name:<18} p50 {found['p50_ms']:7.1f} ms   p99 {found['p99_ms']:7.1f} ms")
    await reading.close()


async def timestore(url: str, pool: Pool, events: int, rounds: int, folder: Path) -> LakePlace:
    ours, bare = [], []
    for round in range(rounds):
        place = LakePlace(url, str(folder / f"lake{round}"), 2**30)
        forget(url)
        consumer = Timestore(pool, Lake(place), 3600.0, gather_seconds=0)
        await consumer.state()  # the lake is there before the time is taken
        ours.append((events + FOLDERS) / await drained(consumer.step))
        consumer._lake.close()
        bare.append(bare_insert(place))
    print(f"Timestore, a backlog of {events + FOLDERS} events: {shown(ours)} events/s")
    print(f"  the same rows as Arrow alone: {shown(bare)} rows/s; ours are {max(ours) / max(bare):.2f} of it")
    return place


def bare_insert(place: LakePlace) -> float:
    """The rows that are there, once more, as batches of Arrow of 50,000 and a cursor."""
    connection = connect(place)
    table: Any = connection.execute("FROM lake.filestore_activity").to_arrow_table()
    connection.execute("CREATE TABLE lake.bare AS FROM lake.filestore_activity LIMIT 0")
    connection.execute(SQL["partition"].replace("filestore_activity", "bare"))
    began = time.perf_counter()
    for at in range(0, table.num_rows, 50_000):
        connection.register("part", table.slice(at, 50_000))
        connection.execute("BEGIN")
        connection.execute("INSERT INTO lake.bare FROM part")
        connection.execute("UPDATE lake.consumer_cursor SET written = written")
        connection.execute("COMMIT")
    took = time.perf_counter() - began
    connection.execute("DROP TABLE lake.bare")
    connection.close()
    return float(table.num_rows / took)


def queries(place: LakePlace, rounds: int, copies: int) -> None:
    """The same rows many times over, so that there is something to read."""
    connection = connect(place)
    for _ in range(copies):
        connection.execute("INSERT INTO lake.filestore_activity FROM lake.filestore_activity")
    connection.execute("CALL ducklake_merge_adjacent_files('lake')")
    connection.execute("CREATE TABLE plain AS FROM lake.filestore_activity")
    [rows] = connection.execute("SELECT count(*) FROM plain").fetchone() or [0]
    connection.execute(SQL["below"])
    now = datetime.now(UTC)
    asked: dict[str, Any] = {
        "from": now - timedelta(days=30),
        "to": now,
        "step": 86400,
        "mount": None,
        "path": None,
        "limit": 1000,
    }
    for name in ("growth", "churn"):
        took: dict[str, list[float]] = {"lake.filestore_activity": [], "plain": []}
        for _ in range(rounds):
            for table, times in took.items():
                connection.execute(_viewed(table))
                began = time.perf_counter()
                connection.execute(QUERIES[name], asked).fetchall()
                times.append(time.perf_counter() - began)
        lake, plain = took.values()
        print(f"  {name} over {rows} rows: {shown(lake, 1e3)} ms")
        print(
            f"    a plain table of DuckDB: {shown(plain, 1e3)} ms; ours take {min(lake) / min(plain):.2f} times as long"
        )
    connection.close()


def _viewed(table: str) -> str:
    query = f"SELECT * EXCLUDE (tenant) FROM {table} WHERE tenant = 'main'"
    return f"CREATE OR REPLACE TEMP VIEW filestore_activity AS {query}"


def forget(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS timestore CASCADE")


def shown(taken: list[float], times: float = 1.0) -> str:
    ordered = sorted(value * times for value in taken)
    return f"{ordered[0]:,.0f} to {ordered[-1]:,.0f}, median {ordered[len(ordered) // 2]:,.0f}"


async def measured(url: str, arguments: argparse.Namespace, folder: Path) -> None:
    pool = make_pool(url, name="bench", min_size=1, max_size=4, generic_plans=True)
    await pool.open(wait=True)
    await metastore(url, pool, arguments.events, arguments.rounds)
    place = await timestore(url, pool, arguments.events, arguments.rounds, folder)
    queries(place, arguments.rounds + 2, arguments.copies)
    await pool.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--copies", type=int, default=3, help="how often the rows are doubled before they are asked about"
    )
    arguments = parser.parse_args()
    with record() as (url, folder):
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in FILL:
                connection.execute(statement.encode(), {"events": arguments.events})
        asyncio.run(measured(url, arguments, folder))


if __name__ == "__main__":
    main()
