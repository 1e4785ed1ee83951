-- A list of commands begins. `items` is a JSON array: the facts of a whole list travel in one parameter.
-- LATERAL with OFFSET 0, and `= ANY (ARRAY[...])` where a table is written to: see trees.sql.

-- name: lock_mount
-- One `begin` at a time per mount: verdicts are given on a record that holds still. Released by the end of the transaction.
SELECT pg_advisory_xact_lock(%(lock)s::integer, (%(mount)s::bigint & 2147483647)::integer)

-- name: hold_mount
-- The lock of `begin`, held by the session: the transaction that follows must not be older than it.
SELECT pg_advisory_lock(%(lock)s::integer, (%(mount)s::bigint & 2147483647)::integer)

-- name: let_mount_go
-- Given back when that transaction has ended, however it did.
SELECT pg_advisory_unlock(%(lock)s::integer, (%(mount)s::bigint & 2147483647)::integer)

-- name: places
-- Where nodes that were named by their ids lie now.
SELECT n.id, p.directory_path || n.name AS path
  FROM filestore.nodes n
 CROSS JOIN LATERAL (SELECT k.directory_path FROM filestore.nodes k WHERE k.id = n.parent_id OFFSET 0) p
 WHERE n.id = ANY(%(ids)s::bigint[]) AND n.state <> 'deleted'

-- name: look
-- What the record says about each request of a list: its key, its mounts, and for each of its ends (n = 0 the path, n = 1 the
-- target) the parent, the node, the latest deleted one, and whose claim is in the way. `parent` is the stored form of the
-- directory's path, `above` says of all paths over it how many bytes of this one they are. For metadata that changes: how many
-- bytes it has now, and how many after the change. One look-up after the other for each request: whatever the tables' sizes,
-- nothing here may become a scan.
SELECT i.id, i.n, CASE i.n WHEN 0 THEN nextval('filestore.nodes_id_seq') END AS fresh_node,
       m.state AS mount_state, m.access_mode AS mount_access, z.facts AS freeze,
       EXISTS (SELECT FROM filestore.quotas q WHERE q.tenant = i.tenant OFFSET 0) AS limited,
       c.id::text AS known_id, c.status::text AS known_status, c.attempt AS known_attempt,
       encode(c.request_hash, 'hex') AS known_hash, c.retryable AS known_retryable, c.code AS known_code,
       c.owner_workflow AS known_owner, c.outcome::text AS known_outcome, c.request->>'head' AS known_head,
       coalesce((c.intent->>'long')::boolean, false) AS known_long,
       c.intent ? 'source' AND c.intent->>'staged' IS NULL AS known_unstaged,
       c.atomic_id::text AS known_atomic_id, (c.intent->>'atomic_size')::integer AS known_atomic_size,
       p.facts AS parent, n.facts AS node, w.before AS metadata_before, w.after AS metadata_after, g.facts AS gone,
       d.facts AS named, o.facts AS old,
       i.below AND n.facts->>'kind' = 'directory'
           AND EXISTS (SELECT FROM filestore.nodes k WHERE k.parent_id = n.id AND k.state <> 'deleted' OFFSET 0) AS has_children,
       CASE WHEN i.below AND coalesce(d.kind, n.facts->>'kind') = 'directory' THEN
           (SELECT r.file_count + r.directory_count FROM filestore.rollup_of(coalesce(d.id, n.id)) r) END AS below,
       (SELECT k.command_id::text FROM filestore.claims k
         WHERE k.mount_id = i.mount AND k.path = decode(i.path, 'hex') AND NOT (k.shared AND i.shared)
         UNION ALL
        SELECT k.command_id::text FROM (SELECT decode(i.path, 'hex') AS path OFFSET 0) q
         CROSS JOIN LATERAL jsonb_array_elements_text(i.above) a
          JOIN LATERAL (SELECT s.command_id FROM filestore.claims s
                         WHERE s.mount_id = i.mount AND s.path = substring(q.path FOR a::integer) AND s.kind = 'subtree'
                           AND NOT (s.shared AND i.shared) LIMIT 1) k ON true
         UNION ALL
        SELECT k.command_id::text FROM filestore.claims k WHERE i.subtree AND k.mount_id = i.mount
           AND k.path > decode(i.path || '2f', 'hex') AND k.path < decode(i.path || '30', 'hex') AND NOT (k.shared AND i.shared)
         LIMIT 1) AS busy
  FROM jsonb_to_recordset(%(items)s::jsonb) AS i(id text, n integer, mount bigint, tenant text, principal text, key text,
           path text, parent text, name text, above jsonb, subtree boolean, shared boolean, gone boolean, below boolean,
           node bigint, version bigint, describes boolean)
  LEFT JOIN filestore.backend_mounts m ON m.id = i.mount AND m.tenant = i.tenant AND m.removed_at IS NULL
  LEFT JOIN LATERAL filestore.freeze_of_v1(i.tenant, i.mount) z ON true
  LEFT JOIN LATERAL (SELECT * FROM filestore.commands x
       WHERE i.n = 0 AND x.tenant = i.tenant AND x.principal = i.principal AND x.key = i.key LIMIT 1) c ON true
  LEFT JOIN LATERAL (SELECT x.id, filestore.node_facts(x) AS facts FROM filestore.nodes x
       WHERE x.mount_id = i.mount AND x.directory_path = decode(i.parent, 'hex') AND x.directory_path IS NOT NULL
         AND x.state <> 'deleted' LIMIT 1) p ON true
  LEFT JOIN LATERAL (SELECT x.id, filestore.node_facts(x) AS facts FROM filestore.nodes x
       WHERE x.parent_id = p.id AND x.name = decode(i.name, 'hex') AND x.state <> 'deleted' LIMIT 1) n ON true
  LEFT JOIN LATERAL (SELECT octet_length(x.metadata::text) AS before,
                            octet_length(filestore.described_v1(x.metadata, s.request->'metadata')::text) AS after
       FROM filestore.nodes x, filestore.stages s
      WHERE i.describes AND x.id = n.id AND s.id = i.id::uuid LIMIT 1) w ON true
  LEFT JOIN LATERAL (SELECT filestore.node_facts(x) AS facts
       FROM (SELECT xp.id FROM filestore.nodes xp WHERE xp.mount_id = i.mount AND xp.directory_path = decode(i.parent, 'hex')
                AND xp.directory_path IS NOT NULL AND xp.state <> 'deleted'
              UNION ALL
             SELECT xp.id FROM filestore.nodes xp WHERE xp.mount_id = i.mount AND xp.directory_path = decode(i.parent, 'hex')
                AND xp.directory_path IS NOT NULL AND xp.state = 'deleted' OFFSET 0) f,
            LATERAL (SELECT y.* FROM filestore.nodes y WHERE y.parent_id = f.id AND y.name = decode(i.name, 'hex')
                        AND y.state = 'deleted' ORDER BY y.deleted_at DESC LIMIT 1) x
      WHERE i.gone AND n.id IS NULL ORDER BY x.deleted_at DESC LIMIT 1) g ON true
  LEFT JOIN LATERAL (SELECT x.id, x.kind::text AS kind, x.version, filestore.node_facts(x) AS facts FROM filestore.nodes x
       WHERE i.n = 0 AND x.id = i.node AND x.mount_id = i.mount LIMIT 1) d ON true
  LEFT JOIN LATERAL (SELECT jsonb_build_object('version', s.version, 'size', s.size_bytes, 'sha256', encode(s.sha256, 'hex'),
           'place', encode(s.content_place, 'hex'), 'expired', s.content_until <= now(),
           'identity', filestore.facts_v1(s.content_identity)) AS facts
       FROM filestore.snapshots s
      WHERE i.n = 0 AND s.node_id = coalesce(d.id, n.id) AND s.version = coalesce(i.version, d.version - 1)
        AND s.state <> 'deleted' AND (i.node IS NOT NULL OR i.version IS NOT NULL) LIMIT 1) o ON true

