-- A list of commands is executed and recorded: statements of one transaction that travel together, each over the whole list.
-- They read an intent as filestore.command_intent. Logic that several of them share stands in functions of the schema.
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
       intent = c.intent || jsonb_strip_nulls(jsonb_build_object('identity', i.identity, 'message', i.message, 'drift', i.drift,
           'replaced_identity', i.replaced, 'leaves', i.leaves, 'holds', i.holds))
  FROM jsonb_to_recordset(%(items)s::jsonb) AS i(id uuid, attempt integer, status filestore.command_status, identity jsonb,
       code text, message text, retryable boolean, drift text, replaced jsonb, leaves boolean, holds boolean)
 WHERE c.id = ANY (ARRAY[i.id]) AND c.status = 'running' AND c.attempt = i.attempt
RETURNING c.id::text, c.status::text, c.intent->>'step' AS step, coalesce(c.request->>'path', '') AS shown,
          coalesce((c.intent->>'tree')::boolean, false) AS tree, c.intent ?| ARRAY['replaced', 'departs'] AS ousts,
          c.intent ? 'source' AS copies, c.intent ? 'items' AS items, c.operation_id IS NOT NULL AS of_operation,
          c.intent ? 'heal' AS heals,
          EXISTS (SELECT FROM filestore.nodes n
                   WHERE n.first_by IS NOT NULL
                     AND n.id = ANY (ARRAY[c.intent->>'node', c.intent->'replaced'->>'node',
                                           c.intent->'departs'->>'node']::bigint[]) OFFSET 0) AS first

-- name: keep_first
-- First versions that no row tells of yet, and that end now. Their nodes change next, and have `first_by` no more.
INSERT INTO filestore.versions
SELECT f.*
  FROM (SELECT DISTINCT x.node::bigint AS node
          FROM filestore.commands c
         CROSS JOIN LATERAL unnest(ARRAY[c.intent->>'node', c.intent->'replaced'->>'node',
                                         c.intent->'departs'->>'node']) AS x(node)
         WHERE c.id = ANY(%(ids)s::uuid[]) AND c.status = 'succeeded' AND c.intent->>'step' <> 'none') e
 CROSS JOIN LATERAL (SELECT k.* FROM filestore.first_versions k WHERE k.node_id = e.node OFFSET 0 FOR NO KEY UPDATE) f

-- name: close_snapshots
-- The versions that end now. Content that leaves its place: where it is kept, until when, and which file it is, for all versions
-- that have it.
-- Content that comes back is with its node again.
WITH ending AS (
    SELECT (c.intent->>'node')::bigint AS node,
           CASE WHEN c.intent->>'step' IN ('replace', 'delete') THEN convert_to(c.intent->>'trash', 'UTF8') END AS place,
           c.intent->'expected' AS identity,
           CASE c.intent->>'step' WHEN 'restore' THEN decode(c.intent->>'place', 'hex') END AS back
      FROM filestore.commands c
     WHERE c.id = ANY(%(ids)s::uuid[]) AND c.status = 'succeeded'
       AND c.intent->>'step' IN ('replace', 'delete', 'move', 'restore', 'describe', 'revive')
     UNION ALL
    SELECT (o.leaves->>'node')::bigint, convert_to(o.leaves->>'trash', 'UTF8'), o.leaves->'expected', NULL
      FROM filestore.commands c CROSS JOIN LATERAL filestore.leaving_v1(c.intent) o
     WHERE c.id = ANY(%(ids)s::uuid[]) AND c.status = 'succeeded'
)
UPDATE filestore.versions s
   SET valid_to = coalesce(s.valid_to, greatest(now(), s.valid_from)),  -- a clock can be set back
       content_place = CASE WHEN s.content_place = e.back THEN NULL ELSE coalesce(s.content_place, e.place) END,
       content_until = CASE WHEN s.content_place = e.back THEN NULL ELSE coalesce(s.content_until,
           CASE WHEN e.place IS NOT NULL THEN now() + make_interval(days => %(retention_days)s) END) END,
       content_identity = CASE WHEN s.content_place = e.back THEN NULL WHEN s.content_place IS NOT NULL THEN s.content_identity
           WHEN e.place IS NOT NULL THEN f::filestore.file_identity END
  FROM ending e CROSS JOIN LATERAL filestore.identity_v1(e.identity) f
 WHERE s.node_id = ANY (ARRAY[e.node])
   AND (s.valid_to IS NULL
        OR s.state <> 'deleted' AND (e.place IS NOT NULL AND s.content_place IS NULL AND s.content_until IS NULL
                                     OR s.content_place = e.back))

