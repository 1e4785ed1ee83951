-- The life of a command. `items` and `requests` are JSON arrays; the facts of a whole list travel in one parameter.

-- name: lock_mount
-- One `begin` at a time per mount: verdicts are given on a record that holds still. Released by the end of the transaction.
SELECT pg_advisory_xact_lock(720001, (%(mount)s::bigint & 2147483647)::integer)

-- name: look
-- What the record says about each request of a list: its key, its mount, the parent, the node, the latest deleted one,
-- and whose claim is in the way. `parent` is the stored form of the directory's path, `above` are all paths over it.
-- One look-up after the other for each request: whatever the tables' sizes, nothing here may become a scan.
SELECT i.id, nextval('filestore.nodes_id_seq') AS fresh_node,
       m.state AS mount_state, m.access_mode AS mount_access,
       c.id::text AS known_id, c.status::text AS known_status, c.attempt AS known_attempt, encode(c.request_hash, 'hex') AS known_hash,
       c.retryable AS known_retryable, c.code AS known_code, c.owner_workflow AS known_owner, c.outcome::text AS known_outcome,
       p.facts AS parent, n.facts AS node, g.facts AS gone,
       i.kind = 'deleteNode' AND n.facts->>'kind' = 'directory'
           AND EXISTS (SELECT FROM filestore.nodes k WHERE k.parent_id = n.id AND k.state <> 'deleted') AS has_children,
       (SELECT k.command_id::text FROM filestore.claims k WHERE k.mount_id = %(mount)s AND k.path = decode(i.path, 'hex')
         UNION ALL
        SELECT k.command_id::text FROM jsonb_array_elements_text(i.above) a
          JOIN LATERAL (SELECT s.command_id, s.kind FROM filestore.claims s
                         WHERE s.mount_id = %(mount)s AND s.path = decode(a, 'hex') LIMIT 1) k ON k.kind = 'subtree'
         UNION ALL
        SELECT k.command_id::text FROM filestore.claims k WHERE i.subtree AND k.mount_id = %(mount)s
           AND k.path > decode(i.path || '2f', 'hex') AND k.path < decode(i.path || '30', 'hex')
         LIMIT 1) AS busy
  FROM jsonb_to_recordset(%(items)s::jsonb) AS i(id text, kind text, tenant text, principal text, key text,
                                                 path text, parent text, name text, above jsonb, subtree boolean)
  LEFT JOIN filestore.backend_mounts m ON m.id = %(mount)s AND m.tenant = i.tenant
  LEFT JOIN LATERAL (SELECT * FROM filestore.commands x
       WHERE x.tenant = i.tenant AND x.principal = i.principal AND x.key = i.key LIMIT 1) c ON true
  LEFT JOIN LATERAL (SELECT x.id, filestore.node_facts(x) AS facts FROM filestore.nodes x
       WHERE x.mount_id = %(mount)s AND x.directory_path = decode(i.parent, 'hex') AND x.directory_path IS NOT NULL
         AND x.state <> 'deleted' LIMIT 1) p ON true
  LEFT JOIN LATERAL (SELECT x.id, filestore.node_facts(x) AS facts FROM filestore.nodes x
       WHERE x.parent_id = p.id AND x.name = decode(i.name, 'hex') AND x.state <> 'deleted' LIMIT 1) n ON true
  LEFT JOIN LATERAL (SELECT filestore.node_facts(x) AS facts FROM filestore.nodes x JOIN filestore.nodes xp ON xp.id = x.parent_id
       WHERE i.kind = 'deleteNode' AND n.id IS NULL AND xp.mount_id = %(mount)s AND xp.directory_path = decode(i.parent, 'hex')
         AND xp.directory_path IS NOT NULL AND x.name = decode(i.name, 'hex') AND x.state = 'deleted'
       ORDER BY x.deleted_at DESC LIMIT 1) g ON true

