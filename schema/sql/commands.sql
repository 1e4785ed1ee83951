-- The life of a command. `items` and `requests` are JSON arrays; the facts of a whole list travel in one parameter.
-- LATERAL with OFFSET 0, and `= ANY (ARRAY[...])` where a table is written to: see trees.sql.

-- name: lock_mount
-- One `begin` at a time per mount: verdicts are given on a record that holds still. Released by the end of the transaction.
SELECT pg_advisory_xact_lock(%(lock)s::integer, (%(mount)s::bigint & 2147483647)::integer)

-- name: look
-- What the record says about each request of a list: its key, its mounts, and for each of its ends (n = 0 the path, n = 1 the
-- target) the parent, the node, the latest deleted one, and whose claim is in the way. `parent` is the stored form of the
-- directory's path, `above` are all paths over it.
-- One look-up after the other for each request: whatever the tables' sizes, nothing here may become a scan.
SELECT i.id, i.n, CASE i.n WHEN 0 THEN nextval('filestore.nodes_id_seq') END AS fresh_node,
       m.state AS mount_state, m.access_mode AS mount_access, m.backend_kind AS mount_kind,
       c.id::text AS known_id, c.status::text AS known_status, c.attempt AS known_attempt, encode(c.request_hash, 'hex') AS known_hash,
       c.retryable AS known_retryable, c.code AS known_code, c.owner_workflow AS known_owner, c.outcome::text AS known_outcome,
       coalesce((c.intent->>'long')::boolean, false) AS known_long,
       c.intent ? 'source' AND c.intent->>'staged' IS NULL AS known_unstaged,
       c.atomic_id::text AS known_atomic_id, (c.intent->>'atomic_size')::integer AS known_atomic_size,
       p.facts AS parent, n.facts AS node, g.facts AS gone, d.facts AS named, o.facts AS old,
       i.below AND n.facts->>'kind' = 'directory'
           AND EXISTS (SELECT FROM filestore.nodes k WHERE k.parent_id = n.id AND k.state <> 'deleted' OFFSET 0) AS has_children,
       CASE WHEN i.below AND coalesce(d.kind, n.facts->>'kind') = 'directory' THEN
           (SELECT r.file_count + r.directory_count FROM filestore.rollup_of(coalesce(d.id, n.id)) r) END AS below,
       (SELECT k.command_id::text FROM filestore.claims k WHERE k.mount_id = i.mount AND k.path = decode(i.path, 'hex')
         UNION ALL
        SELECT k.command_id::text FROM jsonb_array_elements_text(i.above) a
          JOIN LATERAL (SELECT s.command_id, s.kind FROM filestore.claims s
                         WHERE s.mount_id = i.mount AND s.path = decode(a, 'hex') LIMIT 1) k ON k.kind = 'subtree'
         UNION ALL
        SELECT k.command_id::text FROM filestore.claims k WHERE i.subtree AND k.mount_id = i.mount
           AND k.path > decode(i.path || '2f', 'hex') AND k.path < decode(i.path || '30', 'hex')
         LIMIT 1) AS busy
  FROM jsonb_to_recordset(%(items)s::jsonb) AS i(id text, n integer, mount bigint, tenant text, principal text, key text,
           path text, parent text, name text, above jsonb, subtree boolean, gone boolean, below boolean, node bigint, version bigint)
  LEFT JOIN filestore.backend_mounts m ON m.id = i.mount AND m.tenant = i.tenant
  LEFT JOIN LATERAL (SELECT * FROM filestore.commands x
       WHERE i.n = 0 AND x.tenant = i.tenant AND x.principal = i.principal AND x.key = i.key LIMIT 1) c ON true
  LEFT JOIN LATERAL (SELECT x.id, filestore.node_facts(x) AS facts FROM filestore.nodes x
       WHERE x.mount_id = i.mount AND x.directory_path = decode(i.parent, 'hex') AND x.directory_path IS NOT NULL
         AND x.state <> 'deleted' LIMIT 1) p ON true
  LEFT JOIN LATERAL (SELECT x.id, filestore.node_facts(x) AS facts FROM filestore.nodes x
       WHERE x.parent_id = p.id AND x.name = decode(i.name, 'hex') AND x.state <> 'deleted' LIMIT 1) n ON true
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
           'identity', (SELECT x.intent->'expected' FROM filestore.commands x WHERE x.id = filestore.command_of(s.content_place))) AS facts
       FROM filestore.snapshots s
      WHERE i.n = 0 AND s.node_id = coalesce(d.id, n.id) AND s.version = coalesce(i.version, d.version - 1)
        AND s.state <> 'deleted' AND (i.node IS NOT NULL OR i.version IS NOT NULL) LIMIT 1) o ON true

