"""What it costs to seal the journal and to prove it, beside the least that any proof does: reading the rows, and hashing them.

    .venv/bin/python -m tests.bench.seals [--entries 200000] [--rounds 3]

Needs FILESTORE_DATABASE_URL (a server where a database may be made).
"""

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable

import psycopg
from psycopg.rows import dict_row

from activities.audit.seal import ENTRIES_MAX
from schema.store import audit, audit_verify
from tests.bench.running import database

FILL = """INSERT INTO filestore.journal_entries (tenant, command_id, attempt, kind, path, principal, key, executor, outcome,
    payload, before, after, started_at)
SELECT 'main', gen_random_uuid(), 1, 'uploadFile', convert_to('folder/' || n, 'UTF8'), 'ann', n::text, 'local', 'succeeded',
       jsonb_build_object('path', 'folder/' || n, 'sizeBytes', n, 'checksum', md5(n::text)),
       jsonb_build_object('name', n, 'state', 'active', 'metadata', jsonb_build_object('a', md5(n::text))),
       jsonb_build_object('name', n, 'state', 'active', 'metadata', jsonb_build_object('b', md5(n::text))), now()
  FROM generate_series(1, %s) n"""
READ = "SELECT sum(length(j::text)) AS n FROM filestore.journal_entries j"
HASH = "SELECT count(sha256(convert_to(j::text, 'UTF8'))) AS n FROM filestore.journal_entries j"
Connection = psycopg.AsyncConnection[dict[str, object]]


async def seal_all(connection: Connection) -> None:
    while await audit.seal(connection, ENTRIES_MAX):
        pass


async def verify(connection: Connection) -> None:
    proof = await audit_verify.start(connection, 0)
    while not proof.done:
        proof = await audit_verify.go_on(connection, proof)
    assert not proof.findings and proof.entries


async def seconds(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


async def run(url: str, entries: int, rounds: int) -> None:
    connection = await psycopg.AsyncConnection.connect(url, row_factory=dict_row, autocommit=True)
    await connection.execute("SET max_parallel_workers_per_gather = 0")
    await connection.execute(FILL, [entries])
    await connection.execute(
        "UPDATE filestore.event_feed SET settled = (SELECT max(id) FROM filestore.journal_entries)"
    )
    await connection.execute("VACUUM ANALYZE filestore.journal_entries")
    sealing = await seconds(lambda: seal_all(connection))
    print(f"seal    {entries / sealing:10,.0f} entries/s")
    taken: dict[str, list[float]] = {"read": [], "hash": [], "verify": []}
    for _ in range(rounds):
        taken["read"].append(await seconds(lambda: connection.execute(READ)))
        taken["hash"].append(await seconds(lambda: connection.execute(HASH)))
        taken["verify"].append(await seconds(lambda: verify(connection)))
    for name, some in taken.items():
        middle = statistics.median(some)
        print(f"{name:7} {entries / middle:10,.0f} entries/s (best {entries / min(some):,.0f})")
    ratio = statistics.median(taken["verify"]) / statistics.median(taken["hash"])
    print(f"verify takes {ratio:.2f} times as long as hashing all rows as text, at a load of {os.getloadavg()[0]:.1f}")
    await connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    server = os.environ["FILESTORE_DATABASE_URL"]
    url = database(server)
    try:
        asyncio.run(run(url, asked.entries, asked.rounds))
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)".encode())


if __name__ == "__main__":
    main()
