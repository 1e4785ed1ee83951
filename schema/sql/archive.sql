-- The journal, and the versions that its entries made, as they are written to the archive.
-- LATERAL with OFFSET 0: see trees.sql.

-- name: state
-- Up to which entry nothing is missing, where the feed is, which form the record has, and
-- its last node.
SELECT f.settled, f.position, (SELECT max(m.version) FROM public.filestore_migrations m) AS migration,
       coalesce((SELECT n.id FROM filestore.nodes n ORDER BY n.id DESC LIMIT 1), 0) AS last_node FROM filestore.event_feed f

-- name: lock
-- One process writes to the archive at a time; the lock belongs to the session.
SELECT pg_try_advisory_lock(%(lock)s) AS mine

-- name: unlock
-- Give the lock back.
SELECT pg_advisory_unlock(%(lock)s)

-- name: tenants
-- All of them.
SELECT to_jsonb(t)::text AS text FROM filestore.tenants t ORDER BY t.name

-- name: mounts
-- All of them, removed ones too, each with its root. Secrets of mounts are in another table, and in no archive.
SELECT (to_jsonb(m) || jsonb_build_object('root', (
           SELECT jsonb_build_object('id', r.id, 'created_at', r.created_at) FROM filestore.nodes r
            WHERE r.mount_id = m.id AND r.directory_path = '' AND r.state <> 'deleted')))::text AS text
  FROM filestore.backend_mounts m ORDER BY m.id

-- name: rules
-- What people have laid down and is in force: holds, freezes, quotas, and namespaces with their paths.
SELECT 'hold' AS kind, to_jsonb(h)::text AS text FROM filestore.holds h WHERE h.released_at IS NULL
 UNION ALL
SELECT 'freeze', to_jsonb(f)::text FROM filestore.freezes f WHERE f.lifted_at IS NULL
 UNION ALL
SELECT 'quota', to_jsonb(q)::text FROM filestore.quotas q
 UNION ALL
SELECT 'namespace', (to_jsonb(s) || jsonb_build_object('rules', ARRAY(
           SELECT to_jsonb(r) FROM filestore.metastore_rules r WHERE r.tenant = s.tenant AND r.namespace = s.name)))::text
  FROM filestore.metastore_namespaces s

-- name: entries
-- The next entries that are settled.
SELECT j.id, to_jsonb(j)::text AS text FROM filestore.journal_entries j
 WHERE j.id > %(after)s AND j.id <= %(last)s ORDER BY j.id LIMIT %(limit)s

-- name: versions
-- The versions that these entries made, and the ones before, which ended with them. All that a command made has one moment, its
-- entry's; its own node is found by its number as well, because a clock can be set back.
WITH entries AS MATERIALIZED (
    SELECT j.command_id, j.recorded_at, j.after, j.also FROM filestore.journal_entries j
     WHERE j.id > %(after)s AND j.id <= %(last)s
), made AS (
    SELECT s.node_id, s.version FROM entries e
     CROSS JOIN LATERAL (SELECT k.node_id, k.version FROM filestore.snapshots k
                          WHERE k.valid_from = e.recorded_at AND k.command_id = e.command_id OFFSET 0) s
     UNION
    SELECT x.node, x.version FROM entries e CROSS JOIN LATERAL (VALUES
        ((e.after->>'id')::bigint, (e.after->>'version')::bigint),
        ((e.also->'replaced'->>'id')::bigint, (e.also->'replaced'->>'version')::bigint + 1),
        ((e.also->'departed'->>'id')::bigint, (e.also->'departed'->>'version')::bigint + 1)) AS x(node, version)
     WHERE x.node IS NOT NULL
), wanted AS (
    SELECT node_id, version FROM made UNION SELECT node_id, version - 1 FROM made WHERE version > 1
)
SELECT (to_jsonb(s) || jsonb_build_object('tenant', n.tenant, 'mount_id', n.mount_id, 'created_at', n.created_at,
           'checksum', CASE WHEN n.sha256 = s.sha256 THEN n.checksum END, 'mime_type', n.mime_type,
           'original_name', n.original_name))::text AS text
  FROM wanted w
 CROSS JOIN LATERAL (SELECT k.* FROM filestore.snapshots k WHERE k.node_id = w.node_id AND k.version = w.version OFFSET 0) s
 CROSS JOIN LATERAL (SELECT k.* FROM filestore.nodes k WHERE k.id = w.node_id OFFSET 0) n
 ORDER BY s.node_id, s.version

-- name: differences
-- Nodes whose latest version is another than they are, among the next ones by id: a rebuild would make them otherwise. Doubt about
-- a node may come from a look at the storage, without a version.
WITH looked AS MATERIALIZED (
    SELECT n.* FROM filestore.nodes n WHERE n.id > %(after)s AND n.parent_id IS NOT NULL ORDER BY n.id LIMIT %(limit)s
)
SELECT (SELECT max(id) FROM looked) AS last, count(*) AS looked,
       count(*) FILTER (WHERE (s.version, s.parent_id, s.name, s.kind, s.size_bytes, s.sha256, s.state = 'deleted')
           IS DISTINCT FROM (n.version, n.parent_id, n.name, n.kind, n.size_bytes, n.sha256, n.state = 'deleted')) AS different
  FROM looked n
  LEFT JOIN LATERAL (SELECT k.* FROM filestore.snapshots k WHERE k.node_id = n.id AND k.valid_to IS NULL OFFSET 0) s ON true