-- name: oust
-- The files whose names moves have taken, and those that moved to another mount, where they are other nodes.
WITH ousted AS (
    UPDATE filestore.nodes n
       SET state = 'deleted', version = n.version + 1, first_by = NULL, deleted_at = now(), updated_at = now(),
           last_modified_at = now()
      FROM filestore.commands c CROSS JOIN LATERAL filestore.leaving_v1(c.intent) g
     WHERE c.id = ANY(%(ids)s::uuid[]) AND c.status = 'succeeded'
       AND n.id = ANY (ARRAY[(g.leaves->>'node')::bigint]) AND n.version = (g.leaves->>'previous_version')::bigint
    RETURNING n.*, c.id AS command
)
INSERT INTO filestore.versions (node_id, version, command_id, parent_id, name, kind, state, size_bytes, sha256, metadata,
    valid_from)
SELECT o.id, o.version, o.command, o.parent_id, o.name, o.kind, o.state, o.size_bytes, o.sha256, o.metadata,
       coalesce((SELECT max(p.valid_to) FROM filestore.snapshots p WHERE p.node_id = o.id), now())
  FROM ousted o

-- name: journal
-- An entry for each command. It is written first, because it has the totals as they were.
-- `unmade`: a heal would have made what it saw a version of its own first, and has failed, so that there is no such version. A
-- stray has no node then.
INSERT INTO filestore.journal_entries (tenant, command_id, attempt, kind, mount_id, node_id, path, principal, token_id, key,
    executor, outcome, code, retryable, context, payload, before, after, also, trash, workflow_id, operation_id, atomic_id, item,
    reverses, request_id, trace_id, correlation_id, started_at)
SELECT c.tenant, c.id, c.attempt, c.kind, c.mount_id,
       CASE WHEN c.status = 'succeeded' OR i.before IS NOT NULL AND NOT (u.unmade AND i.step = 'delete') THEN i.node END,
       c.path, c.principal, c.token_id, c.key,
       m.backend_kind, c.status, c.code, c.retryable,
       CASE WHEN i.message IS NOT NULL OR i.drift IS NOT NULL
            THEN jsonb_strip_nulls(jsonb_build_object('message', i.message, 'drift', i.drift)) END,
       c.request, CASE WHEN NOT u.unmade THEN i.before END,
       CASE WHEN d.is THEN jsonb_build_object('id', i.node, 'parent', i.parent,
            'name', encode(l.name, 'hex'),
            'kind', i.kind, 'state', CASE i.step WHEN 'delete' THEN 'deleted' ELSE 'active' END,
            'version', i.version, 'size', coalesce(i.size, 0), 'sha256', i.sha256) END,
       CASE WHEN d.is AND (i.tree OR i.replaced IS NOT NULL OR i.departs IS NOT NULL) THEN jsonb_strip_nulls(jsonb_build_object(
            'replaced', i.replaced->'before',
            'departed', i.departs->'before' || jsonb_build_object('mount', i.departs->'mount'),
            'tree', CASE WHEN i.tree THEN (
                SELECT jsonb_build_object('size', w.bytes, 'files', w.files, 'directories', w.directories)
                  FROM filestore.weight_v1(i) w) END)) END,
       CASE WHEN d.is AND (i.step IN ('replace', 'delete') OR i.replaced IS NOT NULL) THEN i.trash END,
       c.owner_workflow, c.operation_id, c.atomic_id, c.item, c.reverses, c.request_id, c.trace_id, c.correlation_id,
       c.started_at
  FROM filestore.commands c
 CROSS JOIN LATERAL jsonb_populate_record(NULL::filestore.command_intent, c.intent) i
 CROSS JOIN LATERAL (SELECT c.status = 'succeeded' AND i.step <> 'none' AS is) d
 CROSS JOIN LATERAL (SELECT k.backend_kind FROM filestore.backend_mounts k WHERE k.id = c.mount_id OFFSET 0) m
  LEFT JOIN LATERAL filestore.place_v1(i, c.path) l ON d.is
 CROSS JOIN LATERAL (SELECT c.status <> 'succeeded' AND jsonb_typeof(c.intent->'heal'->'facts') IS NOT DISTINCT FROM 'array'
                     AS unmade) u
 WHERE c.id = ANY(%(ids)s::uuid[])