-- name: open
-- Write the verdicts down: a row per command that goes or is refused, the next attempt of one that failed before, and the
-- claims of those that go. Metadata joins the request here, out of the `stages` row where it waited.
WITH item AS (
    SELECT * FROM jsonb_to_recordset(%(items)s::jsonb) AS x(
        id uuid, stage uuid, tenant text, principal text, token_id bigint, key text, kind text, path text, request jsonb,
        hash text, intent jsonb, status filestore.command_status, attempt integer, code text, retryable boolean, outcome json,
        request_id text, trace_id text, claims jsonb, item integer)
), waiting AS (
    DELETE FROM filestore.stages s USING item WHERE s.id = ANY (ARRAY[item.stage]) RETURNING s.id, s.request
), opened AS (
    INSERT INTO filestore.commands AS c (id, tenant, principal, token_id, key, kind, mount_id, path, request, request_hash,
        intent, status, attempt, owner_workflow, code, retryable, outcome, request_id, trace_id, ended_at, atomic_id, item)
    SELECT i.id, i.tenant, i.principal, i.token_id, i.key, i.kind, %(mount)s, decode(i.path, 'hex'),
           i.request || coalesce(w.request, '{}'), decode(i.hash, 'hex'), i.intent, i.status, i.attempt, %(workflow)s, i.code,
           coalesce(i.retryable, false), i.outcome, i.request_id, i.trace_id, CASE WHEN i.status <> 'running' THEN now() END,
           %(atomic_id)s::uuid, i.item
      FROM item i LEFT JOIN waiting w ON w.id = i.stage
    ON CONFLICT (tenant, principal, key) DO UPDATE SET
        request = excluded.request, request_hash = excluded.request_hash, intent = excluded.intent, status = excluded.status,
        attempt = excluded.attempt, owner_workflow = excluded.owner_workflow, code = excluded.code,
        retryable = excluded.retryable, outcome = excluded.outcome, started_at = now(), touched_at = now(),
        ended_at = excluded.ended_at, request_id = excluded.request_id, trace_id = excluded.trace_id,
        atomic_id = excluded.atomic_id, item = excluded.item
     WHERE c.id = excluded.id AND c.status = 'failed' AND c.retryable AND c.attempt = excluded.attempt - 1
    RETURNING c.id, c.status, c.path
), claimed AS (
    INSERT INTO filestore.claims (mount_id, path, kind, command_id)
    SELECT k.mount, decode(k.path, 'hex'), CASE WHEN k.subtree THEN 'subtree' ELSE 'path' END::filestore.claim_kind, o.id
      FROM opened o JOIN item i ON i.id = o.id, jsonb_to_recordset(i.claims) AS k(mount bigint, path text, subtree boolean)
     WHERE o.status = 'running'
)
SELECT id::text FROM opened

-- name: read_running
-- The rows of commands that were given to this execution and are still running: under the lock, for the fence.
SELECT id::text, attempt, intent, path, request->>'path' AS shown
  FROM filestore.commands WHERE id = ANY(%(ids)s::uuid[]) AND status = 'running'

-- name: raise_attempt
-- A later execution of `apply` takes over: its number is one that no earlier execution can commit with.
UPDATE filestore.commands SET attempt = attempt + 1, touched_at = now()
 WHERE id = ANY(%(ids)s::uuid[]) AND status = 'running'
RETURNING id::text, attempt, intent, path, request->>'path' AS shown

-- name: touch
-- These commands are in good hands: the sweeper need not resume them.
UPDATE filestore.commands SET touched_at = now() WHERE id = ANY(%(ids)s::uuid[]) AND status = 'running'

-- name: end
-- The fence: only the attempt the row names may end a command. What `apply` saw joins the intent.
UPDATE filestore.commands c
   SET status = i.status, code = i.code, retryable = coalesce(i.retryable, false), ended_at = now(), touched_at = now(),
       intent = c.intent || jsonb_build_object('identity', i.identity, 'message', i.message, 'drift', i.drift)
           || CASE WHEN i.replaced IS NULL THEN '{}' ELSE jsonb_build_object('replaced_identity', i.replaced) END
  FROM jsonb_to_recordset(%(items)s::jsonb) AS i(id uuid, attempt integer, status filestore.command_status, identity jsonb,
       code text, message text, retryable boolean, drift text, replaced jsonb)
 WHERE c.id = ANY (ARRAY[i.id]) AND c.status = 'running' AND c.attempt = i.attempt
RETURNING c.id::text, c.intent->>'step' AS step, coalesce(c.request->>'path', '') AS shown,
          coalesce((c.intent->>'tree')::boolean, false) AS tree, c.intent ?| ARRAY['replaced', 'departs'] AS ousts, c.intent ? 'source' AS copies,
          c.intent ? 'items' AS items

-- name: close_snapshots
-- The versions that end now. Content that leaves its place: where it is kept, and until when, for all versions that have it.
-- Content that comes back is with its node again.
WITH ending AS (
    SELECT (c.intent->>'node')::bigint AS node,
           CASE WHEN c.intent->>'step' IN ('replace', 'delete') THEN convert_to(c.intent->>'trash', 'UTF8') END AS place,
           CASE c.intent->>'step' WHEN 'restore' THEN decode(c.intent->>'place', 'hex') END AS back
      FROM filestore.commands c
     WHERE c.id = ANY(%(ids)s::uuid[]) AND c.status = 'succeeded'
       AND c.intent->>'step' IN ('replace', 'delete', 'move', 'restore', 'describe')
     UNION ALL
    SELECT (o.leaves->>'node')::bigint, convert_to(o.leaves->>'trash', 'UTF8'), NULL
      FROM filestore.commands c, LATERAL (VALUES (c.intent->'replaced'), (c.intent->'departs')) AS o(leaves)
     WHERE c.id = ANY(%(ids)s::uuid[]) AND c.status = 'succeeded' AND o.leaves IS NOT NULL
)
UPDATE filestore.snapshots s
   SET valid_to = coalesce(s.valid_to, greatest(now(), s.valid_from)),  -- a clock can be set back
       content_place = CASE WHEN s.content_place = e.back THEN NULL ELSE coalesce(s.content_place, e.place) END,
       content_until = CASE WHEN s.content_place = e.back THEN NULL
           ELSE coalesce(s.content_until, CASE WHEN e.place IS NOT NULL THEN now() + make_interval(days => %(retention_days)s) END) END
  FROM ending e
 WHERE s.node_id = ANY (ARRAY[e.node])
   AND (s.valid_to IS NULL OR s.state <> 'deleted' AND (e.place IS NOT NULL AND s.content_place IS NULL OR s.content_place = e.back))

