"""What a mkdir leaves in the database, and what it costs when many have left theirs:

    python -m tests.bench.grown [--commands 1000000] [--rounds 3] [--clients 1,64] [--quick]

Two services: on an empty record, and on one with so many commands of earlier days, made by SQL from what a real one leaves. Bytes
are the growth of each table with its indexes, per mkdir: on an empty record, and on one that was vacuumed since, where the space
of dead rows is taken first.
"""

import argparse
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import psycopg

from tests.bench.figures import in_turns, show
from tests.bench.running import BenchService, measure, service, stack

TABLES = (
    "commands",
    "outbox",
    "journal_entries",
    "nodes",
    "versions",
    "claims",
    "rollup_deltas",
    "rollups",
    "cleanups",
    "stages",
)
REQUESTS = {1: 150, 16: 1200, 64: 2500}
OLD = "(lpad(to_hex(1600000000000 + i), 12, '0') || '70008000' || lpad(to_hex(i), 12, '0'))::uuid"
"""Ids of 2020: they rise with time"""

BEFORE = [
    """CREATE TEMPORARY TABLE one AS SELECT c.id AS command, j.id AS entry, j.node_id AS node FROM filestore.commands c
         JOIN filestore.journal_entries j ON j.command_id = c.id WHERE c.kind = 'createDirectory' ORDER BY c.id DESC LIMIT 1""",
    f"""CREATE TEMPORARY TABLE old AS SELECT i, {OLD} AS command, 'old-' || i AS name,
               nextval('filestore.nodes_id_seq') AS node, nextval('filestore.journal_entries_id_seq') AS entry
          FROM generate_series(1, %(count)s) i""",
]
NAMED = {"name": "old.name::bytea"}
COPIES = {
    "commands": ("t.id = one.command", {"id": "old.command", "key": "old.name"}),
    "nodes": (
        "t.id = one.node",
        NAMED | {"id": "old.node", "name_text": "old.name", "directory_path": "(old.name || '/')::bytea",
                 "directory_text": "old.name || '/'"},
    ),
    "versions": ("t.node_id = one.node", NAMED | {"node_id": "old.node"}),
    "journal_entries": (
        "t.id = one.entry",
        {"id": "old.entry", "command_id": "old.command", "node_id": "old.node", "path": "old.name::bytea", "key": "old.name"},
    ),
}  # fmt: skip
"""Of each table the row that the last mkdir has left, and what is another in each copy of it"""
EVENTS = [
    "SELECT FROM filestore.event_feed FOR UPDATE",
    """INSERT INTO filestore.outbox (tenant, mount_id, type, data, position)
       SELECT o.tenant, o.mount_id, o.type, o.data, f.position + row_number() OVER (ORDER BY old.i, o.id)
         FROM one JOIN filestore.outbox o ON (o.data->>'journalId')::bigint = one.entry, old, filestore.event_feed f""",
    """UPDATE filestore.event_feed SET (position, published) = (SELECT max(position), max(position) FROM filestore.outbox)""",
]
"""No process gives positions meanwhile."""


def grow(database: str, count: int) -> None:
    with psycopg.connect(database) as connection:
        # What refers to what is as it is in the rows that are copied: looking it up would take most of the time.
        connection.execute("SET LOCAL session_replication_role = replica")
        for statement in BEFORE:
            connection.execute(statement.encode(), {"count": count})
        for table, (where, changes) in COPIES.items():
            connection.execute(copies_of(connection, table, where, changes).encode())
        for statement in EVENTS:
            connection.execute(statement.encode())
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def copies_of(connection: psycopg.Connection, table: str, where: str, changes: Mapping[str, str]) -> str:
    asking = "SELECT column_name FROM information_schema.columns WHERE table_schema = 'filestore' AND table_name = %s"
    columns = [name for (name,) in connection.execute(asking, [table]).fetchall()]
    values = ", ".join(changes.get(name, f"t.{name}") for name in columns)
    into = f"INSERT INTO filestore.{table} ({', '.join(columns)}) OVERRIDING SYSTEM VALUE"
    return f"{into} SELECT {values} FROM one JOIN filestore.{table} t ON {where}, old"


def sizes(database: str) -> Mapping[str, int]:
    with psycopg.connect(database, autocommit=True) as connection:
        asking = "SELECT name, pg_total_relation_size(('filestore.' || name)::regclass) FROM unnest(%s::text[]) name"
        return dict(connection.execute(asking, [list(TABLES)]).fetchall())


def bytes_left(ours: BenchService, mount: str, requests: int) -> Mapping[str, float]:
    """By table, of each mkdir."""
    before = sizes(ours.database)
    measure("load", "mkdir", ours.url, 64, requests, *ours.arguments(mount))
    return {table: (size - before[table]) / requests for table, size in sizes(ours.database).items()}


def tell_bytes(ours: BenchService, mount: str, requests: int) -> None:
    first = bytes_left(ours, mount, requests)
    with psycopg.connect(ours.database, autocommit=True) as connection:
        connection.execute("VACUUM")
    again = bytes_left(ours, mount, requests)
    print(f"\nbytes per mkdir, {requests} of them: at first, and after a vacuum")
    for table in TABLES:
        print(f"  {table:16}{first[table]:8.0f}{again[table]:8.0f}")
    print(f"  {'all':16}{sum(first.values()):8.0f}{sum(again.values()):8.0f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commands", type=int, help="of earlier days")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--clients")
    parser.add_argument("--quick", action="store_true", help="a small record and few requests: to see that it works")
    given = parser.parse_args()
    rounds = given.rounds or (1 if given.quick else 3)
    clients = [int(count) for count in (given.clients or "1,64").split(",")]
    with (
        stack() as running,
        tempfile.TemporaryDirectory(prefix="bench-root-") as folder,
        service(running, Path(folder)) as empty,
        service(running, Path(folder)) as grown,
    ):
        services = {"grown": grown, "empty": empty}
        mounts = {name: one.local_mount(Path(folder) / name) for name, one in services.items()}
        tell_bytes(empty, mounts["empty"], 500 if given.quick else 5000)
        measure("load", "mkdir", grown.url, 16, 50, *grown.arguments(mounts["grown"]))
        grow(grown.database, given.commands or (20_000 if given.quick else 1_000_000))
        for name, one in services.items():
            measure("load", "mkdir", one.url, 64, 100 if given.quick else 1000, *one.arguments(mounts[name]))
        for count in clients:
            requests = count * 5 + 20 if given.quick else REQUESTS.get(count, 2000)
            runs = {
                name: partial(measure, "load", "mkdir", one.url, count, requests, *one.arguments(mounts[name]))
                for name, one in services.items()
            }
            show(f"mkdir, {count} clients", in_turns(runs, rounds))


if __name__ == "__main__":
    main()