-- name: roll
-- Change the totals of the directories above. It runs before the nodes change, because it reads what they were.
WITH RECURSIVE done AS (
    SELECT c.id, i.step, i.node, i.previous_version, i.parent, i.old_parent, i.size - i.previous_size AS growth,
           i.replaced, i.departs, w.bytes, w.files, w.directories
      FROM filestore.commands c
     CROSS JOIN LATERAL jsonb_populate_record(NULL::filestore.command_intent, c.intent) i
     CROSS JOIN LATERAL filestore.weight_v1(i) w
     WHERE c.id = ANY(%(ids)s::uuid[]) AND c.status = 'succeeded' AND c.intent->>'step' NOT IN ('none', 'describe')
), shifts AS (
    SELECT x.* FROM done d CROSS JOIN LATERAL (VALUES
        (CASE WHEN d.step IN ('create', 'move', 'restore') THEN d.parent END, NULL::uuid, d.bytes, d.files, d.directories, 1),
        (CASE d.step WHEN 'move' THEN d.old_parent WHEN 'delete' THEN d.parent END,
            NULL, -d.bytes, -d.files, -d.directories, -1),
        (CASE d.step WHEN 'replace' THEN d.parent END, NULL, d.growth, 0, 0, 0),
        ((d.replaced->>'parent')::bigint, NULL, -(d.replaced->>'size')::bigint, -1, 0, -1),
        ((d.departs->>'parent')::bigint, NULL, -d.bytes, -d.files, -d.directories, -1)
    ) AS x(directory, deleter, bytes, files, directories, children) WHERE x.directory IS NOT NULL
     UNION ALL
    -- A node that comes back without the deleted directory it went with: take it out of that directory's totals.
    SELECT n.parent_id, s.command_id, -d.bytes, -d.files, -d.directories, -1 FROM done d
     CROSS JOIN LATERAL (SELECT k.parent_id FROM filestore.nodes k WHERE k.id = d.node OFFSET 0) n
     CROSS JOIN LATERAL (SELECT k.command_id FROM filestore.snapshots k
                          WHERE k.node_id = d.node AND k.version = d.previous_version OFFSET 0) s
     WHERE d.step = 'restore' AND s.command_id = (SELECT q.command_id FROM filestore.deleter_v1(n.parent_id) q)
), sums AS (
    SELECT directory, deleter, sum(bytes) AS bytes, sum(files) AS files, sum(directories) AS directories,
           sum(children) AS children FROM shifts GROUP BY directory, deleter
), upward AS (
    SELECT * FROM sums
     UNION ALL
    SELECT n.parent_id, u.deleter, u.bytes, u.files, u.directories, 0 FROM upward u
     CROSS JOIN LATERAL (SELECT p.parent_id FROM filestore.nodes p WHERE p.id = u.directory OFFSET 0) n
     WHERE n.parent_id IS NOT NULL
       AND (u.deleter IS NULL OR u.deleter = (SELECT q.command_id FROM filestore.deleter_v1(n.parent_id) q))
)
INSERT INTO filestore.rollup_deltas (directory_id, size_bytes, file_count, directory_count, child_count)
SELECT directory, sum(bytes), sum(files), sum(directories), sum(children) FROM upward GROUP BY directory
HAVING (sum(bytes), sum(files), sum(directories), sum(children)) IS DISTINCT FROM (0::numeric, 0::numeric, 0::numeric, 0::numeric)

-- name: create_nodes
-- Add the nodes that have appeared, and their first versions. A copy has the metadata of its source.
WITH created AS (
    INSERT INTO filestore.nodes (id, tenant, mount_id, parent_id, name, name_text, directory_path, directory_text, depth, kind,
        state, version, size_bytes, sha256, checksum, mime_type, original_name, metadata, device, inode, birth_ns, observed_size,
        observed_mtime_ns, observed_ctime_ns, observed_mode, observed_links, s3_etag, s3_version_id, observed_at, observed_by,
        last_modified_at, last_drift_at, charged_to)
    SELECT i.node, c.tenant, c.mount_id, i.parent, l.name, c.request->>'name_text',
           CASE WHEN i.kind = 'directory' THEN l.path || '\x2f'::bytea END,
           CASE WHEN i.kind = 'directory' THEN l.directory_text || (c.request->>'name_text') || '/' END,
           l.depth, i.kind, 'active', i.version, CASE WHEN i.kind = 'file' THEN i.size ELSE 0 END, decode(i.sha256, 'hex'),
           coalesce(o.checksum, c.request->>'checksum'), coalesce(o.mime_type, c.request->>'mime_type'),
           coalesce(o.original_name, c.request->>'original_name'), coalesce(o.metadata, c.request->'metadata', '{}'),
           s.device, s.inode, s.birth_ns, s.size, s.mtime_ns, s.ctime_ns, s.mode, s.links, s.etag, s.version,
           now(), c.id, now(), CASE WHEN i.drift IS NOT NULL THEN now() END, c.principal
      FROM filestore.commands c
     CROSS JOIN LATERAL jsonb_populate_record(NULL::filestore.command_intent, c.intent) i
     CROSS JOIN LATERAL filestore.place_v1(i, c.path) l
     CROSS JOIN LATERAL filestore.identity_v1(i.identity) s
      LEFT JOIN LATERAL filestore.origin_v1(i.source) o ON true
     WHERE c.id = ANY(%(ids)s::uuid[]) AND c.status = 'succeeded' AND c.intent->>'step' = 'create'
    RETURNING *
)
INSERT INTO filestore.versions (node_id, version, command_id, parent_id, name, kind, state, size_bytes, sha256, metadata,
    valid_from)