-- name: oust
-- The files whose names moves have taken, and those that moved to another mount, where they are other nodes.
WITH ousted AS (
    UPDATE filestore.nodes n SET state = 'deleted', version = n.version + 1, deleted_at = now(), updated_at = now(), last_modified_at = now()
      FROM filestore.commands c, LATERAL (VALUES (c.intent->'replaced'), (c.intent->'departs')) AS g(leaves)
     WHERE c.id = ANY(%(ids)s::uuid[]) AND c.status = 'succeeded' AND g.leaves IS NOT NULL
       AND n.id = ANY (ARRAY[(g.leaves->>'node')::bigint]) AND n.version = (g.leaves->>'previous_version')::bigint
    RETURNING n.*, c.id AS command
)
INSERT INTO filestore.snapshots (node_id, version, command_id, parent_id, name, kind, state, size_bytes, sha256, metadata, valid_from)
SELECT o.id, o.version, o.command, o.parent_id, o.name, o.kind, o.state, o.size_bytes, o.sha256, o.metadata,
       coalesce((SELECT max(p.valid_to) FROM filestore.snapshots p WHERE p.node_id = o.id), now())
  FROM ousted o

-- name: record
-- The record of everything a list did, in one statement: nodes, snapshots, rollup deltas, journal, cleanups; the claims go.
-- Answers how many nodes were written, to be compared with how many should have been.
WITH RECURSIVE ended AS (
    SELECT c.id, c.tenant, c.kind AS command, c.mount_id, c.path, c.principal, c.token_id, c.key, c.request, c.status, c.attempt,
           c.code, c.retryable, c.owner_workflow, c.operation_id, c.atomic_id, c.item, c.reverses, c.request_id, c.trace_id, c.started_at,
           c.intent, i.step, i.node, i.parent, i.old_parent, i.version, i.previous_version, i.size, i.previous_size, i.sha256,
           i.stage, i.trash, i.identity, i.before, i.message, i.drift, i.kind AS node_kind, i.totals, i.replaced, i.departs, i.source,
           coalesce(decode(i.at, 'hex'), c.path) AS lies_at, coalesce(i.tree, false) AS tree
      FROM filestore.commands c,
           jsonb_to_record(c.intent) AS i(step text, node bigint, parent bigint, old_parent bigint, version bigint,
               previous_version bigint, size bigint, previous_size bigint, sha256 text, stage uuid, trash text, identity jsonb,
               before jsonb, message text, drift text, kind filestore.node_kind, at text, tree boolean, totals jsonb,
               replaced jsonb, departs jsonb, source jsonb)
     WHERE c.id = ANY(%(ids)s::uuid[])
), done AS (
    SELECT e.*, f.directory_path, f.directory_text, f.depth AS parent_depth,
           substring(e.lies_at FROM octet_length(f.directory_path) + 1) AS name, e.request->>'name_text' AS name_text,
           coalesce(v.metadata, CASE WHEN e.step <> 'describe' THEN e.request->'metadata' END) AS metadata,
           coalesce(o.mime_type, e.request->>'mime_type') AS mime_type,
           coalesce(o.original_name, e.request->>'original_name') AS original_name,
           coalesce(o.checksum, e.request->>'checksum') AS checksum
      FROM ended e
      LEFT JOIN LATERAL (SELECT s.directory_path, s.directory_text, s.depth FROM filestore.nodes s WHERE s.id = e.parent LIMIT 1) f ON true
      LEFT JOIN LATERAL (SELECT s.id, s.mime_type, s.original_name, s.checksum FROM filestore.nodes s
                          WHERE s.id = (e.source->>'node')::bigint LIMIT 1) o ON true
      LEFT JOIN LATERAL (SELECT s.metadata FROM filestore.snapshots s
                          WHERE s.node_id = o.id AND s.version = (e.source->>'version')::bigint LIMIT 1) v ON true
     WHERE e.status = 'succeeded' AND e.step <> 'none'
), created AS (
    INSERT INTO filestore.nodes (id, tenant, mount_id, parent_id, name, name_text, directory_path, directory_text, depth, kind,
        state, version, size_bytes, sha256, checksum, mime_type, original_name, metadata, device, inode, birth_ns, observed_size,
        observed_mtime_ns, observed_ctime_ns, observed_mode, observed_links, s3_etag, s3_version_id, observed_at, observed_by,
        last_modified_at, last_drift_at)
    SELECT d.node, d.tenant, d.mount_id, d.parent, d.name, d.name_text,
           CASE WHEN d.node_kind = 'directory' THEN d.lies_at || '\x2f'::bytea END,
           CASE WHEN d.node_kind = 'directory' THEN d.directory_text || d.name_text || '/' END,
           d.parent_depth + 1, d.node_kind,
           'active', d.version, CASE WHEN d.node_kind = 'file' THEN d.size ELSE 0 END, decode(d.sha256, 'hex'), d.checksum,
           d.mime_type, d.original_name, coalesce(d.metadata, '{}'),
           (d.identity->>0)::bigint, (d.identity->>1)::bigint, (d.identity->>2)::bigint, (d.identity->>3)::bigint,
           (d.identity->>4)::bigint, (d.identity->>5)::bigint, (d.identity->>7)::integer, (d.identity->>8)::integer,
           nullif(d.identity->>9, ''), nullif(d.identity->>10, ''), now(), d.id, now(), CASE WHEN d.drift IS NOT NULL THEN now() END
      FROM done d WHERE d.step = 'create'
    RETURNING id, metadata
), changed AS (
    UPDATE filestore.nodes n SET
        version = d.version, updated_at = now(),
        observed_at = CASE d.step WHEN 'describe' THEN n.observed_at ELSE now() END,
        observed_by = CASE d.step WHEN 'describe' THEN n.observed_by ELSE d.id END,
        state = CASE d.step WHEN 'delete' THEN 'deleted' WHEN 'restore' THEN 'active' ELSE n.state END,
        deleted_at = CASE d.step WHEN 'delete' THEN now() END,
        last_modified_at = now(),
        last_drift_at = CASE WHEN d.drift IS NOT NULL THEN now() ELSE n.last_drift_at END,
        parent_id = CASE WHEN d.step IN ('move', 'restore') THEN d.parent ELSE n.parent_id END,
        name = CASE WHEN d.step IN ('move', 'restore') THEN d.name ELSE n.name END,
        name_text = CASE WHEN d.step IN ('move', 'restore') THEN d.name_text ELSE n.name_text END,
        directory_path = CASE WHEN d.step IN ('move', 'restore') AND n.kind = 'directory' THEN d.lies_at || '\x2f'::bytea
                              ELSE n.directory_path END,
        directory_text = CASE WHEN d.step IN ('move', 'restore') AND n.kind = 'directory' THEN d.directory_text || d.name_text || '/'
                              ELSE n.directory_text END,
        depth = CASE WHEN d.step IN ('move', 'restore') THEN d.parent_depth + 1 ELSE n.depth END,
        size_bytes = CASE d.step WHEN 'replace' THEN d.size ELSE n.size_bytes END,
        sha256 = CASE d.step WHEN 'replace' THEN decode(d.sha256, 'hex') ELSE n.sha256 END,
        checksum = CASE WHEN d.step = 'replace' THEN d.checksum ELSE n.checksum END,
        mime_type = CASE WHEN d.step = 'replace' AND d.command <> 'restoreNode' THEN d.mime_type ELSE n.mime_type END,
        original_name = CASE WHEN d.step = 'replace' AND d.command <> 'restoreNode' THEN d.original_name ELSE n.original_name END,
        metadata = CASE d.step WHEN 'replace' THEN coalesce(d.metadata, n.metadata)
            WHEN 'describe' THEN (n.metadata - ARRAY(SELECT jsonb_array_elements_text(d.request->'metadata'->'unset')))
                || coalesce(d.request->'metadata'->'set', '{}')
            ELSE n.metadata END,
        device = coalesce((d.identity->>0)::bigint, n.device), inode = coalesce((d.identity->>1)::bigint, n.inode),
        birth_ns = coalesce((d.identity->>2)::bigint, n.birth_ns),
        observed_size = coalesce((d.identity->>3)::bigint, n.observed_size),
        observed_mtime_ns = coalesce((d.identity->>4)::bigint, n.observed_mtime_ns),
        observed_ctime_ns = coalesce((d.identity->>5)::bigint, n.observed_ctime_ns),
        observed_mode = coalesce((d.identity->>7)::integer, n.observed_mode),
        observed_links = coalesce((d.identity->>8)::integer, n.observed_links),
        s3_etag = coalesce(nullif(d.identity->>9, ''), n.s3_etag), s3_version_id = coalesce(nullif(d.identity->>10, ''), n.s3_version_id)
      FROM done d
     WHERE n.id = ANY (ARRAY[d.node]) AND n.version = d.previous_version AND d.step <> 'create'
    RETURNING n.id, n.metadata
), doubted AS (
    UPDATE filestore.nodes n SET state = 'inconsistent', updated_at = now(), last_drift_at = now()
      FROM ended e WHERE e.status = 'inconsistent' AND n.id = ANY (ARRAY[e.node]) AND n.state = 'active'
    RETURNING n.id
), put_back AS (
    UPDATE filestore.nodes n SET observed_ctime_ns = (b.identity->>5)::bigint
      FROM ended e,
           LATERAL (VALUES (e.node, e.identity), ((e.replaced->>'node')::bigint, e.intent->'replaced_identity')) AS b(node, identity)
     WHERE e.status = 'failed' AND jsonb_typeof(b.identity) = 'array' AND e.before IS NOT NULL AND n.id = ANY (ARRAY[b.node])
), written AS (
    SELECT id, metadata FROM created UNION ALL SELECT id, metadata FROM changed
), snapped AS (
    INSERT INTO filestore.snapshots (node_id, version, command_id, parent_id, name, kind, state, size_bytes, sha256, metadata, valid_from)
    SELECT d.node, d.version, d.id, d.parent, d.name, d.node_kind,
           CASE d.step WHEN 'delete' THEN 'deleted' ELSE 'active' END::filestore.node_state,
           CASE WHEN d.node_kind = 'file' THEN d.size ELSE 0 END, decode(d.sha256, 'hex'), w.metadata,
           coalesce((SELECT max(p.valid_to) FROM filestore.snapshots p WHERE p.node_id = d.node), now())
      FROM done d JOIN written w ON w.id = d.node
), weights AS (
    -- What each node counts for in the directories above it: a file itself, a directory with all that is below it.
    SELECT d.id, d.step, d.node, d.previous_version, d.parent, d.old_parent, d.replaced, d.departs,
           CASE WHEN d.node_kind = 'directory' THEN coalesce(t.size_bytes, (d.totals->>'size')::bigint, 0) ELSE d.size END AS bytes,
           CASE WHEN d.node_kind = 'directory' THEN coalesce(t.file_count, (d.totals->>'files')::bigint, 0) ELSE 1 END AS files,
           CASE WHEN d.node_kind = 'directory' THEN 1 + coalesce(t.directory_count, (d.totals->>'directories')::bigint, 0) ELSE 0 END
               AS directories,
           CASE WHEN d.node_kind = 'directory' THEN 0 ELSE d.previous_size END AS previous_bytes
      FROM done d
      LEFT JOIN LATERAL (SELECT r.* FROM filestore.rollup_of(d.node) r
                          WHERE d.node_kind = 'directory' AND d.step IN ('delete', 'move', 'restore')) t ON true
), sums AS (
    SELECT x.directory, x.deleter, sum(x.bytes) AS bytes, sum(x.files) AS files, sum(x.directories) AS directories, sum(x.children) AS children
      FROM (SELECT w.parent AS directory, NULL::uuid AS deleter, w.bytes, w.files, w.directories, 1 AS children FROM weights w
             WHERE w.step IN ('create', 'move', 'restore')
             UNION ALL
            SELECT CASE w.step WHEN 'move' THEN w.old_parent ELSE w.parent END, NULL, -w.bytes, -w.files, -w.directories, -1 FROM weights w
             WHERE w.step IN ('delete', 'move')
             UNION ALL
            SELECT w.parent, NULL, w.bytes - w.previous_bytes, 0, 0, 0 FROM weights w WHERE w.step = 'replace'
             UNION ALL
            SELECT (w.replaced->>'parent')::bigint, NULL, -(w.replaced->>'size')::bigint, -1, 0, -1 FROM weights w
             WHERE w.replaced IS NOT NULL
             UNION ALL
            SELECT (w.departs->>'parent')::bigint, NULL, -w.bytes, -w.files, -w.directories, -1 FROM weights w
             WHERE w.departs IS NOT NULL
             UNION ALL
            -- What comes back without the directory that it went along with: that one still counts it, and is to come back with less.
            SELECT n.parent_id, s.command_id, -w.bytes, -w.files, -w.directories, -1 FROM weights w
              JOIN LATERAL (SELECT k.parent_id FROM filestore.nodes k WHERE k.id = w.node LIMIT 1) n ON true
              JOIN LATERAL (SELECT k.command_id FROM filestore.snapshots k WHERE k.node_id = w.node AND k.version = w.previous_version LIMIT 1) s
                ON s.command_id = (
                    SELECT q.command_id FROM (SELECT k.id, k.version, k.state FROM filestore.nodes k WHERE k.id = n.parent_id OFFSET 0) p,
                           LATERAL (SELECT k.command_id FROM filestore.snapshots k WHERE k.node_id = p.id AND k.version = p.version OFFSET 0) q
                     WHERE p.state = 'deleted')
             WHERE w.step = 'restore') x
     GROUP BY x.directory, x.deleter
), upward AS (
    SELECT directory, deleter, bytes, files, directories, children FROM sums
    UNION ALL
    SELECT n.parent_id, u.deleter, u.bytes, u.files, u.directories, 0 FROM upward u
      JOIN LATERAL (SELECT p.parent_id FROM filestore.nodes p WHERE p.id = u.directory LIMIT 1) n
        ON n.parent_id IS NOT NULL AND (u.deleter IS NULL OR u.deleter = (
            SELECT q.command_id FROM (SELECT k.id, k.version, k.state FROM filestore.nodes k WHERE k.id = n.parent_id OFFSET 0) p,
                   LATERAL (SELECT k.command_id FROM filestore.snapshots k WHERE k.node_id = p.id AND k.version = p.version OFFSET 0) q
             WHERE p.state = 'deleted'))
), rolled AS (
    INSERT INTO filestore.rollup_deltas (directory_id, size_bytes, file_count, directory_count, child_count)
    SELECT directory, sum(bytes), sum(files), sum(directories), sum(children) FROM upward GROUP BY directory
    HAVING (sum(bytes), sum(files), sum(directories), sum(children)) IS DISTINCT FROM (0::numeric, 0::numeric, 0::numeric, 0::numeric)
), journaled AS (
    INSERT INTO filestore.journal_entries (tenant, command_id, attempt, kind, mount_id, node_id, path, principal, token_id, key,
        executor, outcome, code, retryable, context, payload, before, after, also, trash, workflow_id, operation_id, atomic_id, item, reverses,
        request_id, trace_id, started_at)
    SELECT e.tenant, e.id, e.attempt, e.command, e.mount_id,
           CASE WHEN e.status = 'succeeded' OR e.before IS NOT NULL THEN e.node END, e.path, e.principal, e.token_id, e.key,
           m.backend_kind, e.status, e.code, e.retryable,
           CASE WHEN e.message IS NOT NULL OR e.drift IS NOT NULL THEN jsonb_strip_nulls(jsonb_build_object('message', e.message, 'drift', e.drift)) END,
           e.request, e.before,
           CASE WHEN d.id IS NOT NULL THEN jsonb_build_object('id', d.node, 'parent', d.parent, 'name', encode(d.name, 'hex'),
                'kind', d.node_kind, 'state', CASE d.step WHEN 'delete' THEN 'deleted' ELSE 'active' END,
                'version', d.version, 'size', coalesce(d.size, 0), 'sha256', d.sha256) END,
           CASE WHEN d.tree OR d.replaced IS NOT NULL OR d.departs IS NOT NULL THEN jsonb_strip_nulls(jsonb_build_object(
                'replaced', d.replaced->'before', 'departed', d.departs->'before' || jsonb_build_object('mount', d.departs->'mount'), 'tree', CASE WHEN d.tree THEN jsonb_build_object('size', w.bytes, 'files', w.files, 'directories', w.directories) END)) END,
           CASE WHEN d.step IN ('replace', 'delete') OR d.replaced IS NOT NULL THEN d.trash END,
           e.owner_workflow, e.operation_id, e.atomic_id, e.item, e.reverses, e.request_id, e.trace_id, e.started_at
      FROM ended e JOIN filestore.backend_mounts m ON m.id = e.mount_id
      LEFT JOIN done d ON d.id = e.id LEFT JOIN weights w ON w.id = e.id
), left_over AS (
    -- On a local disk only what replaces something, or fails, leaves something to clear; an object store has more to tidy,
    -- but for content that was put from the spool of its host: that left with the step.
    INSERT INTO filestore.cleanups (mount_id, command_id, stage_id)
    SELECT e.mount_id, e.id, e.stage FROM ended e JOIN filestore.backend_mounts m ON m.id = e.mount_id
     WHERE e.stage IS NOT NULL AND e.step <> 'none' AND e.status <> 'succeeded'
        OR e.step IN ('create', 'replace') AND e.status = 'succeeded' AND CASE m.backend_kind
           WHEN 's3' THEN left(coalesce(e.intent->'staged'->>9, ''), 6) <> 'spool:' ELSE e.step = 'replace' AND e.stage IS NOT NULL END
        OR e.step IN ('move', 'restore') AND e.status = 'succeeded' AND m.backend_kind = 's3'
        OR e.intent ? 'items'
     UNION ALL
    SELECT (d.departs->>'mount')::bigint, d.id, NULL FROM done d WHERE d.departs IS NOT NULL
), released AS (
    -- The claim on what still has to go stays until it has gone, in `finish`: nobody may take its name before.
    DELETE FROM filestore.claims k USING ended e JOIN filestore.backend_mounts m ON m.id = e.mount_id
     WHERE k.command_id = ANY (ARRAY[e.id]) AND NOT (e.intent ? 'items' AND k.mount_id = e.mount_id)
       AND (e.status <> 'succeeded'
            OR (e.departs IS NULL OR k.mount_id <> (e.departs->>'mount')::bigint)
               AND NOT (m.backend_kind = 's3' AND e.step = 'move' AND k.path = e.path))
)
SELECT (SELECT count(*) FROM written) AS written, (SELECT count(*) FROM done) AS expected