-- name: too_deep
-- Which of these directories have something below them whose path, counted from the directory, takes more than `most` bytes. Of
-- a deleted one that is what the same command deleted. Only a directory whose own path leaves less than the longest name (255)
-- can hold such a thing: as a rule these are the few in an index of long paths, else all below the directory are looked at.
SELECT i.id
  FROM jsonb_to_recordset(%(items)s::jsonb) AS i(id text, node bigint, most integer)
 CROSS JOIN LATERAL (
     SELECT n.id, n.mount_id, n.state, n.directory_path AS low,
            substring(n.directory_path FROM 1 FOR octet_length(n.directory_path) - 1) || '\x30'::bytea AS high,
            octet_length(n.directory_path) + i.most AS longest, s.command_id AS deleter
       FROM filestore.nodes n
       LEFT JOIN LATERAL (SELECT k.command_id FROM filestore.snapshots k
                           WHERE k.node_id = n.id AND k.version = n.version OFFSET 0) s ON true
      WHERE n.id = i.node AND n.depth > 0 OFFSET 0) t
 WHERE EXISTS (
     SELECT FROM (
         SELECT d.id, d.directory_path, d.state FROM filestore.nodes d
          WHERE t.longest - 255 >= 1024 AND d.mount_id = t.mount_id AND d.directory_path >= t.low AND d.directory_path < t.high
            AND octet_length(d.directory_path) > 1024
         UNION ALL
         SELECT d.id, d.directory_path, d.state FROM filestore.nodes d
          WHERE t.longest - 255 < 1024 AND t.state <> 'deleted' AND d.mount_id = t.mount_id AND d.directory_path >= t.low
            AND d.directory_path < t.high AND d.directory_path IS NOT NULL AND d.state <> 'deleted'
         UNION ALL
         SELECT d.id, d.directory_path, d.state FROM filestore.nodes d
          WHERE t.longest - 255 < 1024 AND t.state = 'deleted' AND d.mount_id = t.mount_id AND d.directory_path >= t.low
            AND d.directory_path < t.high AND d.directory_path IS NOT NULL AND d.state = 'deleted') d
      CROSS JOIN LATERAL (SELECT k.name, k.id, k.version FROM filestore.nodes k
                           WHERE t.state <> 'deleted' AND k.parent_id = d.id AND k.state <> 'deleted'
                           UNION ALL
                          SELECT k.name, k.id, k.version FROM filestore.nodes k
                           WHERE t.state = 'deleted' AND k.parent_id = d.id AND k.state = 'deleted') c
      WHERE octet_length(d.directory_path) > t.longest - 255 AND (d.state = 'deleted') = (t.state = 'deleted')
        AND octet_length(d.directory_path) + octet_length(c.name) > t.longest
        AND (t.state <> 'deleted'
             OR t.deleter = (SELECT k.command_id FROM filestore.snapshots k WHERE k.node_id = c.id AND k.version = c.version)))