SELECT id, version, observed_by, parent_id, name, kind, state, size_bytes, sha256, metadata, now() FROM created

-- name: change_nodes
-- What was there and has changed: where it lies, what it holds, how it is described, whether it lives; and its new version.
-- A node is written only at the version that the intent knows; the caller compares the numbers.
WITH changed AS (
    UPDATE filestore.nodes n SET
        version = i.version, first_by = NULL, updated_at = now(), last_modified_at = now(),
        observed_at = CASE i.step WHEN 'describe' THEN n.observed_at ELSE now() END,
        observed_by = CASE i.step WHEN 'describe' THEN n.observed_by ELSE c.id END,
        state = CASE i.step WHEN 'delete' THEN 'deleted' WHEN 'restore' THEN 'active' WHEN 'revive' THEN 'active' ELSE n.state END,
        missed_in = CASE i.step WHEN 'revive' THEN NULL ELSE n.missed_in END,
        deleted_at = CASE i.step WHEN 'delete' THEN now() END,
        last_drift_at = CASE WHEN i.drift IS NOT NULL THEN now() ELSE n.last_drift_at END,
        parent_id = coalesce(l.parent, n.parent_id), name = coalesce(l.name, n.name),
        name_text = CASE WHEN i.step IN ('move', 'restore') THEN c.request->>'name_text' ELSE n.name_text END,
        depth = coalesce(l.depth, n.depth),
        directory_path = CASE WHEN n.kind = 'directory' THEN coalesce(l.path || '\x2f'::bytea, n.directory_path) END,
        directory_text = CASE WHEN n.kind = 'directory'
                              THEN coalesce(l.directory_text || (c.request->>'name_text') || '/', n.directory_text) END,
        size_bytes = CASE i.step WHEN 'replace' THEN i.size ELSE n.size_bytes END,
        sha256 = CASE i.step WHEN 'replace' THEN decode(i.sha256, 'hex') ELSE n.sha256 END,
        charged_to = CASE i.step WHEN 'replace' THEN c.principal ELSE n.charged_to END,
        checksum = CASE i.step WHEN 'replace' THEN coalesce(o.checksum, c.request->>'checksum') ELSE n.checksum END,
        mime_type = CASE WHEN i.step = 'replace' AND c.kind <> 'restoreNode'
                         THEN coalesce(o.mime_type, c.request->>'mime_type') ELSE n.mime_type END,
        original_name = CASE WHEN i.step = 'replace' AND c.kind <> 'restoreNode'
                             THEN coalesce(o.original_name, c.request->>'original_name') ELSE n.original_name END,
        metadata = CASE i.step WHEN 'replace' THEN coalesce(o.metadata, c.request->'metadata', n.metadata)
            WHEN 'describe' THEN filestore.described_v1(n.metadata, c.request->'metadata')
            ELSE n.metadata END,
        device = coalesce(s.device, n.device), inode = coalesce(s.inode, n.inode), birth_ns = coalesce(s.birth_ns, n.birth_ns),
        observed_size = coalesce(s.size, n.observed_size), observed_mtime_ns = coalesce(s.mtime_ns, n.observed_mtime_ns),
        observed_ctime_ns = coalesce(s.ctime_ns, n.observed_ctime_ns), observed_mode = coalesce(s.mode, n.observed_mode),
        observed_links = coalesce(s.links, n.observed_links), s3_etag = coalesce(s.etag, n.s3_etag),
        s3_version_id = coalesce(s.version, n.s3_version_id)
      FROM filestore.commands c
     CROSS JOIN LATERAL jsonb_populate_record(NULL::filestore.command_intent, c.intent) i
     CROSS JOIN LATERAL filestore.identity_v1(i.identity) s
      LEFT JOIN LATERAL filestore.place_v1(i, c.path) l ON i.step IN ('move', 'restore')
      LEFT JOIN LATERAL filestore.origin_v1(i.source) o ON true
     WHERE c.id = ANY(%(ids)s::uuid[]) AND c.status = 'succeeded' AND c.intent->>'step' NOT IN ('none', 'create')
       AND n.id = ANY (ARRAY[i.node]) AND n.version = i.previous_version
    RETURNING n.*, c.id AS command, i.step
)
INSERT INTO filestore.versions (node_id, version, command_id, parent_id, name, kind, state, size_bytes, sha256, metadata,
    valid_from)