-- name: answer
-- The answer of each command, stored verbatim, and its events beside it. Runs after `record`, whose rows it reads.
-- `seen` is materialised: a document is rendered once, not once for each field that is taken from it.
WITH seen AS MATERIALIZED (
    SELECT c.id, c.tenant, c.mount_id, c.kind AS command, c.status, c.code, c.key, c.principal, c.started_at, c.request,
           c.request->>'path' AS shown, c.intent->>'step' AS step, c.intent->'message' AS message, c.intent->'details' AS details,
           (c.intent->>'size')::bigint AS size, c.intent->'previous_version' AS previous_version, c.intent->'replaced' AS replaced, c.intent->'departs' AS departs,
           (c.intent->>'previous_size')::bigint AS previous_size, j.id AS journal_id, j.also->'tree' AS tree,
           n.id AS node_id, n.parent_id, n.kind, n.state, n.version, n.size_bytes, n.metadata, n.path_text,
           CASE WHEN convert_to(n.path_text, 'UTF8') <> n.path THEN translate(encode(n.path, 'base64'), E'\n', '') END AS path_b64,
           coalesce(n.checksum, 'sha256:' || encode(n.sha256, 'hex')) AS checksum, 'sha256:' || encode(n.sha256, 'hex') AS content_hash,
           n.document,
           CASE c.kind WHEN 'moveNode' THEN 'movedFrom' WHEN 'copyNode' THEN 'copiedFrom' END AS origin,
           CASE WHEN c.kind IN ('moveNode', 'copyNode') THEN jsonb_build_object('backendMountId', c.request->'mount_id',
               'path', c.request->'path', 'pathB64', c.request->'path_b64') END AS came_from
      FROM filestore.commands c
     CROSS JOIN LATERAL (SELECT k.id, k.node_id, k.also FROM filestore.journal_entries k
                          WHERE k.command_id = c.id AND k.attempt = c.attempt OFFSET 0) j
      LEFT JOIN LATERAL (SELECT k.* FROM filestore.node_documents k WHERE k.id = j.node_id OFFSET 0) n ON true
     WHERE c.id = ANY(%(ids)s::uuid[])
), told AS (
    UPDATE filestore.commands c SET outcome =
        CASE WHEN s.status = 'succeeded' THEN json_build_object(
            'idempotent', s.step = 'none', 'commandId', s.id, 'journalEntryId', s.journal_id, 'node', s.document,
            'result', jsonb_build_object('commandType', s.command, 'nodeId', s.node_id, 'backendMountId', s.mount_id, 'path', s.path_text,
                'kind', s.kind, 'state', s.state, 'sizeBytes', s.size_bytes, 'version', s.version,
                'durationMs', round(extract(epoch FROM clock_timestamp() - s.started_at) * 1000, 1),
                'checksum', s.checksum, 'contentHash', s.content_hash,
                'mimeType', s.request->'mime_type', 'originalName', s.request->'original_name',
                'previousVersion', s.previous_version, 'previousSizeBytes', s.previous_size)
                || CASE WHEN s.origin IS NULL THEN '{}'
                        ELSE jsonb_build_object(s.origin, s.came_from) END)
        ELSE json_build_object('error', json_build_object('code', s.code, 'message', s.message,
                'details', coalesce(nullif(s.details, 'null'), '{}') || jsonb_build_object('commandId', s.id, 'path', s.shown))) END
      FROM seen s WHERE c.id = ANY (ARRAY[s.id])
    RETURNING c.id, c.status, c.code, c.outcome, CASE c.status WHEN 'succeeded' THEN (c.intent->'departs'->>'mount')::bigint END AS leaves
), events AS (
    SELECT s.journal_id, s.tenant, coalesce((t.leaves->>'mount')::bigint, s.mount_id) AS mount_id, t.rank, t.type,
           CASE t.rank
           WHEN 0 THEN json_build_object('backendMountId', t.leaves->'mount', 'nodeId', t.leaves->'node',
                    'path', t.leaves->'shown', 'pathB64', t.leaves->'b64',
                    'kind', CASE WHEN (t.leaves->>'tree')::boolean THEN 'directory' ELSE 'file' END,
                    'state', 'deleted', 'parentId', t.leaves->'parent', 'version', t.leaves->'version',
                    'sizeBytes', t.leaves->'size', 'contentHash', 'sha256:' || (t.leaves->>'sha256'), 'replacedBy', s.node_id,
                    'journalId', s.journal_id, 'command', s.command, 'commandId', s.id, 'idempotencyKey', s.key,
                    'principal', s.principal, 'observedAt', now(),
                    'tree', CASE WHEN (t.leaves->>'tree')::boolean THEN s.tree END,
                    'delta', json_build_object('sizeBytes',
                        -CASE WHEN (t.leaves->>'tree')::boolean THEN coalesce((s.tree->>'size')::bigint, 0) ELSE (t.leaves->>'size')::bigint END))
           WHEN 3 THEN json_build_object('commandId', s.id, 'command', s.command, 'status', s.status, 'code', s.code,
                    'journalId', s.journal_id, 'backendMountId', s.mount_id, 'nodeId', s.node_id, 'path', s.shown,
                    'idempotencyKey', s.key, 'principal', s.principal, 'observedAt', now())
           ELSE json_build_object('backendMountId', s.mount_id, 'nodeId', s.node_id, 'path', s.path_text, 'pathB64', s.path_b64,
                    'kind', s.kind, 'state', s.state, 'parentId', s.parent_id, 'version', s.version, 'sizeBytes', s.size_bytes,
                    'checksum', s.checksum, 'contentHash', s.content_hash, 'metadata', s.metadata, 'journalId', s.journal_id,
                    'command', s.command, 'commandId', s.id, 'idempotencyKey', s.key, 'principal', s.principal, 'observedAt', now(),
                    'movedFrom', CASE s.origin WHEN 'movedFrom' THEN s.came_from END,
                    'copiedFrom', CASE s.origin WHEN 'copiedFrom' THEN s.came_from END, 'tree', s.tree,
                    'delta', json_build_object('sizeBytes', CASE s.step
                        WHEN 'create' THEN coalesce((s.tree->>'size')::bigint, s.size)
                        WHEN 'restore' THEN coalesce((s.tree->>'size')::bigint, s.size)
                        WHEN 'delete' THEN -coalesce((s.tree->>'size')::bigint, s.size)
                        WHEN 'replace' THEN s.size - s.previous_size ELSE 0 END)) END AS data
      FROM seen s,
           LATERAL (VALUES
               (0, CASE WHEN s.replaced IS NOT NULL THEN 'filestore.node.deleted' END, s.replaced),
               (0, CASE WHEN s.departs IS NOT NULL THEN 'filestore.node.deleted' END, s.departs),
               (1, CASE s.step WHEN 'create' THEN 'filestore.node.created' WHEN 'delete' THEN 'filestore.node.deleted'
                               WHEN 'none' THEN NULL WHEN 'refused' THEN NULL ELSE 'filestore.node.updated' END, NULL),
               (2, CASE WHEN s.step = 'none' THEN NULL ELSE CASE s.command WHEN 'uploadFile' THEN 'filestore.node.uploaded'
                               WHEN 'moveNode' THEN 'filestore.node.moved' WHEN 'copyNode' THEN 'filestore.node.copied' END END, NULL),
               (3, 'filestore.command.completed', NULL)) AS t(rank, type, leaves)
     WHERE t.type IS NOT NULL AND (t.rank = 3 OR s.status = 'succeeded')
), emitted AS (
    INSERT INTO filestore.outbox (tenant, mount_id, type, data)
    SELECT tenant, mount_id, type, data FROM events ORDER BY journal_id, rank
)
SELECT id::text, status::text, code, outcome::text AS body,
       EXISTS (SELECT FROM filestore.cleanups k WHERE k.command_id = told.id AND k.mount_id IS DISTINCT FROM told.leaves OFFSET 0) AS leftovers, leaves
  FROM told

