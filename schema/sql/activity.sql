-- What the Timestore takes in: pages of the feed as rows, and the same rows told by the journal alone.

-- name: page
-- The next events, whole, as DuckDB reads them. Large ones make a page shorter.
SELECT s.position, s.type, s.tenant, s.mount_id, s.created_at, s.data
  FROM (SELECT l.*, sum(octet_length(l.data)) OVER (ORDER BY l.position) - octet_length(l.data) AS before
          FROM (SELECT o.position, o.type, o.tenant, o.mount_id, o.created_at, o.data::text AS data FROM filestore.outbox o
                 WHERE o.position > %(after)s ORDER BY o.position LIMIT %(limit)s) l) s
 WHERE s.before < %(bytes)s

-- name: ahead
-- Where the feed ends, and how long the first event behind a position waits.
SELECT f.position AS last, (SELECT extract(epoch FROM now() - o.created_at)::float8 FROM filestore.outbox o
                             WHERE o.position > %(position)s ORDER BY o.position LIMIT 1) AS lag_seconds
  FROM filestore.event_feed f

-- name: gone
-- Up to which position events are not kept any more.
SELECT r.events_position AS position FROM filestore.retention r

-- name: lock
-- One process takes events into the lake at a time; the lock belongs to the session.
SELECT pg_try_advisory_lock(%(lock)s) AS mine

-- name: unlock
-- Give it back, so that another process can take it.
SELECT pg_advisory_unlock(%(lock)s)

-- name: hold
-- Wait until no process takes events in, and keep it so; the session gives the lock back.
SELECT pg_advisory_lock(%(lock)s)

-- name: untold
-- Entries whose events are not taken in yet.
SELECT DISTINCT (o.data->>'journalId')::bigint AS entry FROM filestore.outbox o
 WHERE (o.position > %(position)s OR o.position IS NULL) AND o.data->>'journalId' IS NOT NULL

-- name: journal
-- The events of the next entries, as far as rows are made of them, told by the journal and the versions alone. Administrative
-- acts have no events; changes of what is said of a node (`records`) have one.
WITH entry AS (
    SELECT j.*, j.executor = 'record' AS records, (j.after->>'version')::bigint AS version,
           j.after IS NOT NULL AND j.outcome = 'succeeded' AND j.executor <> 'record' AS changes,
           coalesce((j.also->'tree'->>'size')::bigint, (j.after->>'size')::bigint, 0) AS weight,
           coalesce((j.also->'tree'->>'files')::bigint, (j.after->>'kind' <> 'directory')::integer) AS files,
           coalesce(j.payload->>'target', j.payload->>'path') AS target
      FROM filestore.journal_entries j
     WHERE j.id > %(after)s AND NOT j.id = ANY(%(untold)s::bigint[])
       AND (j.executor <> 'record' OR j.node_id IS NOT NULL)
     ORDER BY j.id LIMIT %(limit)s
), told AS (
    SELECT e.*, t.rank, t.rank = 0 AND NOT e.records AS ends, t.type, t.node, t.told_mount, t.told_path, t.told_version
      FROM entry e CROSS JOIN LATERAL (VALUES
          (0, CASE WHEN e.records THEN 'filestore.record.updated' ELSE 'filestore.command.completed' END, e.node_id, e.mount_id,
           e.target, NULL::bigint),
          (1, CASE WHEN e.changes AND e.also ? 'replaced' THEN 'filestore.node.deleted' END,
           (e.also->'replaced'->>'id')::bigint, e.mount_id, e.target, (e.also->'replaced'->>'version')::bigint + 1),
          (1, CASE WHEN e.changes AND e.also ? 'departed' THEN 'filestore.node.deleted' END, (e.also->'departed'->>'id')::bigint,
           (e.also->'departed'->>'mount')::bigint, e.payload->>'path', (e.also->'departed'->>'version')::bigint + 1),
          (2, CASE WHEN NOT e.changes THEN NULL WHEN e.after->>'state' = 'deleted' THEN 'filestore.node.deleted'
                   WHEN e.before IS NULL THEN 'filestore.node.created' ELSE 'filestore.node.updated' END,
           e.node_id, e.mount_id, e.target, e.version),
          (3, CASE WHEN e.changes THEN CASE e.kind WHEN 'uploadFile' THEN 'filestore.node.uploaded'
                   WHEN 'moveNode' THEN 'filestore.node.moved' WHEN 'copyNode' THEN 'filestore.node.copied' END END,
           e.node_id, e.mount_id, e.target, e.version)) AS t(rank, type, node, told_mount, told_path, told_version)
     WHERE t.type IS NOT NULL
), grown AS (
    SELECT t.*, v.kind AS node_kind, v.state, v.size_bytes, v.sha256, v.metadata,
           CASE t.rank WHEN 1 THEN CASE WHEN v.kind = 'directory' THEN -t.weight ELSE -v.size_bytes END
                       WHEN 2 THEN CASE WHEN t.before IS NULL OR t.before->>'state' = 'deleted' THEN t.weight
                            WHEN t.after->>'state' = 'deleted' THEN -t.weight
                            WHEN t.kind IN ('uploadFile', 'copyNode', 'restoreNode')
                            THEN (t.after->>'size')::bigint - (t.before->>'size')::bigint ELSE 0 END END AS bytes,
           CASE t.rank WHEN 1 THEN CASE WHEN v.kind = 'directory' THEN -t.files ELSE -1 END
                       WHEN 2 THEN CASE WHEN t.before IS NULL OR t.before->>'state' = 'deleted' THEN t.files
                            WHEN t.after->>'state' = 'deleted' THEN -t.files ELSE 0 END END AS grows
      FROM told t
      LEFT JOIN LATERAL (SELECT s.* FROM filestore.snapshots s
                          WHERE s.node_id = t.node AND s.version = t.told_version OFFSET 0) v ON true
)
SELECT NULL::bigint AS position, g.type, g.tenant, g.told_mount, g.recorded_at, json_strip_nulls(json_build_object(
           'observedAt', g.recorded_at, 'nodeId', g.node, 'path', g.told_path,
           'movedFrom', CASE WHEN g.rank > 1 AND g.kind = 'moveNode' THEN g.payload->>'path' END,
           'copiedFrom', CASE WHEN g.rank > 1 AND g.kind = 'copyNode' THEN g.payload->>'path' END,
           'kind', g.node_kind, 'state', g.state, 'version', CASE WHEN g.rank > 0 THEN g.told_version END,
           'sizeBytes', g.size_bytes,
           'delta', json_build_object('sizeBytes', g.bytes, 'fileCount', g.grows),
           'tree', CASE WHEN g.rank > 1 OR g.rank = 1 AND g.node_kind = 'directory' THEN g.also->'tree' END,
           'contentHash', encode(g.sha256, 'hex'), 'journalId', g.id, 'command', g.kind, 'commandId', g.command_id,
           'status', CASE WHEN g.ends THEN g.outcome END, 'code', CASE WHEN g.ends THEN g.code END,
           'startedAt', CASE WHEN g.ends THEN g.started_at END, 'principal', g.principal,
           'idempotencyKey', g.key, 'correlationId', g.correlation_id,
           'metadata', CASE WHEN g.rank > 0 THEN g.metadata END))::text AS data, g.id AS entry
  FROM grown g ORDER BY g.id, g.rank