SELECT n.id, n.version, n.command, n.parent_id, n.name, n.kind,
       CASE n.step WHEN 'delete' THEN 'deleted' ELSE 'active' END::filestore.node_state, n.size_bytes, n.sha256, n.metadata,
       coalesce((SELECT max(p.valid_to) FROM filestore.snapshots p WHERE p.node_id = n.id), now())
  FROM changed n

-- name: doubt
-- Nodes of commands whose effect could be neither recorded nor taken back.
UPDATE filestore.nodes n SET state = 'inconsistent', updated_at = now(), last_drift_at = now()
  FROM filestore.commands c
 WHERE c.id = ANY(%(ids)s::uuid[]) AND c.status = 'inconsistent'
   AND n.id = ANY (ARRAY[(c.intent->>'node')::bigint]) AND n.state = 'active'

-- name: put_back
-- Taking an effect back moved the ctime of what it put back: the nodes learn the new one, or it would be drift.
UPDATE filestore.nodes n SET observed_ctime_ns = s.ctime_ns, observed_by = c.id
  FROM filestore.commands c
 CROSS JOIN LATERAL (VALUES (c.intent->>'node', c.intent->'identity'),
                            (c.intent->'replaced'->>'node', c.intent->'replaced_identity')) AS b(node, identity)
 CROSS JOIN LATERAL filestore.identity_v1(b.identity) s
 WHERE c.id = ANY(%(ids)s::uuid[]) AND c.status = 'failed' AND jsonb_typeof(c.intent->'before') = 'object'
   AND jsonb_typeof(b.identity) = 'array' AND n.id = ANY (ARRAY[b.node::bigint])

-- name: let_go
-- What is left to clear, and the claims that go. Of what succeeded the executor has said whether it left anything; of what
-- failed its stage may be left. An executor of an earlier release did not say: then whatever it may have left is looked for.
-- `finish` finds nothing where there is nothing, and the claim on the old name of a move is freed with that.
-- The claim on what still has to go stays until it has gone, in `finish`: no command may take its name before.
WITH ended AS (
    SELECT c.id, c.mount_id, c.path, c.status = 'succeeded' AS succeeded, i.stage, i.step, c.intent ? 'items' AS items,
           (i.departs->>'mount')::bigint AS departs_from,
           coalesce(i.leaves, i.step IN ('create', 'replace', 'move', 'restore')) AS leaves,
           coalesce(i.holds, i.step = 'move') AS holds
      FROM filestore.commands c
     CROSS JOIN LATERAL jsonb_to_record(c.intent) AS i(step text, stage uuid, departs jsonb, leaves boolean, holds boolean)
     WHERE c.id = ANY(%(ids)s::uuid[])
), left_over AS (
    INSERT INTO filestore.cleanups (mount_id, command_id, stage_id)
    SELECT e.mount_id, e.id, e.stage FROM ended e
     WHERE e.stage IS NOT NULL AND e.step <> 'none' AND NOT e.succeeded OR e.leaves AND e.succeeded OR e.items
     UNION ALL
    SELECT e.departs_from, e.id, NULL FROM ended e WHERE e.succeeded AND e.step <> 'none' AND e.departs_from IS NOT NULL
)
DELETE FROM filestore.claims k USING ended e
 WHERE k.command_id = ANY (ARRAY[e.id]) AND NOT (e.items AND k.mount_id = e.mount_id)
   AND (NOT e.succeeded
        OR (e.departs_from IS NULL OR k.mount_id <> e.departs_from)
           AND NOT (e.holds AND e.leaves AND k.mount_id = e.mount_id AND k.path = e.path))