-- name: outcomes
-- How these commands stand, for callers that wait for a row somebody else ends.
SELECT id::text, status::text, code, outcome::text AS body FROM filestore.commands WHERE id = ANY(%(ids)s::uuid[])

-- name: outcome_by_key
-- How the command with this key stands, for whoever comes back to it later.
SELECT id::text, status::text, code, outcome::text AS body FROM filestore.commands
 WHERE tenant = %(tenant)s AND principal = %(principal)s AND key = %(key)s

-- name: outcomes_by_key
-- How the same requests stand under an earlier id: where another process opened them. A failure that another attempt may
-- follow counts only when it is younger than the request that waits.
SELECT i.request, c.id::text, c.status::text, c.code, c.outcome::text AS body
  FROM jsonb_to_recordset(%(items)s::jsonb) AS i(request text, tenant text, principal text, key text, hash text, age double precision)
  JOIN LATERAL (SELECT x.* FROM filestore.commands x
                 WHERE x.tenant = i.tenant AND x.principal = i.principal AND x.key = i.key LIMIT 1) c ON true
 WHERE c.id::text <> i.request AND encode(c.request_hash, 'hex') = i.hash AND c.status <> 'running'
   AND (NOT c.retryable OR c.ended_at > clock_timestamp() - make_interval(secs => i.age))

