-- A list of commands is executed and recorded. The facts of a whole list travel in one parameter.
-- LATERAL with OFFSET 0, and `= ANY (ARRAY[...])` where a table is written to: see trees.sql.

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
           || CASE WHEN i.replaced IS NULL THEN '{}' ELSE jsonb_build_object('replaced_identity', i.replaced) END
           || CASE WHEN i.leaves IS NULL THEN '{}' ELSE jsonb_build_object('leaves', i.leaves, 'holds', i.holds) END
  FROM jsonb_to_recordset(%(items)s::jsonb) AS i(id uuid, attempt integer, status filestore.command_status, identity jsonb,
       code text, message text, retryable boolean, drift text, replaced jsonb, leaves boolean, holds boolean)
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
           coalesce(decode(i.at, 'hex'), c.path) AS lies_at, coalesce(i.tree, false) AS tree,
           -- An executor of an earlier release did not say what it leaves: then whatever it may have left is looked for. `finish`
           -- finds nothing where there is nothing, and the claim on the old name of a move is freed with that.
           coalesce(i.leaves, i.step IN ('create', 'replace', 'move', 'restore')) AS leaves, coalesce(i.holds, i.step = 'move') AS holds
      FROM filestore.commands c,
           jsonb_to_record(c.intent) AS i(step text, node bigint, parent bigint, old_parent bigint, version bigint,
               previous_version bigint, size bigint, previous_size bigint, sha256 text, stage uuid, trash text, identity jsonb,
               before jsonb, message text, drift text, kind filestore.node_kind, at text, tree boolean, totals jsonb,
               replaced jsonb, departs jsonb, source jsonb, leaves boolean, holds boolean)
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
    -- Of what succeeded the executor has said whether anything is left to clear; of what failed its stage may be left.
    INSERT INTO filestore.cleanups (mount_id, command_id, stage_id)
    SELECT e.mount_id, e.id, e.stage FROM ended e
     WHERE e.stage IS NOT NULL AND e.step <> 'none' AND e.status <> 'succeeded'
        OR e.leaves AND e.status = 'succeeded'
        OR e.intent ? 'items'
     UNION ALL
    SELECT (d.departs->>'mount')::bigint, d.id, NULL FROM done d WHERE d.departs IS NOT NULL
), released AS (
    -- The claim on what still has to go stays until it has gone, in `finish`: nobody may take its name before.
    DELETE FROM filestore.claims k USING ended e
     WHERE k.command_id = ANY (ARRAY[e.id]) AND NOT (e.intent ? 'items' AND k.mount_id = e.mount_id)
       AND (e.status <> 'succeeded'
            OR (e.departs IS NULL OR k.mount_id <> (e.departs->>'mount')::bigint)
               AND NOT (e.holds AND e.leaves AND k.mount_id = e.mount_id AND k.path = e.path))
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
           CASE WHEN c.status <> 'succeeded' OR n.path IS NULL THEN c.request->>'path_b64'
                WHEN convert_to(n.path_text, 'UTF8') <> n.path THEN translate(encode(n.path, 'base64'), E'\n', '') END AS path_b64,
           coalesce(filestore.hex_of(n.checksum), encode(n.sha256, 'hex')) AS checksum, encode(n.sha256, 'hex') AS content_hash,
           n.document,
           CASE WHEN f.origin IS NULL OR c.status <> 'succeeded' THEN '{}' ELSE jsonb_strip_nulls(jsonb_build_object(f.origin, c.request->'path',
               f.origin || 'B64', c.request->'path_b64',
               f.origin || 'BackendMountId', nullif((c.request->>'mount_id')::bigint, c.mount_id))) END AS came_from
      FROM filestore.commands c
     CROSS JOIN LATERAL (SELECT k.id, k.node_id, k.also FROM filestore.journal_entries k
                          WHERE k.command_id = c.id AND k.attempt = c.attempt OFFSET 0) j
     CROSS JOIN LATERAL (SELECT CASE c.kind WHEN 'moveNode' THEN 'movedFrom' WHEN 'copyNode' THEN 'copiedFrom' END AS origin) f
      LEFT JOIN LATERAL (SELECT k.* FROM filestore.node_documents k WHERE k.id = j.node_id OFFSET 0) n ON true
     WHERE c.id = ANY(%(ids)s::uuid[])
), worded AS MATERIALIZED (
    -- The result is made once: the event that tells of a command has the very one that its answer has.
    SELECT s.*, CASE WHEN s.status = 'succeeded' THEN jsonb_build_object(
                'commandType', s.command, 'nodeId', s.node_id, 'backendMountId', s.mount_id, 'path', coalesce(s.path_text, s.shown),
                'kind', s.kind, 'state', s.state, 'sizeBytes', s.size_bytes, 'version', s.version,
                'durationMs', round(extract(epoch FROM clock_timestamp() - s.started_at) * 1000, 1),
                'checksum', s.checksum, 'contentHash', s.content_hash,
                'mimeType', s.request->'mime_type', 'originalName', s.request->'original_name',
                'previousVersion', s.previous_version, 'previousSizeBytes', s.previous_size) || s.exact || s.came_from END AS result
      FROM (SELECT k.*, CASE WHEN k.path_b64 IS NULL THEN '{}'::jsonb ELSE jsonb_build_object('pathB64', k.path_b64) END AS exact FROM seen k) s
), told AS (
    UPDATE filestore.commands c SET outcome =
        CASE WHEN s.status = 'succeeded' THEN json_build_object(
            'idempotent', s.step = 'none', 'commandId', s.id, 'journalEntryId', s.journal_id, 'node', s.document,
            'result', s.result)
        ELSE json_build_object('error', json_build_object('code', s.code, 'message', s.message,
                'details', coalesce(nullif(s.details, 'null'), '{}') || jsonb_build_object('commandId', s.id, 'path', s.shown))) END
      FROM worded s WHERE c.id = ANY (ARRAY[s.id])
    RETURNING c.id, c.status, c.code, c.outcome, CASE c.status WHEN 'succeeded' THEN (c.intent->'departs'->>'mount')::bigint END AS leaves
), events AS (
    SELECT s.journal_id, s.tenant, coalesce((t.leaves->>'mount')::bigint, s.mount_id) AS mount_id, t.rank, t.type,
           CASE t.rank
           WHEN 0 THEN jsonb_build_object('commandId', s.id, 'command', s.command, 'status', s.status, 'code', s.code,
                    'journalId', s.journal_id, 'backendMountId', s.mount_id, 'nodeId', s.node_id,
                    'path', coalesce(s.result->>'path', s.shown), 'idempotencyKey', s.key, 'principal', s.principal,
                    'result', coalesce(s.result, '{}'), 'observedAt', now()) || s.exact || s.came_from
           WHEN 1 THEN jsonb_build_object('backendMountId', t.leaves->'mount', 'nodeId', t.leaves->'node', 'path', t.leaves->'shown',
                    'kind', CASE WHEN (t.leaves->>'tree')::boolean THEN 'directory' ELSE 'file' END,
                    'state', 'deleted', 'parentId', t.leaves->'parent', 'version', t.leaves->'version',
                    'sizeBytes', t.leaves->'size', 'checksum', t.leaves->'sha256', 'contentHash', t.leaves->'sha256', 'metadata',
                    (SELECT g.metadata FROM filestore.nodes g WHERE g.id = (t.leaves->>'node')::bigint), 'replacedBy', s.node_id,
                    'journalId', s.journal_id, 'command', s.command, 'commandId', s.id, 'idempotencyKey', s.key,
                    'principal', s.principal, 'observedAt', now(),
                    'tree', CASE WHEN (t.leaves->>'tree')::boolean THEN s.tree END,
                    'delta', jsonb_build_object('sizeBytes',
                        -CASE WHEN (t.leaves->>'tree')::boolean THEN coalesce((s.tree->>'size')::bigint, 0) ELSE (t.leaves->>'size')::bigint END))
                || CASE jsonb_typeof(t.leaves->'b64') WHEN 'string' THEN jsonb_build_object('pathB64', t.leaves->'b64') ELSE '{}' END
           ELSE jsonb_build_object('backendMountId', s.mount_id, 'nodeId', s.node_id, 'path', s.path_text,
                    'kind', s.kind, 'state', s.state, 'parentId', s.parent_id, 'version', s.version, 'sizeBytes', s.size_bytes,
                    'checksum', s.checksum, 'contentHash', s.content_hash, 'metadata', s.metadata, 'journalId', s.journal_id,
                    'command', s.command, 'commandId', s.id, 'idempotencyKey', s.key, 'principal', s.principal, 'observedAt', now(),
                    'tree', s.tree,
                    'delta', jsonb_build_object('sizeBytes', CASE s.step
                        WHEN 'create' THEN coalesce((s.tree->>'size')::bigint, s.size)
                        WHEN 'restore' THEN coalesce((s.tree->>'size')::bigint, s.size)
                        WHEN 'delete' THEN -coalesce((s.tree->>'size')::bigint, s.size)
                        WHEN 'replace' THEN s.size - s.previous_size ELSE 0 END)) || s.exact || s.came_from END AS data
      FROM worded s,
           LATERAL (VALUES
               (0, 'filestore.command.completed', NULL),
               (1, CASE WHEN s.replaced IS NOT NULL THEN 'filestore.node.deleted' END, s.replaced),
               (1, CASE WHEN s.departs IS NOT NULL THEN 'filestore.node.deleted' END, s.departs),
               (2, CASE s.step WHEN 'create' THEN 'filestore.node.created' WHEN 'delete' THEN 'filestore.node.deleted'
                               WHEN 'none' THEN NULL WHEN 'refused' THEN NULL ELSE 'filestore.node.updated' END, NULL),
               (3, CASE WHEN s.step = 'none' THEN NULL ELSE CASE s.command WHEN 'uploadFile' THEN 'filestore.node.uploaded'
                               WHEN 'moveNode' THEN 'filestore.node.moved' WHEN 'copyNode' THEN 'filestore.node.copied' END END, NULL)
               ) AS t(rank, type, leaves)
     WHERE t.type IS NOT NULL AND (t.rank = 0 OR s.status = 'succeeded')
), emitted AS (
    INSERT INTO filestore.outbox (tenant, mount_id, type, data)
    SELECT tenant, mount_id, type, data FROM events ORDER BY journal_id, rank
)
SELECT id::text, status::text, code, outcome::text AS body,
       EXISTS (SELECT FROM filestore.cleanups k WHERE k.command_id = told.id AND k.mount_id IS DISTINCT FROM told.leaves OFFSET 0) AS leftovers, leaves
  FROM told