-- name: open
-- Write the verdicts down: a row per command that goes or is refused, the next attempt of one that failed before, and the
-- claims of those that go. Metadata joins the request here, out of the `stages` row where it waited.
WITH item AS (
    SELECT * FROM jsonb_to_recordset(%(items)s::jsonb) AS x(
        id uuid, stage uuid, tenant text, principal text, token_id bigint, key text, kind text, path text, request jsonb,
        hash text, intent jsonb, status filestore.command_status, attempt integer, code text, retryable boolean, outcome json,
        request_id text, trace_id text, subtree boolean)
), waiting AS (
    DELETE FROM filestore.stages s USING item WHERE s.id = item.stage RETURNING s.id, s.request
), opened AS (
    INSERT INTO filestore.commands AS c (id, tenant, principal, token_id, key, kind, mount_id, path, request, request_hash,
        intent, status, attempt, owner_workflow, code, retryable, outcome, request_id, trace_id, ended_at)
    SELECT i.id, i.tenant, i.principal, i.token_id, i.key, i.kind, %(mount)s, decode(i.path, 'hex'),
           i.request || coalesce(w.request, '{}'), decode(i.hash, 'hex'), i.intent, i.status, i.attempt, %(workflow)s, i.code,
           coalesce(i.retryable, false), i.outcome, i.request_id, i.trace_id, CASE WHEN i.status <> 'running' THEN now() END
      FROM item i LEFT JOIN waiting w ON w.id = i.stage
    ON CONFLICT (tenant, principal, key) DO UPDATE SET
        request = excluded.request, request_hash = excluded.request_hash, intent = excluded.intent, status = excluded.status,
        attempt = excluded.attempt, owner_workflow = excluded.owner_workflow, code = excluded.code,
        retryable = excluded.retryable, outcome = excluded.outcome, started_at = now(), touched_at = now(),
        ended_at = excluded.ended_at, request_id = excluded.request_id, trace_id = excluded.trace_id
     WHERE c.id = excluded.id AND c.status = 'failed' AND c.retryable AND c.attempt = excluded.attempt - 1
    RETURNING c.id, c.status, c.path
), claimed AS (
    INSERT INTO filestore.claims (mount_id, path, kind, command_id)
    SELECT %(mount)s, o.path, CASE WHEN i.subtree THEN 'subtree' ELSE 'path' END::filestore.claim_kind, o.id
      FROM opened o JOIN item i ON i.id = o.id WHERE o.status = 'running'
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

-- name: end
-- The fence: only the attempt the row names may end a command. What `apply` saw joins the intent.
UPDATE filestore.commands c
   SET status = i.status, code = i.code, retryable = coalesce(i.retryable, false), ended_at = now(), touched_at = now(),
       intent = c.intent || jsonb_build_object('identity', i.identity, 'message', i.message, 'drift', i.drift)
  FROM jsonb_to_recordset(%(items)s::jsonb) AS i(id uuid, attempt integer, status filestore.command_status, identity jsonb,
       code text, message text, retryable boolean, drift text)
 WHERE c.id = i.id AND c.status = 'running' AND c.attempt = i.attempt
RETURNING c.id::text, c.intent->>'step' AS step, coalesce(c.request->>'path', '') AS shown

-- name: close_snapshots
-- The versions that end now, and where their content is kept from now on.
UPDATE filestore.snapshots s
   SET valid_to = greatest(now(), s.valid_from),  -- a clock can be set back
       content_place = CASE WHEN s.kind = 'file' THEN convert_to(c.intent->>'trash', 'UTF8') END,
       content_until = CASE WHEN s.kind = 'file' THEN now() + make_interval(days => %(retention_days)s) END
  FROM filestore.commands c
 WHERE c.id = ANY(%(ids)s::uuid[]) AND c.status = 'succeeded' AND c.intent->>'step' IN ('replace', 'delete')
   AND s.node_id = (c.intent->>'node')::bigint AND s.valid_to IS NULL

-- name: record
-- The record of everything a list did, in one statement: nodes, snapshots, rollup deltas, journal, cleanups; the claims go.
-- Answers how many nodes were written, to be compared with how many should have been.
WITH RECURSIVE ended AS (
    SELECT c.id, c.tenant, c.kind AS command, c.mount_id, c.path, c.principal, c.token_id, c.key, c.request, c.status, c.attempt,
           c.code, c.retryable, c.owner_workflow, c.operation_id, c.item, c.reverses, c.request_id, c.trace_id, c.started_at,
           c.intent, i.*
      FROM filestore.commands c,
           jsonb_to_record(c.intent) AS i(step text, node bigint, parent bigint, version bigint, previous_version bigint, size bigint,
               previous_size bigint, sha256 text, stage uuid, staged jsonb, trash text, identity jsonb, before jsonb, message text, drift text)
     WHERE c.id = ANY(%(ids)s::uuid[])
), done AS (
    SELECT e.*, f.directory_path, f.directory_text, f.depth AS parent_depth,
           CASE e.command WHEN 'createDirectory' THEN 'directory' ELSE 'file' END::filestore.node_kind AS new_kind,
           substring(e.path FROM octet_length(f.directory_path) + 1) AS name, e.request->>'name_text' AS name_text
      FROM ended e LEFT JOIN filestore.nodes f ON f.id = e.parent
     WHERE e.status = 'succeeded' AND e.step <> 'none'
), created AS (
    INSERT INTO filestore.nodes (id, tenant, mount_id, parent_id, name, name_text, directory_path, directory_text, depth, kind,
        state, version, size_bytes, sha256, checksum, mime_type, original_name, metadata, device, inode, birth_ns, observed_size,
        observed_mtime_ns, observed_ctime_ns, observed_mode, observed_links, observed_at, observed_by, last_modified_at, last_drift_at)
    SELECT d.node, d.tenant, d.mount_id, d.parent, d.name, d.name_text,
           CASE WHEN d.new_kind = 'directory' THEN d.path || '\x2f'::bytea END,
           CASE WHEN d.new_kind = 'directory' THEN d.directory_text || d.name_text || '/' END,
           d.parent_depth + 1, d.new_kind,
           'active', d.version, CASE WHEN d.new_kind = 'file' THEN d.size ELSE 0 END, decode(d.sha256, 'hex'), d.request->>'checksum',
           d.request->>'mime_type', d.request->>'original_name', coalesce(d.request->'metadata', '{}'),
           (d.identity->>0)::bigint, (d.identity->>1)::bigint, (d.identity->>2)::bigint, (d.identity->>3)::bigint,
           (d.identity->>4)::bigint, (d.identity->>5)::bigint, (d.identity->>7)::integer, (d.identity->>8)::integer,
           now(), d.id, now(), CASE WHEN d.drift IS NOT NULL THEN now() END
      FROM done d WHERE d.step = 'create'
    RETURNING id
), changed AS (
    UPDATE filestore.nodes n SET
        version = d.version, updated_at = now(), observed_at = now(), observed_by = d.id,
        state = CASE d.step WHEN 'delete' THEN 'deleted' ELSE n.state END,
        deleted_at = CASE d.step WHEN 'delete' THEN now() END,
        last_modified_at = now(),
        last_drift_at = CASE WHEN d.drift IS NOT NULL THEN now() ELSE n.last_drift_at END,
        size_bytes = CASE d.step WHEN 'replace' THEN d.size ELSE n.size_bytes END,
        sha256 = CASE d.step WHEN 'replace' THEN decode(d.sha256, 'hex') ELSE n.sha256 END,
        checksum = CASE d.step WHEN 'replace' THEN d.request->>'checksum' ELSE n.checksum END,
        mime_type = CASE d.step WHEN 'replace' THEN d.request->>'mime_type' ELSE n.mime_type END,
        original_name = CASE d.step WHEN 'replace' THEN d.request->>'original_name' ELSE n.original_name END,
        metadata = CASE d.step WHEN 'replace' THEN coalesce(d.request->'metadata', n.metadata) ELSE n.metadata END,
        device = coalesce((d.identity->>0)::bigint, n.device), inode = coalesce((d.identity->>1)::bigint, n.inode),
        birth_ns = coalesce((d.identity->>2)::bigint, n.birth_ns),
        observed_size = coalesce((d.identity->>3)::bigint, n.observed_size),
        observed_mtime_ns = coalesce((d.identity->>4)::bigint, n.observed_mtime_ns),
        observed_ctime_ns = coalesce((d.identity->>5)::bigint, n.observed_ctime_ns),
        observed_mode = coalesce((d.identity->>7)::integer, n.observed_mode),
        observed_links = coalesce((d.identity->>8)::integer, n.observed_links)
      FROM done d
     WHERE n.id = d.node AND n.version = d.previous_version AND d.step IN ('replace', 'delete')
    RETURNING n.id
), doubted AS (
    UPDATE filestore.nodes n SET state = 'inconsistent', updated_at = now(), last_drift_at = now()
      FROM ended e WHERE e.status = 'inconsistent' AND n.id = e.node AND n.state = 'active'
    RETURNING n.id
), put_back AS (
    UPDATE filestore.nodes n SET observed_ctime_ns = (e.identity->>5)::bigint
      FROM ended e WHERE e.status = 'failed' AND jsonb_typeof(e.identity) = 'array' AND e.before IS NOT NULL AND n.id = e.node
), snapped AS (
    INSERT INTO filestore.snapshots (node_id, version, command_id, parent_id, name, kind, state, size_bytes, sha256, metadata, valid_from)
    SELECT d.node, d.version, d.id, d.parent, d.name, coalesce(o.kind, d.new_kind),
           CASE d.step WHEN 'delete' THEN 'deleted' ELSE 'active' END::filestore.node_state,
           CASE WHEN coalesce(o.kind, d.new_kind) = 'file' THEN d.size ELSE 0 END, decode(d.sha256, 'hex'),
           coalesce(CASE d.step WHEN 'delete' THEN NULL ELSE d.request->'metadata' END, o.metadata, '{}'),
           coalesce((SELECT max(p.valid_to) FROM filestore.snapshots p WHERE p.node_id = d.node), now())
      FROM done d LEFT JOIN filestore.nodes o ON o.id = d.node
), sums AS (
    SELECT d.parent AS directory,
           sum(CASE WHEN k.is_file THEN CASE d.step WHEN 'create' THEN d.size WHEN 'replace' THEN d.size - d.previous_size ELSE -d.size END
                    ELSE 0 END) AS bytes,
           sum(CASE WHEN k.is_file THEN k.sign ELSE 0 END) AS files, sum(CASE WHEN k.is_file THEN 0 ELSE k.sign END) AS directories,
           sum(k.sign) AS children
      FROM done d LEFT JOIN filestore.nodes o ON o.id = d.node,
           LATERAL (SELECT coalesce(o.kind, d.new_kind) = 'file' AS is_file,
                           CASE d.step WHEN 'create' THEN 1 WHEN 'delete' THEN -1 ELSE 0 END AS sign) k
     GROUP BY d.parent
), upward AS (
    SELECT directory, bytes, files, directories, children FROM sums
    UNION ALL
    SELECT n.parent_id, u.bytes, u.files, u.directories, 0 FROM upward u JOIN filestore.nodes n ON n.id = u.directory
     WHERE n.parent_id IS NOT NULL
), rolled AS (
    INSERT INTO filestore.rollup_deltas (directory_id, size_bytes, file_count, directory_count, child_count)
    SELECT directory, sum(bytes), sum(files), sum(directories), sum(children) FROM upward GROUP BY directory
    HAVING (sum(bytes), sum(files), sum(directories), sum(children)) IS DISTINCT FROM (0::numeric, 0::numeric, 0::numeric, 0::numeric)
), journaled AS (
    INSERT INTO filestore.journal_entries (tenant, command_id, attempt, kind, mount_id, node_id, path, principal, token_id, key,
        executor, outcome, code, retryable, context, payload, before, after, trash, workflow_id, operation_id, item, reverses,
        request_id, trace_id, started_at)
    SELECT e.tenant, e.id, e.attempt, e.command, e.mount_id,
           CASE WHEN e.status = 'succeeded' OR e.before IS NOT NULL THEN e.node END, e.path, e.principal, e.token_id, e.key,
           m.backend_kind, e.status, e.code, e.retryable,
           CASE WHEN e.message IS NOT NULL OR e.drift IS NOT NULL THEN jsonb_strip_nulls(jsonb_build_object('message', e.message, 'drift', e.drift)) END,
           e.request, e.before,
           CASE WHEN d.id IS NOT NULL THEN jsonb_build_object('id', d.node, 'parent', d.parent, 'name', encode(d.name, 'hex'),
                'kind', coalesce(e.intent->>'kind', d.new_kind::text), 'state', CASE d.step WHEN 'delete' THEN 'deleted' ELSE 'active' END,
                'version', d.version, 'size', coalesce(d.size, 0), 'sha256', d.sha256) END,
           CASE WHEN d.step IN ('replace', 'delete') THEN d.trash END,
           e.owner_workflow, e.operation_id, e.item, e.reverses, e.request_id, e.trace_id, e.started_at
      FROM ended e JOIN filestore.backend_mounts m ON m.id = e.mount_id LEFT JOIN done d ON d.id = e.id
), left_over AS (
    INSERT INTO filestore.cleanups (mount_id, command_id, stage_id)
    SELECT e.mount_id, e.id, e.stage FROM ended e
     WHERE e.stage IS NOT NULL AND e.step <> 'none' AND (e.status <> 'succeeded' OR e.step = 'replace')
), released AS (
    DELETE FROM filestore.claims k USING ended e WHERE k.command_id = e.id
)
SELECT (SELECT count(*) FROM created) + (SELECT count(*) FROM changed) AS written,
       (SELECT count(*) FROM done) AS expected

-- name: answer
-- The answer of each command, stored verbatim, and its events beside it. Runs after `record`, whose rows it reads.
-- `seen` is materialised: a document is rendered once, not once for each field that is taken from it.
WITH seen AS MATERIALIZED (
    SELECT c.id, c.tenant, c.mount_id, c.kind AS command, c.status, c.code, c.key, c.principal, c.started_at, c.request,
           c.request->>'path' AS shown, c.intent->>'step' AS step, c.intent->'message' AS message, c.intent->'details' AS details,
           (c.intent->>'size')::bigint AS size, c.intent->'previous_version' AS previous_version,
           (c.intent->>'previous_size')::bigint AS previous_size, j.id AS journal_id,
           n.id AS node_id, n.parent_id, n.kind, n.state, n.version, n.size_bytes, n.metadata, n.path_text,
           coalesce(n.checksum, 'sha256:' || encode(n.sha256, 'hex')) AS checksum, 'sha256:' || encode(n.sha256, 'hex') AS content_hash,
           n.document
      FROM filestore.commands c
      JOIN filestore.journal_entries j ON j.command_id = c.id AND j.attempt = c.attempt
      LEFT JOIN filestore.node_documents n ON n.id = j.node_id
     WHERE c.id = ANY(%(ids)s::uuid[])
), told AS (
    UPDATE filestore.commands c SET outcome =
        CASE WHEN s.status = 'succeeded' THEN json_build_object(
            'idempotent', s.step = 'none', 'commandId', s.id, 'journalEntryId', s.journal_id, 'node', s.document,
            'result', json_build_object('commandType', s.command, 'nodeId', s.node_id, 'backendMountId', s.mount_id, 'path', s.path_text,
                'kind', s.kind, 'state', s.state, 'sizeBytes', s.size_bytes, 'version', s.version,
                'durationMs', round(extract(epoch FROM clock_timestamp() - s.started_at) * 1000, 1),
                'checksum', s.checksum, 'contentHash', s.content_hash,
                'mimeType', s.request->'mime_type', 'originalName', s.request->'original_name',
                'previousVersion', s.previous_version, 'previousSizeBytes', s.previous_size))
        ELSE json_build_object('error', json_build_object('code', s.code, 'message', s.message,
                'details', coalesce(nullif(s.details, 'null'), '{}') || jsonb_build_object('commandId', s.id, 'path', s.shown))) END
      FROM seen s WHERE c.id = s.id
    RETURNING c.id, c.status, c.code, c.outcome
), events AS (
    SELECT s.journal_id, s.tenant, s.mount_id, t.rank, t.type,
           CASE WHEN t.rank < 3 THEN json_build_object('backendMountId', s.mount_id, 'nodeId', s.node_id, 'path', s.path_text,
                    'kind', s.kind, 'state', s.state, 'parentId', s.parent_id, 'version', s.version, 'sizeBytes', s.size_bytes,
                    'checksum', s.checksum, 'contentHash', s.content_hash, 'metadata', s.metadata, 'journalId', s.journal_id,
                    'command', s.command, 'commandId', s.id, 'idempotencyKey', s.key, 'principal', s.principal, 'observedAt', now(),
                    'delta', json_build_object('sizeBytes', CASE s.step WHEN 'create' THEN s.size
                        WHEN 'replace' THEN s.size - s.previous_size ELSE -s.size END))
                ELSE json_build_object('commandId', s.id, 'command', s.command, 'status', s.status, 'code', s.code,
                    'journalId', s.journal_id, 'backendMountId', s.mount_id, 'nodeId', s.node_id, 'path', s.shown,
                    'idempotencyKey', s.key, 'principal', s.principal, 'observedAt', now()) END AS data
      FROM seen s,
           LATERAL (VALUES
               (1, CASE s.step WHEN 'create' THEN 'filestore.node.created' WHEN 'replace' THEN 'filestore.node.updated'
                               WHEN 'delete' THEN 'filestore.node.deleted' END),
               (2, CASE WHEN s.command = 'uploadFile' AND s.step <> 'none' THEN 'filestore.node.uploaded' END),
               (3, 'filestore.command.completed')) AS t(rank, type)
     WHERE t.type IS NOT NULL AND (t.rank = 3 OR s.status = 'succeeded')
), emitted AS (
    INSERT INTO filestore.outbox (tenant, mount_id, type, data)
    SELECT tenant, mount_id, type, data FROM events ORDER BY journal_id, rank
)
SELECT id::text, status::text, code, outcome::text AS body,
       EXISTS (SELECT FROM filestore.cleanups k WHERE k.command_id = told.id) AS leftovers
  FROM told

-- name: outcomes
-- How these commands stand, for callers that wait for a row somebody else ends.
SELECT id::text, status::text, code, outcome::text AS body FROM filestore.commands WHERE id = ANY(%(ids)s::uuid[])

-- name: outcome_by_key
-- The same by key: where the row was opened under an earlier id.
SELECT id::text, status::text, code, outcome::text AS body FROM filestore.commands
 WHERE tenant = %(tenant)s AND principal = %(principal)s AND key = %(key)s

-- name: overdue
-- Running commands that nobody touched for a while: their owner is to be resumed. The lock tells whether it still lives.
SELECT id::text FROM filestore.commands
 WHERE mount_id = %(mount)s AND status = 'running' AND touched_at < clock_timestamp() - make_interval(secs => %(seconds)s)
 ORDER BY touched_at LIMIT 1000

-- name: cleanups
-- What is left to clear on the storage of a mount, with all that `finish` needs to know.
SELECT k.id, c.id::text AS command, c.status::text, c.intent, c.path, c.attempt
  FROM filestore.cleanups k JOIN filestore.commands c ON c.id = k.command_id
 WHERE k.mount_id = %(mount)s AND (%(ids)s::uuid[] IS NULL OR k.command_id = ANY(%(ids)s::uuid[])) AND c.status <> 'running'
 ORDER BY k.id LIMIT 1000

-- name: close_cleanups
-- These leftovers are cleared.
DELETE FROM filestore.cleanups WHERE id = ANY(%(ids)s)

-- name: live_stages
-- Which of these stages belong to a command that is still running (keep), or that ended with something to clear (finish first).
SELECT DISTINCT s.stage::text FROM unnest(%(stages)s::uuid[]) AS s(stage)
 WHERE EXISTS (SELECT FROM filestore.commands c WHERE c.id = s.stage AND c.status = 'running')
    OR EXISTS (SELECT FROM filestore.commands c WHERE c.status = 'running' AND c.mount_id = %(mount)s AND c.intent->>'stage' = s.stage::text)
    OR EXISTS (SELECT FROM filestore.cleanups k WHERE k.stage_id = s.stage)
    OR EXISTS (SELECT FROM filestore.stages t WHERE t.id = s.stage AND t.expires_at > now())

-- name: keep_metadata
-- Metadata never travels through Temporal: it waits here until `begin` takes it into the command's row.
INSERT INTO filestore.stages (id, tenant, principal, mount_id, path, request, expires_at)
SELECT x.id, x.tenant, x.principal, %(mount)s, decode(x.path, 'hex'), jsonb_build_object('metadata', x.metadata), now() + interval '1 day'
  FROM jsonb_to_recordset(%(items)s::jsonb) AS x(id uuid, tenant text, principal text, path text, metadata jsonb)
ON CONFLICT (id) DO NOTHING

-- name: forget_stages
-- What waited for a `begin` that never came.
DELETE FROM filestore.stages WHERE mount_id = %(mount)s AND upload_state IS NULL AND expires_at < now()
