"""The hot queries find what they need by index in a record of 1,000,000 nodes and as many commands and events."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.rows import dict_row

from schema.commands.command import CommandKind
from schema.ids import FIRST_COMMAND_ID, CommandId, MountId, NodeId
from schema.migrate import migrate
from schema.operations.undo_selection import UndoSelection
from schema.paths import NodePath
from schema.sql import load
from schema.store import audit as audit_store
from schema.store import begin as begin_store
from schema.store import journal as journal_store
from schema.store import nodes as node_store
from schema.store import past as past_store
from schema.store import records as record_store
from schema.store import snapshots as snapshot_store
from schema.store import undo as undo_store
from schema.store.findings import FindingFilter
from schema.store.journal import JournalFilter
from schema.store.lineage import Lineage
from schema.store.reconciliations import JobFilter
from schema.store.records import RecordSearch
from tests.store.conftest import Databases
from tests.store.helpers import OPTIONS, Connection, asked, delete, make_mount, mkdir, never_vacuumed, upload

BIG = {
    "nodes",
    "commands",
    "outbox",
    "journal_entries",
    "versions",
    "tokens",
    "rollup_deltas",
    "operations",
    "operation_items",
    "rollups",
    "rollup_recomputes",
    "metastore_records",
    "metastore_history",
    "holds",
    "findings",
    "looks",
    "reconciliation_jobs",
    "charges",
    "charge_deltas",
    "deliveries",
}
"""Tables that only grow. Claims and cleanups are gone when their commands have ended."""

FILL = [
    """INSERT INTO filestore.nodes (mount_id, parent_id, name, name_text, directory_path, directory_text, depth, kind)
       SELECT %(mount)s, r.id, d::text::bytea, d::text, (d || '/')::bytea, d || '/', 1, 'directory'
         FROM generate_series(1, 1000) d, filestore.nodes r WHERE r.mount_id = %(mount)s AND r.depth = 0""",
    """INSERT INTO filestore.nodes (mount_id, parent_id, name, name_text, depth, kind, size_bytes, sha256, inode,
           device, birth_ns, version, state, deleted_at, created_at, first_by)
       SELECT %(mount)s, d.id, f::text::bytea, f::text, 2, 'file', f, sha256(f::text::bytea), f, 0, f,
              CASE WHEN f %% 10 = 0 THEN 2 ELSE 1 END,
              CASE WHEN f %% 10 = 0 THEN 'deleted' ELSE 'active' END::filestore.node_state,
              CASE WHEN f %% 10 = 0 THEN now() END, now() - (1000 * d.id + f) * interval '1 millisecond' - interval '1 day',
              CASE WHEN f %% 2 = 1 THEN gen_random_uuid() END
         FROM filestore.nodes d, generate_series(1, 1000) f WHERE d.mount_id = %(mount)s AND d.depth = 1""",
    """INSERT INTO filestore.versions (node_id, version, command_id, parent_id, name, kind, state, size_bytes, valid_from,
           valid_to, content_place, content_until)
       SELECT n.id, 1, gen_random_uuid(), n.parent_id, n.name, n.kind, 'active', n.size_bytes, d.at - interval '1 day',
              CASE WHEN n.version = 2 THEN d.at END,
              CASE WHEN n.version = 2 THEN ('2026-11-29/' || gen_random_uuid() || '.0')::bytea END,
              CASE WHEN n.version = 2 THEN d.at + interval '30 days' END
         FROM filestore.nodes n CROSS JOIN LATERAL (SELECT now() - n.id * interval '1 millisecond' AS at) d
        WHERE n.depth > 0 AND n.first_by IS NULL""",
    """INSERT INTO filestore.versions (node_id, version, command_id, parent_id, name, kind, state, size_bytes, valid_from)
       SELECT n.id, 2, c.command_id, n.parent_id, n.name, n.kind, 'deleted', n.size_bytes, c.valid_to
         FROM filestore.nodes n JOIN filestore.snapshots c ON c.node_id = n.id WHERE n.version = 2""",
    """INSERT INTO filestore.commands (id, principal, key, kind, mount_id, path, request, intent, status, ended_at)
       SELECT gen_random_uuid(), 'user' || i %% 7, i::text, 'uploadFile', %(mount)s, ('p' || i)::bytea, '{}',
              jsonb_build_object('stage', gen_random_uuid(), 'step', 'create'),
              CASE WHEN i %% 500 = 0 THEN 'running' ELSE 'succeeded' END::filestore.command_status,
              CASE WHEN i %% 500 <> 0 THEN now() END
         FROM generate_series(1, 1000000) i""",
    """INSERT INTO filestore.claims SELECT mount_id, path, 'path', id FROM filestore.commands LIMIT 2000""",
    """INSERT INTO filestore.stages (id, principal, mount_id, path, request, expires_at)
       SELECT gen_random_uuid(), principal, mount_id, path, '{"metadata": {}}', now() FROM filestore.commands LIMIT 20000""",
    """INSERT INTO filestore.cleanups (mount_id, command_id, stage_id)
       SELECT mount_id, id, gen_random_uuid() FROM filestore.commands LIMIT 2000""",
    """INSERT INTO filestore.journal_entries (tenant, command_id, attempt, kind, mount_id, node_id, path, principal,
           key, executor, outcome, code, operation_id, atomic_id, correlation_id, payload, started_at, after)
       SELECT 'main', c.id, 1, c.kind, c.mount_id, c.key::bigint, c.path, c.principal, c.key, 'local', CASE WHEN failed THEN
              'failed' ELSE 'succeeded' END::filestore.command_status, CASE WHEN failed THEN 'STORAGE_FULL' END,
              CASE WHEN key LIKE '%%7' THEN gen_random_uuid() END, CASE WHEN key LIKE '%%8' THEN gen_random_uuid() END,
              CASE WHEN key LIKE '%%9' THEN 'work ' || length(key) END, '{}', now(),
              '{"kind": "file", "version": 1, "size": 5}'
         FROM filestore.commands c CROSS JOIN LATERAL (SELECT key LIKE '%%333' AS failed) f WHERE status <> 'running'""",
    """INSERT INTO filestore.outbox (tenant, mount_id, type, data, position)
       SELECT 'main', %(mount)s, 'x', '{}', CASE WHEN i <= 999900 THEN i END FROM generate_series(1, 1000000) i""",
    """UPDATE filestore.event_feed SET position = 999900, published = 999890""",
    """INSERT INTO filestore.rollup_deltas (directory_id, size_bytes, file_count, directory_count, child_count)
       SELECT n.id, 1, 1, 0, 1 FROM filestore.nodes n, generate_series(1, 30) WHERE n.depth = 1""",
    """INSERT INTO filestore.rollups (directory_id, proven_by, consistency_state)
       SELECT id, CASE WHEN depth = 1 AND id %% 2 = 0 THEN 1000000 ELSE 0 END, CASE WHEN id %% 5000 = 0 THEN 'invalid'
              ELSE 'up_to_date' END FROM filestore.nodes""",
    """INSERT INTO filestore.rollup_recomputes (tenant, principal, mount_id, directory_id, reason, state, ended_at, created_at)
       SELECT 'main', 'user', %(mount)s, i, 'request', CASE WHEN i <= 3 THEN 'running' ELSE 'succeeded'
              END::filestore.recompute_state, CASE WHEN i > 3 THEN now() END, now() + interval '1 day'
         FROM generate_series(1, 100000) i""",
    """INSERT INTO filestore.tokens (principal, hash, hint, scopes)
       SELECT 'user', sha256(i::text::bytea), 'x', '{read}' FROM generate_series(1, 2000) i""",
    """INSERT INTO filestore.subscriptions (id, tenant, token_id, principal, url, secret, filter, position, state)
       SELECT ('0190a1b2-0000-7000-8000-' || lpad(i::text, 12, '0'))::uuid, 'main', (SELECT min(id) FROM filestore.tokens), 'user',
              'https://example.org', 'x', '{}', 1000, CASE WHEN i %% 10 = 0 THEN 'active' ELSE 'paused' END
         FROM generate_series(1, 200) i""",
    """INSERT INTO filestore.deliveries (subscription_id, position, type, state, attempts, milliseconds, attempted_at)
       SELECT s.id, i, 'x', CASE WHEN i %% 500 = 0 THEN 'dead' WHEN i %% 501 = 0 THEN 'redrive' ELSE 'delivered' END, 1, 5,
              now() - i * interval '1 minute' FROM filestore.subscriptions s, generate_series(1, 1000) i""",
    """INSERT INTO filestore.operations (id, tenant, principal, token_id, key, request_hash, kind, mount_id, path, state)
       SELECT CASE i WHEN 1 THEN '0190a1b2-0000-7000-8000-0000000000aa' ELSE gen_random_uuid() END::uuid, 'main', 'user1', 1,
              i::text, '', 'copy', %(mount)s, ('p' || i)::bytea,
              CASE i WHEN 1 THEN 'running' ELSE 'succeeded' END::filestore.operation_state
         FROM generate_series(1, 10000) i""",
    """INSERT INTO filestore.operation_items (operation_id, item, kind, state, node_kind, path, node_id, needs, code)
       SELECT '0190a1b2-0000-7000-8000-0000000000aa', i, 'copy', CASE WHEN i > 999000 THEN 'pending' WHEN i > 998000 THEN 'failed'
              WHEN i > 997900 THEN 'running' ELSE 'done' END::filestore.item_state, 'file', ('p' || i)::bytea, i, i / 10, 'X'
         FROM generate_series(1, 1000000) i""",
    """INSERT INTO filestore.metastore_records (node_id, tenant, mount_id, parent_id, path, path_text, kind, state, node_version,
           size_bytes, node_metadata, namespace, tags, owner, metadata)
       SELECT i, 'main', %(mount)s, 1, ('folder-' || i %% 1000 || '/' || i)::bytea, 'folder-' || i %% 1000 || '/' || i, 'file',
              'active', 1, i, '{}', CASE WHEN i %% 1000 = 0 THEN 'rare' ELSE 'filestore' END,
              CASE WHEN i %% 4 = 0 THEN ARRAY['t' || i %% 1000] ELSE '{}' END, CASE WHEN i %% 4 = 0 THEN 'u' || i %% 500 END,
              CASE WHEN i %% 4 = 0 THEN jsonb_build_object('p', i %% 2000) ELSE '{}' END
         FROM generate_series(1, 100000) i""",
    """INSERT INTO filestore.metastore_history (node_id, version, change, changed_at, path_text, namespace, tags, metadata)
       SELECT i / 10, i %% 10, 'updated', now(), 'p', 'filestore', '{}', '{}' FROM generate_series(1, 100000) i""",
    """INSERT INTO filestore.holds (tenant, mount_id, path, kind, reason, created_by, released_by, released_at)
       SELECT 'main', %(mount)s, ('p' || i)::bytea, 'legal', 'x', 'user', CASE WHEN i %% 100 <> 0 THEN 'user' END,
              CASE WHEN i %% 100 <> 0 THEN now() END FROM generate_series(1, 50000) i""",
    """INSERT INTO filestore.looks (tenant, mount_id, reason, principal, places, subtrees, whole, state, entries, conclusions,
           claimed, ended_at)
       SELECT 'main', %(mount)s, 'audit', 'x', '{""}', '{true}', true, CASE WHEN i %% 5000 = 0 THEN 'waiting' ELSE 'concluded'
              END::filestore.look_state, 0, 0, '{}', CASE WHEN i %% 5000 <> 0 THEN now() END FROM generate_series(1, 50000) i""",
    """INSERT INTO filestore.findings (tenant, mount_id, path, kind, state, believed, observed, action, look_id, ended_at)
       SELECT 'main', %(mount)s, ('p' || i)::bytea, 'new', CASE WHEN i %% 500 = 0 THEN 'open' ELSE 'accepted'
              END::filestore.finding_state, '{}', '{}', 'import', 1, CASE WHEN i %% 500 <> 0 THEN now() END
         FROM generate_series(1, 50000) i""",
    """INSERT INTO filestore.reconciliation_jobs (tenant, principal, mount_id, path, reason, status, completed_at)
       SELECT 'main', 'x', %(mount)s, ('p' || i)::bytea, 'manual', CASE WHEN i %% 5000 = 0 THEN 'running' ELSE 'succeeded'
              END::filestore.job_status, CASE WHEN i %% 5000 <> 0 THEN now() END FROM generate_series(1, 50000) i""",
    """INSERT INTO filestore.quotas (tenant, mount_id, path, principal, max_bytes, created_by)
       VALUES ('main', %(mount)s, '5', NULL, 1, 'x'), ('main', NULL, NULL, 'user1', 1, 'x')""",
    """INSERT INTO filestore.charges (mount_id, principal, size_bytes, node_count)
       SELECT %(mount)s, 'user' || i, i, 1 FROM generate_series(1, 20000) i""",
    """INSERT INTO filestore.charge_deltas (mount_id, principal, size_bytes, node_count)
       SELECT %(mount)s, 'user' || i %% 20000, i, 1 FROM generate_series(1, 50000) i""",
    "ANALYZE",
]


TREE = 2
"""So many statements of this record are its directories and files"""


@asynccontextmanager
async def planted(
    url: str, statements: Sequence[str], kind: str = "local"
) -> AsyncIterator[tuple[Connection, MountId]]:
    """A new record that holds what these statements write."""
    migrate(url)
    connection = await psycopg.AsyncConnection.connect(url, row_factory=dict_row, options=OPTIONS, autocommit=True)
    async with connection:
        mount = await make_mount(connection)
        await connection.execute("UPDATE filestore.backend_mounts SET backend_kind = %s", [kind])
        # Millions of rows that fit each other: looking up each reference would take most of the time.
        await connection.execute("SET session_replication_role = replica")
        await connection.execute("SET synchronous_commit = off")
        for statement in statements:
            await connection.execute(statement.encode(), {"mount": mount})
        await connection.execute("RESET session_replication_role")
        await connection.execute("RESET synchronous_commit")
        await never_vacuumed(connection)  # until here they are welcome: what is planted is planned by what they find
        yield connection, mount


@pytest.fixture(scope="module")
async def full(new_database: Databases) -> AsyncIterator[tuple[Connection, MountId]]:
    async with planted(new_database(), FILL) as record:
        yield record


async def plan(
    connection: Connection, query: LiteralString, values: Any, *, generic: bool, run: bool = False
) -> list[dict[str, Any]]:
    """All nodes of the plan. With `generic`, as the engine's pool plans it: once, for lists of any size. With `run` the
    statement is carried out, taken back, and each node says what it read."""
    await connection.execute(f"SET plan_cache_mode = {'force_generic_plan' if generic else 'auto'}".encode())
    options = "ANALYZE, BUFFERS, FORMAT JSON" if run else "FORMAT JSON"
    try:
        async with connection.transaction(force_rollback=True):
            if generic:
                names = sorted(values)
                typed = {name: f"${position + 1}" for position, name in enumerate(names)}
                await connection.execute(f"PREPARE hot AS {query % typed}".encode())
                literals = ", ".join(_literal(values[name]) for name in names)
                given = f"({literals})" if names else ""
                cursor = await connection.execute(f"EXPLAIN ({options}) EXECUTE hot{given}".encode())
                row = await cursor.fetchone()
            else:
                row = await (await connection.execute(f"EXPLAIN ({options}) {query}".encode(), values)).fetchone()
    finally:
        # It outlives its transaction, also one that failed.
        if generic:
            with suppress(psycopg.errors.InvalidSqlStatementName):
                await connection.execute("DEALLOCATE hot")
    assert row is not None
    return list(_flat(row["QUERY PLAN"][0]["Plan"]))


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"'\\x{value.hex()}'"
    if isinstance(value, list):
        kind = "uuid" if isinstance(value[0], str) else "bytea" if isinstance(value[0], bytes) else "bigint"
        return "ARRAY[" + ", ".join(_literal(item) for item in value) + f"]::{kind}[]"
    return str(value) if isinstance(value, int | float) else f"'{value}'"


def _flat(node: dict[str, Any]) -> Any:
    yield node
    for child in node.get("Plans", ()):
        yield from _flat(child)


def scanned(nodes: list[dict[str, Any]]) -> set[str]:
    return {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"} & BIG


def touched(nodes: list[dict[str, Any]]) -> int:
    """Pages of 8 KiB that the whole statement looked at."""
    return int(nodes[0]["Shared Hit Blocks"] + nodes[0]["Shared Read Blocks"])


PAGES_MAX = 4_000
"""What a statement may look at for 64 commands, or for one of the directories of 1,000 files: less than any whole table here,
or its index, has."""


def indexes(nodes: list[dict[str, Any]]) -> set[str]:
    return {node["Index Name"] for node in nodes if "Index Name" in node}


def sorts_everything(nodes: list[dict[str, Any]]) -> bool:
    return any(node["Node Type"] == "Sort" and node["Plan Rows"] > 10_000 for node in nodes)


WORK, RESTORES, PURGES = load("work_items"), load("restores"), load("purges")
ITEMS, OPERATION = load("item_commands"), "0190a1b2-0000-7000-8000-0000000000aa"
OPERATIONS = {**load("operations"), **load("operation_plans"), **load("operation_turns")}
IMPORTS, QUOTAS = load("imports"), load("quotas")
GROWING = json.dumps([{"n": n, "tenant": "main", "mount": 1, "path": b"5/new".hex(), "principal": "user1",
                       "intent": {"step": "create", "kind": "file", "size": 7}} for n in range(64)])  # fmt: skip
FORGETS, UNDO_TREES = load("forgets"), load("undo_trees")
BEGIN, RECORD, OUTCOMES, LEFTOVERS = load("begin"), load("record"), load("outcomes"), load("leftovers")
NODES, EVENTS, ANSWERS = load("nodes"), load("events"), load("answers")
FEED_NODES, ARCHIVE, SUBSCRIPTIONS = load("feed_nodes"), load("archive"), load("subscriptions")
SUBSCRIPTION = "0190a1b2-0000-7000-8000-000000000010"
RETENTION, PAST, RECOMPUTES = load("retention"), load("past"), load("recomputes")
LOOKS, CONCLUDE, HOLDS, HEALS = load("looks"), load("conclude"), load("holds"), load("heals")
SCRUB = load("scrub")
HELD = json.dumps([{"n": 1, "mount": 1, "path": "35", "above": [0], "tree": True}])
LISTED = {"paths": [b"5/", b"6/"], "devices": [0, 0], "inodes": [7, 8], "births": [7, 8]}
NOW = datetime.now(UTC) + timedelta(days=1)
EVER = NOW + timedelta(days=90)
THEN = datetime.now(UTC) - timedelta(minutes=5)
"""Five minutes ago a third of what was deleted still lived."""
SCANNED = {
    "scan": past_store.SCAN,
    "after_time": datetime.now(UTC) - timedelta(minutes=4),
    "after_id": 0,
    "after_version": 0,
}
BELOW = {"mount": 1, "low": b"5/", "high": b"50", "run": 1}
RANGE = {**BELOW, "children": 100_000}
NAMES = {"all_allowed": True, "allowed_names": b"", "all_denied": False, "denied_names": b"7/8"}
LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"
HASH = b"\0" * 32
KEY = "commands_tenant_principal_key_key"
PAGE = {
    "tenant": "main",
    "directory": b"",
    "limit": 200,
    "offset": 0,
    "after_rank": None,
    "after_key": None,
    "after_id": None,
}
IDS = ["0190a1b2-0000-7000-8000-000000000001", "0190a1b2-0000-7000-8000-000000000002"]


def looked_for(mount: MountId) -> dict[str, Any]:
    requests = [
        mkdir(mount, "5/new"), upload(mount, "6/7", overwrite=True), delete(mount, "7/10"),
        asked(CommandKind.DESCRIBE, mount, "7/10"),
    ]  # fmt: skip
    return {"items": json.dumps([end for request in requests for end in begin_store._ends(request)])}


DEEPER, MUCH_DEEPER = (json.dumps([{"id": IDS[0], "node": 500, "most": most}]) for most in (4000, 300))
METASTORE, RECORDS, ACTIVITY = load("metastore"), load("records"), load("activity")
TAGS = load("tags")
AMONG = record_store.statement("main", RecordSearch(tags=["t4"], query="4711"), 0, 0, [NodeId(500)])[0]
SYNCED = json.dumps([{"node": 500, "told": True}, {"node": 501}])
CHANGED = {"node": 500, "namespace": "n", "tags": [], "metadata": {}, "closed": False}

GENERIC: dict[str, tuple[LiteralString, dict[str, Any], set[str]]] = {
    "look": (
        BEGIN["look"], {},
        {"nodes_directory", "nodes_deleted_directory", "nodes_name", "nodes_deleted", KEY, "claims_pkey", "stages_pkey"},
    ),
    "too_deep": (BEGIN["too_deep"], {"items": DEEPER}, {"nodes_pkey", "nodes_long_directory"}),
    "too_deep at a long path": (
        BEGIN["too_deep"], {"items": MUCH_DEEPER}, {"nodes_pkey", "nodes_directory", "nodes_deleted_directory", "nodes_name"},
    ),
    "end": (RECORD["end"], {"items": "[]"}, {"commands_pkey"}),
    "places": (BEGIN["places"], {"ids": [500, 501]}, {"nodes_pkey"}),
    "tokens of a list": (load("tokens")["standing"], {"ids": [500, 501]}, {"tokens_pkey"}),
    "read_running": (RECORD["read_running"], {"ids": IDS}, {"commands_pkey"}),
    "raise_attempt": (RECORD["raise_attempt"], {"ids": IDS}, {"commands_pkey"}),
    "keep_first": (RECORD["keep_first"], {"ids": IDS}, {"nodes_pkey", "commands_pkey"}),
    "keep_first of a look": (CONCLUDE["keep_first"], {"ids": [500, 501]}, {"nodes_pkey"}),
    "close_snapshots": (RECORD["close_snapshots"], {"ids": IDS, "retention_days": 30}, {"versions_pkey"}),
    "oust": (RECORD["oust"], {"ids": IDS}, {"nodes_pkey", "commands_pkey"}),
    "journal": (RECORD["journal"], {"ids": IDS}, {"nodes_pkey", "commands_pkey"}),
    "roll": (RECORD["roll"], {"ids": IDS}, {"nodes_pkey", "commands_pkey", "versions_pkey"}),
    "create_nodes": (RECORD["create_nodes"], {"ids": IDS}, {"nodes_pkey", "commands_pkey"}),
    "change_nodes": (RECORD["change_nodes"], {"ids": IDS}, {"nodes_pkey", "commands_pkey", "versions_pkey"}),
    "doubt": (RECORD["doubt"], {"ids": IDS}, {"nodes_pkey", "commands_pkey"}),
    "put_back": (RECORD["put_back"], {"ids": IDS}, {"nodes_pkey", "commands_pkey"}),
    "let_go": (RECORD["let_go"], {"ids": IDS}, {"claims_command", "commands_pkey"}),
    "answer": (ANSWERS["answer"], {"ids": IDS}, {"commands_pkey", "nodes_pkey"}),
    "tell": (ANSWERS["tell"], {"ids": IDS}, {"commands_pkey", "nodes_pkey"}),
    "outcomes": (OUTCOMES["outcomes"], {"ids": IDS}, {"commands_pkey"}),
    "names of resumed": (OUTCOMES["named"], {"ids": IDS}, {"commands_pkey"}),
    "cleanups of a list": (LEFTOVERS["cleanups"], {"mount": 1, "ids": IDS}, {"commands_pkey"}),
    "close_cleanups": (LEFTOVERS["close_cleanups"], {"ids": [1]}, {"cleanups_pkey"}),
    "give_positions": (EVENTS["give_positions"], {"limit": 1000}, {"outbox_unpositioned"}),
    "prune_events": (RETENTION["prune_events"], {"limit": 100, "keep": 0.0}, {"outbox_position", "outbox_pkey"}),
    "prune_commands": (
        RETENTION["prune_commands"], {"limit": 100, "keep": 0.0, "after": FIRST_COMMAND_ID, "below": LAST_ID},
        {"commands_pkey", "claims_command", "cleanups_command"},
    ),
    "unpublished": (EVENTS["unpublished"], {"limit": 1000, "bytes": 4_000_000}, {"outbox_position"}),
    "archived entries": (ARCHIVE["entries"], {"after": 5000, "last": 10**6, "limit": 200}, {"journal_entries_pkey"}),
    "archived versions": (ARCHIVE["versions"], {"after": 5000, "last": 5200},
                          {"journal_entries_pkey", "snapshots_begun", "versions_pkey", "nodes_pkey"}),
    "versions beside nodes": (ARCHIVE["differences"], {"after": 5000, "limit": 200}, {"nodes_pkey", "snapshots_current"}),
    "all nodes begin": (FEED_NODES["begin"], {}, {"nodes_pkey"}),
    "all nodes": (FEED_NODES["page"], {"tenant": "main", "mount": 1, "after": 5000, "last": 10**6, "limit": 100}, {"nodes_pkey"}),
    "open_items": (ITEMS["open_items"], {"ids": IDS}, {"commands_pkey", "operation_items_pkey"}),
    "record_entries": (load("record_entries")["tell"],
                       {"records": json.dumps([{"node": 5000, "command": OPERATION}]), "principal": "x", "token": 1,
                        "operation": OPERATION, "request": "r", "correlation": "w"},
                       {"metastore_records_pkey", "metastore_history_pkey", "nodes_pkey"}),
    "close_items": (ITEMS["close_items"], {"ids": IDS, "most": 12}, {"commands_pkey", "operation_items_pkey"}),
    "operations of a list": (ITEMS["lock"], {"ids": [OPERATION]}, {"operations_pkey"}),
    "operations of commands": (ITEMS["lock_of_commands"], {"ids": IDS}, {"operations_pkey", "commands_pkey"}),
    "states of items": (ITEMS["states"], {"items": "[]"}, {"operation_items_pkey"}),
    "set_aside": (ITEMS["set_aside"], {"items": "[]"}, {"operation_items_pkey"}),
    "ready_up": (OPERATIONS["ready_up"], {"id": OPERATION, "state": "pending", "limit": 64},
                 {"operation_items_state", "operation_items_pkey"}),
    "ready_down": (OPERATIONS["ready_down"], {"id": OPERATION, "state": "done", "limit": 64}, {"operation_items_state"}),
    "unfinished": (OPERATIONS["unfinished"], {"id": OPERATION, "state": "pending", "low": 0, "high": 999_500, "limit": 1000},
                   {"operation_items_state"}),
    "left": (OPERATIONS["left"], {"id": OPERATION, "state": "pending"}, {"operation_items_state"}),
    "hand_out": (OPERATIONS["hand_out"], {"id": OPERATION, "items": [7, 8]}, {"operation_items_pkey"}),
    "give_up": (OPERATIONS["give_up"], {"id": OPERATION, "items": "[]"}, {"operation_items_pkey"}),
    "done_up": (OPERATIONS["done_up"], {"id": OPERATION, "before": 500_000, "limit": 500}, {"operation_items_state"}),
    "done_down": (OPERATIONS["done_down"], {"id": OPERATION, "before": 500_000, "limit": 500}, {"operation_items_state"}),
    # By the mount's entries, or by all of them: the fill has one mount.
    "changed_since": (OPERATIONS["changed_since"], {"id": OPERATION, "limit": 10, "mount": 1, "path": b"d", "entry": 10**9}, set()),
    "work in flight": (WORK["in_flight"], {"id": OPERATION, "limit": 64, "records": True}, {"operation_items_state"}),
    "work begins": (WORK["begin"], {"id": OPERATION, "items": [7, 8], "seconds": 0.0}, set()),
    "work ends": (WORK["end"], {"id": OPERATION, "items": "[]"}, {"operation_items_state"}),
    "files of work": (WORK["files"], {"id": OPERATION, "items": [7, 8]}, {"operation_items_pkey", "nodes_pkey"}),
    "verified": (
        WORK["verified"], {"nodes": [5000], "versions": [1], "hashes": [b"h" * 32]}, {"nodes_pkey", "versions_pkey"},
    ),
    "deleted at a path": (RESTORES["gone_at"], {"mount": 1, "path": b"5/10", "parent": b"5/", "name": b"10"},
                          {"nodes_directory", "nodes_deleted_directory", "nodes_deleted"}),
    "kept now": (RESTORES["kept_now"], {"nodes": [500, 5000]}, {"nodes_pkey", "versions_pkey"}),
    "since a time": (RESTORES["since"], {"nodes": "[]"}, {"nodes_pkey", "versions_pkey"}),
    "were at a time": (RESTORES["were"], {"nodes": [5000], "base": 500, "at": NOW}, {"versions_pkey"}),
    "buried": (RESTORES["buried"], {"top": 500, "directory": b"", "name": b"", "limit": 64},
               {"nodes_pkey", "nodes_deleted_directory", "nodes_deleted"}),
    "places of a purge": (PURGES["places"], {"id": OPERATION, "items": [7, 8]}, {"operation_items_pkey", "versions_pkey"}),
    "what a purge leaves": (PURGES["below"] + "\n" + PURGES["counted_on"], {"places": "[]", "mount": 1},
                            {"nodes_deleted", "versions_pkey", "operation_items_restores", "operations_pkey"}),
    "mark of a purge": (PURGES["below"] + "\n" + PURGES["mark"], {"places": "[]"}, {"nodes_deleted", "versions_pkey"}),
    "end of a purge": (PURGES["below"] + "\n" + PURGES["clear"], {"places": "[]"}, {"nodes_deleted", "versions_pkey"}),
    "what the trash keeps of a held place": (load("object_locks")["kept"], {"entries": "[]"}, {"nodes_deleted", "versions_pkey"}),
    "expired restores": (PURGES["expired"], {"items": "[]"}, {"versions_pkey"}),
    "weight of a subtree": (load("subtrees")["weigh"], {"mount": 1, "ids": [500], "most": 10_000, "flat": 50_000},
                            {"nodes_pkey", "nodes_directory", "nodes_name"}),
    "due operations": (OPERATIONS["due"], {"mount": 1, "silent": 15.0, "after": None}, {"operations_moving"}),
    "changed trees": (OPERATIONS["changed_trees"], {"id": OPERATION, "entry": 10**9, "trees": "[]"},
                      {"journal_entries_command_id_attempt_key", "operations_pkey"}),
    "comes_back": (OPERATIONS["comes_back"], {"id": OPERATION, "state": "pending"}, {"operation_items_state"}),
    "unmet": (OPERATIONS["unmet"], {"id": OPERATION, "items": "{}"}, {"operation_items_pkey"}),
    "overlapping": (OPERATIONS["overlapping"], {"mounts": "{}", "id": OPERATION, "paths": "{}"}, {"operations_claimed"}),
    "a plan": (OPERATIONS["below"], {"mount": 1, "directory": b"5/", "high": b"50", "name": b"", "limit": 500},
               {"nodes_directory", "nodes_name"}),
    "what is recorded at names": (
        load("watchers")["recorded"], {"mount": 1, "paths": "{5/7}", "parents": "{5/}", "names": "{7}"},
        {"nodes_directory", "nodes_name", "claims_pkey"},
    ),
    "our own ETags": (
        load("bucket_notifications")["on_record"],
        {"mount": 1, "paths": "{5/7}", "parents": "{5/}", "names": "{7}", "etags": "{x}"}, {"nodes_directory", "nodes_name"},
    ),
    "ask": (RECOMPUTES["ask"], {"directory": 500, "principal": "user", "reason": "request"}, {"nodes_pkey"}),
    "open_of": (RECOMPUTES["open_of"], {"directory": 500}, set()),
    "root": (RECOMPUTES["root"], {"mount": 1}, {"nodes_directory"}),
    "await": (RECOMPUTES["await"], {"directory": 500}, set()),
    "find": (RECOMPUTES["find"], {"id": 1}, {"rollup_recomputes_pkey", "nodes_pkey"}),
    "due recomputes": (RECOMPUTES["due"], {"mount": 1, "silent": 15.0}, {"rollup_recomputes_running"}),
    "a page of a recompute": (RECOMPUTES["page"], {**RANGE, "limit": 2},
                              {"nodes_directory", "rollups_pkey", "nodes_name", "rollup_deltas_directory"}),
    "the last page of a recompute": (RECOMPUTES["page"], {**RANGE, "low": b"", "high": b"\xff" * 256, "run": 1, "limit": 1},
                                     {"nodes_directory", "rollups_pkey"}),
    "correct": (RECOMPUTES["correct"], {"ids": [500, 501], "run": 1},
                {"nodes_pkey", "nodes_name", "rollup_deltas_directory"}),
    "parent": (RECOMPUTES["parent"], {"directory": 5000}, {"nodes_pkey", "nodes_name"}),
    "prove": (RECOMPUTES["prove"], {"ids": [500, 501], "run": 1}, set()),
    "advance": (RECOMPUTES["advance"], {"run": 1, "cursor": b"", "directories": 1, "waits": 0}, set()),
    "settle recomputes": (RECOMPUTES["settle"], BELOW, {"rollups_doubtful", "nodes_pkey"}),
    "doubt of a rollup": (RECOMPUTES["doubt"], {"directory": 500}, {"rollups_pkey"}),
    "end of a recompute": (RECOMPUTES["end"], {"run": 1, "state": "failed", "code": None}, {"nodes_pkey"}),
    "position": (RECOMPUTES["position"], {"mount": 1}, set()),
    "mark": (RECOMPUTES["mark"], {"ids": [500, 501]}, {"nodes_pkey"}),
    "forget recomputes": (RECOMPUTES["forget"], {"keep": 0.0, "limit": 100}, {"rollup_recomputes_ended"}),
    "goes_to": (OPERATIONS["goes_to"], {"id": OPERATION, "places": "{p7}"}, {"operation_items_appears"}),
    "stamp": (IMPORTS["stamp"], {"mount": 1}, {"journal_entries_pkey"}),
    "touched": (IMPORTS["touched"], {"mount": 1, "entry": 999_990}, {"journal_entries_pkey"}),
    "folders of a page": (IMPORTS["folders"], {"mount": 1, "paths": [b"5/", b"6/"]}, {"nodes_directory"}),
    "known in a page": (IMPORTS["known"], {"parents": [500, 501], "names": [b"1", b"2"]}, {"nodes_name"}),
    "totals of a page": (
        IMPORTS["roll"], {"directories": [500], "bytes": [1], "files": [1], "folders": [0]}, {"nodes_pkey"},
    ),
    "page of a forgotten import": (FORGETS["page_before"], {"import": OPERATION, "below": 10**9}, {"journal_entries_operation"}),
    "made by a page": (FORGETS["made"], {"at": NOW, "command": OPERATION}, {"snapshots_begun", "nodes_pkey"}),
    "moved since an import": (FORGETS["moved"], {"directories": [5, 6], "entry": 7}, {"nodes_pkey", "journal_entries_node"}),
    "holding others": (
        FORGETS["holding"], {"directories": [5], "import": OPERATION}, {"nodes_name", "versions_pkey"},
    ),
    "claims beside a forgotten import": (FORGETS["claims"], {"mount": 1}, set()),
    "portion of a forgotten import": (FORGETS["portion"], {"id": OPERATION, "items": [7, 8]}, {"operation_items_state"}),
    "forget": (
        FORGETS["forget"], {"ids": [500], "versions": [1], "page": OPERATION}, {"nodes_pkey", "nodes_name", "snapshots_current"},
    ),
    "first that waits": (FORGETS["waiting"], {"id": OPERATION}, {"operation_items_state"}),
    "standing": (FORGETS["standing"], {"ids": [500], "versions": [1]}, {"nodes_pkey"}),
    "told of forgotten ones": (
        FORGETS["tell"], {"id": OPERATION, "page": OPERATION, "nodes": [500], "sizes": [0], "files": [0], "directories": [0]},
        {"operations_pkey", "nodes_pkey"},
    ),
    "put off": (
        FORGETS["put_off"], {"id": OPERATION, "items": [7, 8], "most": 12, "message": "busy"}, {"operation_items_state"},
    ),
    "refused of an import": (IMPORTS["refused"], {"id": OPERATION}, {"operation_items_state"}),
    "waiting of an import": (IMPORTS["waiting"], {"id": OPERATION, "limit": 100}, {"operation_items_state"}),
    "defer of an import": (IMPORTS["defer"], {"id": OPERATION, "items": [7, 8], "most": 12}, {"operation_items_state"}),
    "last item of an import": (IMPORTS["next_item"], {"id": OPERATION}, {"operation_items_pkey"}),
    "unhashed": (
        IMPORTS["unhashed"], {"mount": 1, "limit": 100, "directory": b"5/", "name": b"", "high": b"50", "only": None},
        {"nodes_directory", "nodes_name"},
    ),
    "unhashed behind": (IMPORTS["directory_after"], {"mount": 1, "directory": b"5/", "high": b"6"}, {"nodes_directory"}),
    "put_hashes": (
        IMPORTS["put_hashes"], {"ids": [500], "versions": [1], "hashes": "{" + "ab" * 32 + "}"}, {"nodes_pkey", "versions_pkey"},
    ),
    "holds in the way": (HOLDS["in_the_way"], {"items": HELD}, {"holds_in_force"}),
    "what is taken now": (HOLDS["taken_now"], {"mount": 1, "path": b"5", "above": [b""], "low": b"5/", "high": b"50"}, set()),
    "whether a mount has holds": (HOLDS["on_mount"], {"mount": 1}, {"holds_in_force"}),
    "a hold": (HOLDS["lock"], {"id": 500, "tenant": "main"}, {"holds_tenant"}),
    "room in quotas": (
        QUOTAS["room"], {"items": GROWING}, {"nodes_directory", "rollup_deltas_directory", "charges_of", "commands_running"},
    ),
    "room at a place": (
        QUOTAS["room_at"], {"tenant": "main", "mount": 1, "path": b"6/new", "principal": "user1"}, {"charges_of"},
    ),
    "held looks": (LOOKS["held"], {"mount": 1}, {"looks_open"}),
    "a look": (LOOKS["find"], {"look": 500}, {"looks_pkey"}),
    "mounts with heals": (HEALS["due_mounts"], {"mounts": [1, 2]}, {"findings_due"}),
    "heals a brake is asked about": (HEALS["unweighed"], {"mount": 1, "limit": 1000}, {"findings_due"}),
    "heals that are due": (HEALS["due"], {"mount": 1, "limit": 32}, {"findings_due"}),
    "the next heal": (HEALS["next_due"], {"mount": 1}, {"findings_due"}),
    "copies for a heal": (HEALS["copies"], {"mount": 1, "tenant": "main", "sha256": HASH, "node": 500, "limit": 8},
                          {"snapshots_copies", "nodes_sha256"}),
    "findings of heals": (HEALS["known"], {"ids": [500, 501]}, {"findings_pkey"}),
    "what heals found": (HEALS["healing"], {"ids": IDS}, {"commands_pkey"}),
    "how heals ended": (HEALS["ends"], {"ids": IDS}, {"commands_pkey"}),
    "heals that were tried": (HEALS["tried"], {"tries": "[]", "most": 8}, {"findings_due"}),
    "the plan of heals": (HEALS["plan"], {"ids": [500, 501], "plan": 0}, {"findings_due"}),
    # Two indexes are as good: the planner takes one or the other by what the sample of the statistics held.
    "the answer to heals": (HEALS["answer"], {"yes": True, "look": 500}, set()),
    "what a directory held that is back": (HEALS["open_below"], {"findings": [500]}, {"nodes_pkey", "nodes_doubted"}),
    "contents to scrub": (SCRUB["page"], {"mount": 1, "directory": b"5/", "name": b"", "limit": 128},
                          {"nodes_directory", "nodes_name"}),
    "contents to scrub behind": (SCRUB["behind"], {"mount": 1, "directory": b"5/"}, {"nodes_directory"}),
    "how far a scrub is": (SCRUB["progress"], {"mount": 1}, {"nodes_directory"}),
    "damage": (SCRUB["seen_damaged"], {"node": 500, "version": 1, "ctime": 7}, {"nodes_pkey"}),
    "content that is lost": (CONCLUDE["lose_content"], {"ids": [500, 501]}, {"versions_pkey"}),
    "files that have left the trash": (
        CONCLUDE["leave_trash"],
        {"mount": 1, "hashes": [b"\1" * 32, b"\2" * 32], "devices": [1, 1], "inodes": [1, 2], "births": [1, 2]},
        {"snapshots_copies"},
    ),
    "findings of a decision": (load("findings")["lock"], {"ids": [500, 501]}, {"findings_pkey"}),
    "jobs that are due": (load("reconciliations")["due"], {"mount": 1, "silent": 9.0}, {"reconciliation_jobs_open"}),
    "directories of a look": (LOOKS["directories"], {"mount": 1, **LISTED}, {"nodes_directory", "nodes_inode"}),
    "children of a look": (LOOKS["children"], {"ids": [500, 501]}, {"nodes_name"}),
    "a name of a look": (LOOKS["child"], {"mount": 1, "directory": b"5/", "name": b"7"}, {"nodes_directory", "nodes_name"}),
    "nodes_at": (CONCLUDE["nodes_at"], {"parents": [500], "names": [b"7"]}, {"nodes_name", "nodes_pkey"}),
    "nodes_of": (CONCLUDE["nodes_of"], {"mount": 1, "inodes": [2**40]}, {"nodes_inode", "nodes_pkey"}),
    "nodes_below": (CONCLUDE["nodes_below"], {"tops": [500], "paths": [b"5"], "seen": [7]}, {"nodes_name"}),
    "seal": (audit_store.NEXT, {"after": 999_900, "settled": 10**6, "limit": 100}, {"journal_entries_pkey"}),
    "prove seals": (audit_store.OF_RANGES, {"numbers": [1, 2], "after": [5, 999_900], "last": [50, 999_950]},
                    {"journal_entries_pkey"}),
    "entries about projects": (load("project_acts")["page"], {"after": 5000, "settled": 10**6, "limit": 500},
                               {"journal_entries_projects"}),
    "those of a tenant": (load("project_acts")["of_tenant"], {"tenant": "main", "after": 5000, "last": 10**6, "limit": 500},
                          {"journal_entries_projects"}),
    "the last seal": (load("audit")["head"], {}, {"journal_entries_pkey"}),
    "since a look": (CONCLUDE["since"], {"mount": 1, "entries": 2**40, "most": 10**6}, {"journal_entries_pkey"}),
    "change_nodes of a look": (CONCLUDE["change_nodes"], {"acts": "[]", "conclusion": 1}, {"nodes_pkey"}),
    "doubt of a look": (CONCLUDE["doubt"], {"acts": "[]", "conclusion": 1}, {"nodes_pkey"}),
    "miss of a look": (CONCLUDE["miss"], {"acts": "[]", "conclusion": 1}, {"nodes_pkey"}),
    "roll of a look": (CONCLUDE["roll"], {"shifts": "[]"}, {"nodes_pkey"}),
    "places of a plan": (
        OPERATIONS["weigh"], {"mount": 1, "parents": [b"5/"], "names": [b"7"]}, {"nodes_directory", "nodes_name", "nodes_pkey"},
    ),
    "occupants": (OPERATIONS["occupants"], {"mount": 1, "places": "[]"}, {"nodes_directory", "nodes_name"}),
    "events of the Metastore": (METASTORE["page"], {"after": 999_000, "limit": 100, "bytes": 4_000_000}, {"outbox_position"}),
    "events of the Timestore": (ACTIVITY["page"], {"after": 999_000, "limit": 100, "bytes": 4_000_000}, {"outbox_position"}),
    "hold records": (METASTORE["hold"], {"nodes": [500, 501]}, {"metastore_records_pkey"}),
    "sync": (METASTORE["sync"], {"items": SYNCED, "namespace": "filestore"}, {"nodes_pkey", "metastore_records_pkey"}),
    "carry": (METASTORE["carry"], {"items": json.dumps([{"node": 500, "origin": 501}])}, {"metastore_records_pkey"}),
    "records of nodes": (TAGS["of_nodes"], {"nodes": [500, 501], "namespace": "filestore"},
                         {"nodes_pkey", "metastore_records_pkey"}),
    "nodes without a record": (TAGS["unknown"], {"id": OPERATION, "items": [500, 501]},
                               {"operation_items_pkey", "metastore_records_pkey"}),
    "items of records": (TAGS["in_flight"], {"id": OPERATION, "items": [500, 501]}, {"operation_items_state"}),
    "former records": (TAGS["former"], {"items": json.dumps([{"item": 1, "node": 500, "version": 1}])}, {"metastore_history_pkey"}),
    "keep records": (TAGS["keep"], {"nodes": [50001, 50002]}, {"metastore_records_pkey"}),
    "change records": (TAGS["change"], {"principal": "ann", "records": json.dumps([CHANGED])}, {"metastore_records_pkey"}),
    "the ends of records": (TAGS["end"], {"id": OPERATION, "back": False, "items": json.dumps([{"item": 500, "ends": "done"}])},
                            {"operation_items_state"}),
    "records among nodes": (AMONG, {"tenant": "main", "after": 0, "nodes": [500, 501], "tags": "{t4}", "query": "4711"},
                            {"metastore_records_pkey"}),
    "living children": (METASTORE["living"], {"directory": 500, "origin": None, "after": None, "limit": 100}, {"nodes_name"}),
    "buried children": (METASTORE["buried"],
                        {"directory": 500, "after": None, "limit": 100, "buried": NOW.isoformat()}, {"nodes_deleted"}),
    "scan of nodes": (METASTORE["scan"], {"after": 500, "last": 10**9, "limit": 100}, {"nodes_pkey"}),
    "state of the Metastore": (METASTORE["state"], {}, {"outbox_position"}),
    "node_at": (OPERATIONS["node_at"], {"mount": 1, "path": b"5/7", "parent": b"5/", "name": b"7"}, {"nodes_directory"}),
}  # fmt: skip


@pytest.mark.parametrize("name", GENERIC)
async def test_the_engine_never_reads_a_whole_table_for(full: tuple[Connection, MountId], name: str) -> None:
    connection, mount = full
    query, values, expected = GENERIC[name]
    values = looked_for(mount) if name == "look" else values
    nodes = await plan(connection, query, values, generic=True)
    assert scanned(nodes) == set()
    assert expected <= indexes(nodes)


async def of_the_record(connection: Connection, values: dict[str, Any]) -> dict[str, Any]:
    """The same values, with commands that are there instead of made-up ones."""
    query = b"SELECT array_agg(id::text) AS ids FROM (SELECT id FROM filestore.commands LIMIT 64) c"
    row = await (await connection.execute(query)).fetchone()
    assert row is not None
    return {
        name: row["ids"] if value == IDS else row["ids"][0] if value == IDS[0] else value
        for name, value in values.items()
    }


@pytest.mark.parametrize("name", GENERIC)
async def test_what_the_engine_reads_does_not_grow_with_the_record_for(
    full: tuple[Connection, MountId], name: str
) -> None:
    connection, mount = full
    query, values, _ = GENERIC[name]
    if name == "look":
        values = looked_for(mount)
    elif name != "journal":  # a command ends once, and these commands have
        values = await of_the_record(connection, values)
    assert touched(await plan(connection, query, values, generic=True, run=True)) < PAGES_MAX


KEYED = {"request": IDS[0], "tenant": "main", "principal": "user1", "key": "1", "hash": "00", "age": 2.5}
READS: dict[str, tuple[LiteralString, dict[str, Any], set[str]]] = {
    "by_id": (NODES["by_id"], {"id": 500, "tenant": "main"}, {"nodes_pkey"}),
    "living": (NODES["living"], {"parent": b"5/", "name": b"7", "tenant": "main"}, {"nodes_directory", "nodes_name"}),
    "latest_deleted": (NODES["latest_deleted"], {"names": [b"5", b"10"], **PAGE}, {"nodes_name", "nodes_deleted"}),
    "content": (NODES["content"], {"id": 500, "tenant": "main"}, {"nodes_pkey"}),
    "versions": (snapshot_store._PAGE, {"node": 500, "before": 9, "limit": 50}, {"versions_pkey"}),
    "a version": (snapshot_store._ONE, {"node": 500, "version": 1}, {"versions_pkey"}),
    "downloads": (load("downloads")["tell"], {"items": '[{"node": 500}, {"node": 501}]'}, {"nodes_pkey"}),
    "children": (NODES["children"], {"id": 50, **PAGE}, {"nodes_name"}),
    "children by name": (NODES["readable_children"], {"id": 50, **PAGE, **NAMES}, {"nodes_name"}),
    "some children": (node_store._SOME_CHILDREN, {"id": 50, **PAGE}, {"nodes_name"}),
    "a tree": (node_store._TREE, {"low": b"5/", "high": b"50", "parent": b"", "name": b"5", "deepest": 9, **PAGE},
               {"nodes_directory", "nodes_name"}),
    "a search": (node_store._TREE, {"low": b"5/", "high": b"50", "parent": b"", "name": b"5", "deepest": 9, **PAGE,
                                    "search": "Ä77"}, {"nodes_directory", "nodes_name"}),
    "a search among children": (node_store._SOME_CHILDREN, {"id": 50, **PAGE, "search": "Ä77"}, {"nodes_name"}),
    "what a directory held": (past_store._CHILDREN, {"id": 500, "at": THEN, "limit": 201, "after_kind": "file",
                                                     "after_name": b"5", "after_id": 500}, {"snapshots_children"}),
    "how many it held": (PAST["count_children"], {"id": 500, "at": THEN}, {"snapshots_children"}),
    "nodes on a path then": (PAST["chain"], {"start": 500, "names": [b"7"], "at": THEN}, {"snapshots_children"}),
    "a node then": (past_store._VERSION, {"id": 5000, "at": THEN}, {"versions_pkey"}),
    "its path then": (PAST["path"], {"id": 5000, "root": 500, "at": THEN}, set()),
    "the root then": (PAST["root"], {"id": 5000, "tenant": "main"}, {"nodes_directory"}),
    "differences": (PAST["differences"], {"before": 500, "after": 500, "since": THEN, "until": NOW, "limit": 100, **SCANNED},
                    {"snapshots_begun", "versions_pkey", "nodes_pkey"}),
    "differences of what a path names": (PAST["bases"], {"before": 500, "after": 501, "since": THEN, "until": NOW},
                                         {"versions_pkey"}),
    "the trash": (load("trash")["kept"], {"root": 1, "path": b"", "scan": 100, "limit": 100, "before_until": EVER,
                                          "before_id": 0, "before_version": 0, "least": None},
                  {"snapshots_kept", "versions_pkey", "nodes_pkey", "journal_entries_end"}),
    "names that collide": (node_store._COLLISIONS, {"low": b"5/", "high": b"50", "parent": b"", "name": b"5", "deepest": 9,
                                                    **PAGE}, {"nodes_directory", "nodes_name"}),
    "names beside one": (NODES["collides_with"], {"id": 5000}, {"nodes_pkey", "nodes_name"}),
    "a token": (load("tokens")["find"], {"hash": HASH, "known": None}, {"tokens_hash_key", "tokens_previous_hash_key"}),
    "what a token may do": (load("tokens")["load"], {"id": 500}, {"tokens_pkey"}),
    "tokens": (load("tokens")["list"], {"tenant": "main", "only": None, "before": None, "principal": None, "revoked": True,
                                        "limit": 26}, {"tokens_pkey"}),
    "the use of tokens": (load("tokens")["note_use"], {"ids": [500, 501]}, {"tokens_pkey"}),
    "overdue": (OUTCOMES["overdue"], {"seconds": 15.0}, {"commands_running"}),
    "overdue lists": (OUTCOMES["overdue_atomic"], {"seconds": 15.0}, {"commands_running"}),
    "by_key": (OUTCOMES["by_key"], {"items": json.dumps([KEYED])}, {KEY}),
    "a command": (load("journal")["command"], {"id": IDS[0], "tenant": "main"}, {"commands_pkey"}),
    "a page of events": (EVENTS["page"], {"after": 999_000, "limit": 100, "bytes": 4_000_000, "tenant": "main", "mount": None,
                                          "types": ["x"]}, {"outbox_position"}),
    "what waits": (EVENTS["waiting"], {}, {"outbox_unpositioned"}),
    "what is kept": (EVENTS["bounds"], {}, {"outbox_position"}),
    "the metrics": (load("metrics")["work"], {"most": 10_000}, {"outbox_unpositioned", "outbox_position",
                                                                 "commands_running", "cleanups_pkey"}),
    "the lag": (EVENTS["lag"], {}, {"outbox_unpositioned"}),
    "whether a mount holds nodes": (load("mounts")["holds_nodes"], {"id": 1}, {"nodes_directory", "nodes_name"}),
    "ended stages": (LEFTOVERS["ended_stages"], {"stages": IDS}, {"commands_pkey"}),
    "live stages": (LEFTOVERS["live_stages"], {"stages": IDS}, {"commands_pkey"}),
    "stages that were interrupted": (LEFTOVERS["forget_interrupted"], {"stages": IDS}, {"commands_pkey"}),
    "quotas": (QUOTAS["list"], {"tenant": "main", "only": None, "before": None, "limit": 26},
               {"nodes_directory", "charge_deltas_of"}),
    "uses of quotas": (QUOTAS["uses"], {"after": 0, "limit": 500}, {"nodes_directory"}),
    "holds": (HOLDS["list"], {"tenant": "main", "only": None, "before": None, "ended": True, "limit": 26}, set()),
    "jobs": (load("reconciliations")["documents"],
             {"tenant": "main", "job": None, "limit": 50, "offset": 0, **JobFilter().values()}, set()),
    "a job": (load("reconciliations")["documents"],
              {"tenant": "main", "limit": 1, "offset": 0, **JobFilter().values(), "job": 500}, {"reconciliation_jobs_pkey"}),
    "a finding": (load("findings")["documents"], {"tenant": "main", "after": 0, "limit": 1, **FindingFilter(ids=[500]).values()},
                  {"findings_tenant"}),
    "deliveries": (SUBSCRIPTIONS["deliveries"], {"id": SUBSCRIPTION, "tenant": "main", "before": 500, "states": None, "limit": 50},
                   {"deliveries_pkey"}),
    "what is due for a target": (SUBSCRIPTIONS["load"], {"id": SUBSCRIPTION}, {"deliveries_redrive"}),
    "dead letters once more": (SUBSCRIPTIONS["to_redrive"], {"id": SUBSCRIPTION}, {"deliveries_redrive", "outbox_position"}),
    "dead letters": (SUBSCRIPTIONS["redrive"], {"id": SUBSCRIPTION, "tenant": "main", "positions": [500]}, {"deliveries_pkey"}),
    "a delivery": (SUBSCRIPTIONS["redriven"], {"id": SUBSCRIPTION, "position": 501, "succeeded": True, "status": 200, "error": None,
                                               "milliseconds": 1.0}, {"deliveries_redrive"}),
    "deliveries that are old": (SUBSCRIPTIONS["forget"], {"id": SUBSCRIPTION, "delivered_seconds": 3600.0, "dead_seconds": 7200.0},
                                {"deliveries_old", "deliveries_pkey"}),
    "an operation": (OPERATIONS["document"], {"id": OPERATION, "tenant": "main"}, set()),
    "items": (OPERATIONS["items"], {"id": OPERATION, "states": None, "codes": None, "after": 500_000, "limit": 1000},
              {"operation_items_pkey"}),
    "errors": (OPERATIONS["errors"], {"id": OPERATION}, set()),
    "a recompute": (RECOMPUTES["document"], {"id": 500, "tenant": "main"}, {"rollup_recomputes_pkey", "nodes_pkey"}),
    "what is in flight": (OPERATIONS["current"], {"id": OPERATION}, {"operation_items_state"}),
}  # fmt: skip


@pytest.mark.parametrize("name", READS)
async def test_a_reader_never_reads_a_whole_table_for(full: tuple[Connection, MountId], name: str) -> None:
    connection, mount = full
    query, values, expected = READS[name]
    values = {"mount": mount, **node_store.EVERYTHING.values(), **values}
    nodes = await plan(connection, query, values, generic=False)
    assert scanned(nodes) == set()
    assert expected <= indexes(nodes)


@pytest.mark.parametrize("name", READS)
async def test_what_a_reader_reads_does_not_grow_with_the_record_for(
    full: tuple[Connection, MountId], name: str
) -> None:
    connection, mount = full
    query, values, _ = READS[name]
    values = {"mount": mount, **node_store.EVERYTHING.values(), **await of_the_record(connection, values)}
    assert touched(await plan(connection, query, values, generic=False, run=True)) < PAGES_MAX


async def test_how_much_the_trash_keeps_is_counted_by_its_index(full: tuple[Connection, MountId]) -> None:
    """Once, when a plan begins that goes through all of it."""
    nodes = await plan(full[0], load("trash")["count_kept"], {"least": None}, generic=False)
    assert scanned(nodes) == set() and indexes(nodes) == {"snapshots_kept"}


SEARCHED: dict[str, tuple[RecordSearch, str]] = {
    "words": (RecordSearch(query="4711"), "metastore_records_words"),
    "tags": (RecordSearch(tags=["t4"]), "metastore_records_tags"),
    "an owner": (RecordSearch(owner="u4"), "metastore_records_owner"),
    "metadata": (RecordSearch(metadata={"p": 4}), "metastore_records_metadata"),
    "a namespace": (RecordSearch(namespace="rare"), "metastore_records_namespace"),
    "a path": (RecordSearch(mount=MountId(0), prefix=NodePath(b"folder-7")), "metastore_records_path"),
    "a path on any mount": (RecordSearch(prefix=NodePath(b"folder-7")), "metastore_records_path"),
}


@pytest.mark.parametrize("name", SEARCHED)
async def test_a_search_of_records_goes_by_the_index_of_what_is_looked_for(
    full: tuple[Connection, MountId], name: str
) -> None:
    connection, mount = full
    wanted, index = SEARCHED[name]
    wanted = replace(wanted, mount=mount) if wanted.mount is not None else wanted
    query, values = record_store.statement("main", wanted, 0, 50)
    nodes = await plan(connection, query, values, generic=False, run=True)
    assert scanned(nodes) == set() and index in indexes(nodes)
    assert touched(nodes) < PAGES_MAX


ASKED: dict[str, tuple[JournalFilter, set[str]]] = {
    "a mount": (JournalFilter(mount=MountId(1)), {"journal_entries_mount", "journal_entries_pkey"}),
    "a path": (JournalFilter(mount=MountId(1), path=NodePath(b"p777")), {"journal_entries_path"}),
    "a long path": (JournalFilter(mount=MountId(1), path=NodePath(b"p" * 1500)), {"journal_entries_path"}),
    "a prefix": (JournalFilter(mount=MountId(1), prefix=NodePath(b"p777")), {"journal_entries_path"}),
    "a node": (JournalFilter(node=NodeId(5)), {"journal_entries_node"}),
    "a command": (JournalFilter(command=CommandId(IDS[0])), {"journal_entries_command_id_attempt_key"}),
    "an operation": (JournalFilter(operation=IDS[0]), {"journal_entries_operation"}),
    "an atomic list": (JournalFilter(atomic=IDS[0]), {"journal_entries_atomic"}),
    "a piece of work": (JournalFilter(correlation="work 3"), {"journal_entries_correlation"}),
    "the largest piece of work": (JournalFilter(correlation="work 6"), {"journal_entries_correlation", "journal_entries_pkey"}),
    "failures": (JournalFilter(outcomes=["failed", "inconsistent"]), {"journal_entries_failures"}),
    "a code": (JournalFilter(codes=["STORAGE_FULL"]), {"journal_entries_failures"}),
    "a principal": (JournalFilter(principal="user1"), {"journal_entries_principal", "journal_entries_pkey"}),
    "a principal of few entries": (JournalFilter(principal="nobody"), {"journal_entries_principal"}),
    "everything": (JournalFilter(), {"journal_entries_pkey"}),
}  # fmt: skip


@pytest.mark.parametrize("oldest_first", [False, True], ids=["newest", "oldest"])
@pytest.mark.parametrize("name", ASKED)
async def test_the_journal_is_never_read_or_sorted_whole_for(
    full: tuple[Connection, MountId], name: str, oldest_first: bool
) -> None:
    connection, mount = full
    asked, expected = ASKED[name]
    asked = replace(asked, mount=mount) if asked.mount else asked
    query = journal_store._PLAIN[oldest_first]
    values = asked.values() | {"tenant": "main", "limit": 50}
    nodes = await plan(connection, query, values, generic=False)
    assert scanned(nodes) == set() and not sorts_everything(nodes)
    assert indexes(nodes) & expected


LINEAGE: dict[str, tuple[dict[str, Any], set[str]]] = {
    "named": ({"mounts": [1], "names": [b"5", b"7"], "most": 100}, {"snapshots_children", "nodes_directory"}),
    "carriers": (
        {"mounts": [1], "nodes": [5000, 5001], "tenant": "main", "most": 1000},
        {"versions_pkey", "nodes_pkey"},
    ),
    "turns": ({"nodes": [5000, 5001], "most": 1000}, {"versions_pkey"}),
}


@pytest.mark.parametrize("name", LINEAGE)
async def test_the_names_and_directories_of_a_node_are_found_by_index(
    full: tuple[Connection, MountId], name: str
) -> None:
    connection, mount = full
    values, expected = LINEAGE[name]
    values = values | ({"mounts": [mount]} if "mounts" in values else {})
    nodes = await plan(connection, load("lineage")[name], values, generic=False, run=True)
    assert scanned(nodes) == set() and expected <= indexes(nodes)
    assert touched(nodes) < PAGES_MAX


HISTORIES: dict[str, JournalFilter] = {
    "a path": JournalFilter(path=NodePath(b"p777")),
    "a deep path": JournalFilter(path=NodePath(b"/".join([b"5", *[b"n"] * 500]))),
    "a path on all mounts": JournalFilter(mount=None, path=NodePath(b"5/7")),
    "a prefix": JournalFilter(prefix=NodePath(b"5/7")),
    "a node": JournalFilter(mount=None, node=NodeId(5000)),
}


@pytest.mark.parametrize("oldest_first", [False, True], ids=["newest", "oldest"])
@pytest.mark.parametrize("name", HISTORIES)
async def test_a_history_is_read_by_index_for(full: tuple[Connection, MountId], name: str, oldest_first: bool) -> None:
    connection, mount = full
    asked = replace(HISTORIES[name], mount=None if name in ("a node", "a path on all mounts") else mount)
    found = Lineage([mount], [NodeId(n) for n in range(5000, 5100)], [(NodeId(n), "-infinity", "infinity")
                    for n in range(2, 400)], IDS * 200)  # fmt: skip
    values = asked.values() | {"tenant": "main", "limit": 200} | journal_store._places(asked) | found.values()
    query = journal_store._query(asked, oldest_first)
    nodes = await plan(connection, query, values, generic=False, run=True)
    assert scanned(nodes) == set() and not sorts_everything(nodes)
    assert touched(nodes) < 3 * PAGES_MAX, "a look-up for each node, directory and command, and no more"


@pytest.mark.parametrize("limit", [50, 200])
async def test_going_on_at_a_place_reads_no_more_than_the_first_page(
    full: tuple[Connection, MountId], limit: int
) -> None:
    connection, mount = full
    place = {"after_rank": "file", "after_key": b"5", "after_id": 500}
    values = {**node_store.EVERYTHING.values(), "mount": mount, "id": 50, **PAGE, "limit": limit, **place}
    nodes = await plan(connection, node_store._SOME_CHILDREN, values, generic=False)
    assert scanned(nodes) == set() and "nodes_name" in indexes(nodes)
    tree = {"low": b"5/", "high": b"50", "parent": b"", "name": b"5", "deepest": 9, "after_rank": 2}
    nodes = await plan(connection, node_store._TREE, values | tree, generic=False)
    assert scanned(nodes) == set() and {"nodes_directory", "nodes_name"} <= indexes(nodes)


SELECTED: dict[str, tuple[UndoSelection, set[str]]] = {
    "a principal": (UndoSelection(principal="nobody"), {"journal_entries_principal"}),
    "a token": (UndoSelection(token_id=7), {"journal_entries_token"}),
    "a piece of work": (UndoSelection(correlation_id="work 3"), {"journal_entries_correlation"}),
    "commands": (
        UndoSelection(commands=tuple(map(CommandId, IDS))), {"journal_entries_end", "journal_entries_command_id_attempt_key"},
    ),
    "an operation": (UndoSelection(operation_id=IDS[0]), {"journal_entries_operation"}),
    "a time": (UndoSelection(since=THEN, until=NOW), {"journal_entries_mount", "journal_entries_pkey"}),
    "a path": (UndoSelection(path=NodePath(b"p777")), {"journal_entries_mount", "journal_entries_pkey"}),
}  # fmt: skip


@pytest.mark.parametrize("name", SELECTED)
async def test_what_an_undo_takes_is_found_by_index_for(full: tuple[Connection, MountId], name: str) -> None:
    connection, mount = full
    selection, expected = SELECTED[name]
    values = undo_store.Taken("main", [mount], selection, 2_000_000).values() | {"below": 900_000, "limit": 500}
    nodes = await plan(connection, undo_store.QUERIES["changes"], values, generic=False)
    assert scanned(nodes) == set() and not sorts_everything(nodes)
    assert indexes(nodes) & expected
    if name not in ("a time", "a path"):
        assert scanned(await plan(connection, undo_store.QUERIES["count"], values, generic=False)) == set()


BETWEEN: dict[str, tuple[dict[str, Any], set[str]]] = {
    "runs": ({"nodes": [5000, 5001]}, {"versions_pkey", "nodes_pkey", "journal_entries_end"}),
    "running": ({"asked_at": NOW}, {"commands_running"}),
    "record_runs": ({"nodes": [5000, 5001]}, {"metastore_records_pkey", "journal_entries_node", "nodes_pkey"}),
    "taken_places": (
        {"places": json.dumps([{"item": 1, "parent": 5, "name": "37", "node": 5000, "entry": 7}])},
        {"snapshots_children", "journal_entries_end"},
    ),
    "changed_below": (
        {"trees": json.dumps([{"path": "35", "entry": 7, "mount": 1}])},
        {"journal_entries_path", "journal_entries_target"},
    ),
    # Of a directory without children: each child costs a few pages more.
    "strangers": (
        {"directories": [5000], "limit": 1000},
        {"nodes_pkey", "nodes_name", "versions_pkey", "journal_entries_end"},
    ),
    "above": ({"directories": [5, 6]}, {"nodes_pkey"}),
    "made_in": (
        {"directory": 5, "kind": "directory", "name": b"", "command": OPERATION, "limit": 200},
        {"snapshots_children"},
    ),
    "expired": ({"contents": json.dumps([{"item": 1, "node": 5000, "version": 1}])}, {"versions_pkey"}),
    "own_versions": (
        {"id": OPERATION, "items": json.dumps([{"item": 1, "node": 5000, "version": 1}])},
        {"versions_pkey", "nodes_pkey"},
    ),
}


@pytest.mark.parametrize("name", BETWEEN)
async def test_what_came_between_the_changes_of_an_undo_is_found_by_index(
    full: tuple[Connection, MountId], name: str
) -> None:
    connection, mount = full
    more, expected = BETWEEN[name]
    values = undo_store.Taken("main", [mount], UndoSelection(principal="user1"), 2_000_000).values() | more
    query = undo_store.QUERIES.get(name) or undo_store.with_taken(UNDO_TREES[name])
    nodes = await plan(connection, query, values, generic=False, run=True)
    assert scanned(nodes) == set() and expected <= indexes(nodes)
    assert touched(nodes) < PAGES_MAX
