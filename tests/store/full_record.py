"""A record of 1,000,000 nodes and as many commands and events, written by statements."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import psycopg
from psycopg.rows import dict_row

from schema.ids import MountId
from schema.migrate import migrate
from tests.store.helpers import OPTIONS, Connection, make_mount, never_vacuumed

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