-- name: rows_by_key
-- The commands that the same requests have opened before, under whatever id and however they stand.
SELECT i.request, c.id::text
  FROM jsonb_to_recordset(%(items)s::jsonb) AS i(request text, tenant text, principal text, key text, hash text)
  JOIN LATERAL (SELECT x.id, x.request_hash FROM filestore.commands x
                 WHERE x.tenant = i.tenant AND x.principal = i.principal AND x.key = i.key LIMIT 1) c ON true
 WHERE encode(c.request_hash, 'hex') = i.hash

-- name: overdue
-- Running commands that nobody touched for a while: their owner is to be resumed. The lock tells whether it still lives.
SELECT id::text FROM filestore.commands
 WHERE mount_id = %(mount)s AND status = 'running' AND touched_at < clock_timestamp() - make_interval(secs => %(seconds)s)
   AND atomic_id IS NULL
 ORDER BY touched_at LIMIT 1000

-- name: overdue_atomic
-- The same for lists of which all are recorded or none: each as a whole, once nobody has touched any of it for a while.
SELECT array_agg(id::text ORDER BY item) AS ids FROM filestore.commands
 WHERE mount_id = %(mount)s AND status = 'running' AND atomic_id IS NOT NULL
 GROUP BY atomic_id HAVING max(touched_at) < clock_timestamp() - make_interval(secs => %(seconds)s)
 ORDER BY max(touched_at) LIMIT 100