-- name: open
-- Write the verdicts down: a row per command that goes or is refused, the next attempt of one that failed before, and the
-- claims of those that go. Metadata joins the request here, out of the `stages` row where it waited.
WITH item AS (
    SELECT * FROM jsonb_to_recordset(%(items)s::jsonb) AS x(
        id uuid, stage uuid, tenant text, principal text, token_id bigint, key text, kind text, path text, request jsonb,
        hash text, intent jsonb, status filestore.command_status, attempt integer, code text, retryable boolean, outcome json,
        request_id text, trace_id text, claims jsonb, operation_id uuid, item integer, correlation_id text)
), waiting AS (
    DELETE FROM filestore.stages s USING item WHERE s.id = ANY (ARRAY[item.stage]) RETURNING s.id, s.request
), opened AS (
    INSERT INTO filestore.commands AS c (id, tenant, principal, token_id, key, kind, mount_id, path, request, request_hash,
        intent, status, attempt, owner_workflow, code, retryable, outcome, request_id, trace_id, ended_at, atomic_id,
        operation_id, item, correlation_id)
    SELECT i.id, i.tenant, i.principal, i.token_id, i.key, i.kind, %(mount)s, decode(i.path, 'hex'),
           i.request || coalesce(w.request, '{}'), decode(i.hash, 'hex'), i.intent, i.status, i.attempt, %(workflow)s, i.code,
           coalesce(i.retryable, false), i.outcome, i.request_id, i.trace_id, CASE WHEN i.status <> 'running' THEN now() END,
           %(atomic_id)s::uuid, i.operation_id, i.item, i.correlation_id
      FROM item i LEFT JOIN waiting w ON w.id = i.stage
    ON CONFLICT (tenant, principal, key) DO UPDATE SET
        path = excluded.path, request = excluded.request, request_hash = excluded.request_hash, intent = excluded.intent,
        status = excluded.status,
        attempt = excluded.attempt, owner_workflow = excluded.owner_workflow, code = excluded.code,
        retryable = excluded.retryable, outcome = excluded.outcome, started_at = now(), touched_at = now(),
        ended_at = excluded.ended_at, request_id = excluded.request_id, trace_id = excluded.trace_id,
        atomic_id = excluded.atomic_id, operation_id = excluded.operation_id, item = excluded.item,
        correlation_id = excluded.correlation_id
     WHERE c.id = excluded.id AND c.kind = excluded.kind AND c.mount_id = excluded.mount_id
       AND c.status = 'failed' AND c.retryable AND c.attempt = excluded.attempt - 1
    RETURNING c.id, c.status, c.path
), claimed AS (
    INSERT INTO filestore.claims (mount_id, path, kind, shared, command_id)
    SELECT k.mount, decode(k.path, 'hex'), CASE WHEN k.subtree THEN 'subtree' ELSE 'path' END::filestore.claim_kind, k.shared, o.id
      FROM opened o JOIN item i ON i.id = o.id,
           jsonb_to_recordset(i.claims) AS k(mount bigint, path text, subtree boolean, shared boolean)
     WHERE o.status = 'running'
)
SELECT id::text FROM opened

-- name: keep_metadata
-- Metadata never travels through Temporal: it waits here until `begin` takes it into the command's row.
INSERT INTO filestore.stages (id, tenant, principal, mount_id, path, request, expires_at)
SELECT x.id, x.tenant, x.principal, %(mount)s, decode(x.path, 'hex'), jsonb_build_object('metadata', x.metadata),
       now() + interval '1 day'
  FROM jsonb_to_recordset(%(items)s::jsonb) AS x(id uuid, tenant text, principal text, path text, metadata jsonb)
ON CONFLICT (id) DO NOTHING