-- name: cleanups
-- What is left to clear on the storage of a mount, with all that `finish` needs to know.
SELECT k.id, c.id::text AS command, c.status::text, c.intent, c.path, c.attempt, k.mount_id <> c.mount_id AS departs
  FROM filestore.cleanups k JOIN filestore.commands c ON c.id = k.command_id
 WHERE k.mount_id = %(mount)s AND (%(ids)s::uuid[] IS NULL OR k.command_id = ANY(%(ids)s::uuid[])) AND c.status <> 'running'
 ORDER BY k.id LIMIT 1000

-- name: close_cleanups
-- These leftovers are cleared; where it was a source that had to go, its name is free now.
WITH closed AS (
    DELETE FROM filestore.cleanups WHERE id = ANY(%(ids)s) RETURNING mount_id, command_id
)
DELETE FROM filestore.claims k USING closed c, filestore.commands o
 WHERE k.command_id = ANY (ARRAY[c.command_id]) AND k.mount_id = c.mount_id AND o.id = c.command_id AND o.status <> 'running'

-- name: disown
-- The source of a move was changed before it could go: what lies there is somebody else's, and its old content is not kept.
WITH RECURSIVE below AS (
    SELECT (c.intent->'departs'->>'node')::bigint AS id, convert_to(c.intent->'departs'->>'trash', 'UTF8') AS place
      FROM filestore.commands c WHERE c.id = %(command)s
     UNION ALL
    SELECT n.id, b.place || '\x2f'::bytea || n.name FROM below b CROSS JOIN LATERAL (
          SELECT k.id, k.name FROM filestore.nodes k WHERE k.parent_id = b.id AND k.state = 'deleted' OFFSET 0) n
)
UPDATE filestore.snapshots s SET content_until = now() FROM below b WHERE s.node_id = ANY (ARRAY[b.id]) AND s.content_place = b.place

-- name: live_stages
-- Which of these stages belong to a command that is still running (keep), or that ended with something to clear (finish first).
SELECT DISTINCT s.stage::text FROM unnest(%(stages)s::uuid[]) AS s(stage)
 WHERE EXISTS (SELECT FROM filestore.commands c WHERE c.id = s.stage AND c.status = 'running' OFFSET 0)
    OR EXISTS (SELECT FROM filestore.commands c WHERE c.status = 'running' AND c.mount_id = %(mount)s AND c.intent->>'stage' = s.stage::text)
    OR EXISTS (SELECT FROM filestore.cleanups k WHERE k.stage_id = s.stage)
    OR EXISTS (SELECT FROM filestore.stages t WHERE t.id = s.stage AND coalesce(t.upload_state, 'open') = 'open' AND t.expires_at > now())

-- name: ended_stages
-- Which of these stages, or marks, bear the name of a command that has ended.
SELECT s.stage::text FROM unnest(%(stages)s::uuid[]) AS s(stage)
 WHERE EXISTS (SELECT FROM filestore.commands c WHERE c.id = s.stage AND c.mount_id = %(mount)s AND c.status <> 'running' OFFSET 0)

-- name: keep_metadata
-- Metadata never travels through Temporal: it waits here until `begin` takes it into the command's row.
INSERT INTO filestore.stages (id, tenant, principal, mount_id, path, request, expires_at)
SELECT x.id, x.tenant, x.principal, %(mount)s, decode(x.path, 'hex'), jsonb_build_object('metadata', x.metadata), now() + interval '1 day'
  FROM jsonb_to_recordset(%(items)s::jsonb) AS x(id uuid, tenant text, principal text, path text, metadata jsonb)
ON CONFLICT (id) DO NOTHING

-- name: forget_stages
-- What waited for a `begin` that never came.
DELETE FROM filestore.stages WHERE mount_id = %(mount)s AND upload_state IS NULL AND expires_at < now()
