-- The answers and the events of a list. They come after its record (record.sql), whose rows both statements read.

-- name: answer
-- The answer of each command, stored verbatim. Where nothing is left to clear, no later step needs its intent.
-- `seen` is materialised: a document is rendered once, not once for each field that is taken from it.
WITH seen AS MATERIALIZED (
    SELECT c.id, c.kind AS command, c.status, c.code, c.mount_id, c.started_at, c.request, c.intent, j.id AS journal_id,
           EXISTS (SELECT FROM filestore.cleanups k WHERE k.command_id = c.id OFFSET 0) AS leftovers,
           n.id AS node_id, n.kind, n.state, n.version, n.size_bytes, n.path_text, n.document,
           coalesce(filestore.hex_of(n.checksum), encode(n.sha256, 'hex')) AS checksum, encode(n.sha256, 'hex') AS content_hash,
           filestore.came_from_v2(c.kind, c.request, c.mount_id)
               || jsonb_strip_nulls(jsonb_build_object('pathB64', filestore.path_b64_v1(n.path, n.path_text))) AS places
      FROM filestore.commands c
     CROSS JOIN LATERAL (SELECT k.id, k.node_id FROM filestore.journal_entries k
                          WHERE k.command_id = c.id AND k.attempt = c.attempt OFFSET 0) j
      LEFT JOIN LATERAL (SELECT k.* FROM filestore.node_documents k WHERE k.id = j.node_id OFFSET 0) n ON true
     WHERE c.id = ANY(%(ids)s::uuid[])
), told AS (
    UPDATE filestore.commands c SET intent = CASE WHEN s.leftovers THEN c.intent ELSE filestore.ended_intent_v1(c.intent) END,
        outcome = CASE WHEN s.status = 'succeeded' THEN
        json_build_object('idempotent', s.intent->>'step' = 'none', 'commandId', s.id, 'journalEntryId', s.journal_id,
            'node', s.document, 'result', jsonb_build_object('commandType', s.command, 'nodeId', s.node_id,
                'backendMountId', s.mount_id, 'path', coalesce(s.path_text, s.request->>'path'), 'kind', s.kind,
                'state', s.state, 'sizeBytes', s.size_bytes, 'version', s.version,
                'durationMs', round(extract(epoch FROM clock_timestamp() - s.started_at) * 1000, 1),
                'checksum', s.checksum, 'contentHash', s.content_hash,
                'mimeType', s.request->'mime_type', 'originalName', s.request->'original_name',
                'previousVersion', s.intent->'previous_version', 'previousSizeBytes', (s.intent->>'previous_size')::bigint)
                || s.places)
        ELSE json_build_object('error', json_build_object('code', s.code, 'message', s.intent->'message', 'details',
            coalesce(nullif(s.intent->'details', 'null'), '{}')
                || jsonb_build_object('commandId', s.id, 'path', s.request->>'path'))) END
      FROM seen s WHERE c.id = ANY (ARRAY[s.id])
    RETURNING c.id, c.status, c.code, c.outcome,
              CASE c.status WHEN 'succeeded' THEN (c.intent->'departs'->>'mount')::bigint END AS leaves
)
SELECT id::text, status::text, code, outcome::text AS body, leaves,
       EXISTS (SELECT FROM filestore.cleanups k
                WHERE k.command_id = told.id AND k.mount_id IS DISTINCT FROM told.leaves OFFSET 0) AS leftovers
  FROM told

-- name: tell
-- The events of a list, in the order of its commands: first that a command has ended, with the result of its answer, then the
-- events of nodes that leave with it, then those of its own node.
WITH seen AS MATERIALIZED (
    SELECT c.id, c.tenant, c.mount_id, c.kind AS command, c.status, c.code, c.key, c.principal, c.request->>'path' AS shown,
           c.request->>'path_b64' AS shown_b64, c.outcome->'result' AS result,
           jsonb_strip_nulls(jsonb_build_object('correlationId', c.correlation_id)) AS correlation,
           filestore.came_from_v2(c.kind, c.request, c.mount_id)
               || jsonb_strip_nulls(jsonb_build_object('pathB64', filestore.path_b64_v1(n.path, n.path_text))) AS places,
           c.intent->>'step' AS step, c.intent->'replaced' AS replaced,
           c.intent->'departs' AS departs, (c.intent->>'size')::bigint AS size,
           (c.intent->>'previous_size')::bigint AS previous_size, j.id AS journal_id, j.also->'tree' AS tree, c.started_at,
           n.id AS node_id, n.parent_id, n.kind, n.state, n.version, n.size_bytes, n.metadata, n.path_text,
           coalesce(filestore.hex_of(n.checksum), encode(n.sha256, 'hex')) AS checksum, encode(n.sha256, 'hex') AS content_hash
      FROM filestore.commands c
     CROSS JOIN LATERAL (SELECT k.id, k.node_id, k.also FROM filestore.journal_entries k
                          WHERE k.command_id = c.id AND k.attempt = c.attempt OFFSET 0) j
      LEFT JOIN LATERAL (SELECT k.id, k.parent_id, k.kind, k.state, k.version, k.size_bytes, k.metadata, k.path, k.path_text,
                                k.checksum, k.sha256
                           FROM filestore.node_documents k WHERE k.id = j.node_id OFFSET 0) n ON true
     WHERE c.id = ANY(%(ids)s::uuid[])
), events AS (
    SELECT s.*, t.rank, t.type, t.leaves, coalesce((t.leaves->>'mount')::bigint, s.mount_id) AS at,
           coalesce((s.tree->>'size')::bigint, s.size) AS weight,
           coalesce((s.tree->>'files')::bigint, (coalesce(t.leaves->>'tree', '') <> 'true'
               AND (t.leaves IS NOT NULL OR s.kind <> 'directory'))::integer) AS files
      FROM seen s, LATERAL (VALUES
          (0, 'filestore.command.completed', NULL),
          (1, CASE WHEN s.replaced IS NOT NULL THEN 'filestore.node.deleted' END, s.replaced),
          (1, CASE WHEN s.departs IS NOT NULL THEN 'filestore.node.deleted' END, s.departs),
          (2, CASE s.step WHEN 'create' THEN 'filestore.node.created' WHEN 'delete' THEN 'filestore.node.deleted'
                          WHEN 'none' THEN NULL WHEN 'refused' THEN NULL ELSE 'filestore.node.updated' END, NULL),
          (3, CASE WHEN s.step <> 'none' THEN CASE s.command WHEN 'uploadFile' THEN 'filestore.node.uploaded'
                          WHEN 'moveNode' THEN 'filestore.node.moved' WHEN 'copyNode' THEN 'filestore.node.copied' END END, NULL)
          ) AS t(rank, type, leaves)
     WHERE t.type IS NOT NULL AND (t.rank = 0 OR s.status = 'succeeded')
)
INSERT INTO filestore.outbox (tenant, mount_id, type, data)
SELECT e.tenant, e.at, e.type, e.correlation || CASE e.rank
    WHEN 0 THEN jsonb_build_object('commandId', e.id, 'command', e.command, 'status', e.status, 'code', e.code,
        'journalId', e.journal_id, 'backendMountId', e.mount_id, 'nodeId', e.node_id,
        'path', coalesce(e.result->>'path', e.shown), 'idempotencyKey', e.key, 'principal', e.principal,
        'result', coalesce(e.result, '{}'), 'startedAt', e.started_at, 'observedAt', now())
        || CASE WHEN e.result IS NULL THEN jsonb_strip_nulls(jsonb_build_object('pathB64', e.shown_b64)) ELSE e.places END
    WHEN 1 THEN filestore.left_event_v2(e.leaves, e.tree, e.node_id, e.journal_id, e.command, e.id, e.key, e.principal)
        || jsonb_build_object('delta', jsonb_build_object(
            'fileCount', -CASE WHEN e.leaves->>'tree' = 'true' THEN e.files ELSE 1 END,
            'sizeBytes', -coalesce(CASE e.leaves->>'tree' WHEN 'true' THEN e.tree->'size' ELSE e.leaves->'size' END, '0')::bigint))
    ELSE jsonb_build_object('backendMountId', e.mount_id, 'nodeId', e.node_id, 'path', e.path_text,
        'kind', e.kind, 'state', e.state, 'parentId', e.parent_id, 'version', e.version, 'sizeBytes', e.size_bytes,
        'checksum', e.checksum, 'contentHash', e.content_hash, 'metadata', e.metadata, 'journalId', e.journal_id,
        'command', e.command, 'commandId', e.id, 'idempotencyKey', e.key, 'principal', e.principal, 'observedAt', now(),
        'tree', e.tree,
        'delta', jsonb_build_object('sizeBytes', CASE e.step WHEN 'create' THEN e.weight WHEN 'restore' THEN e.weight
            WHEN 'delete' THEN -e.weight WHEN 'replace' THEN e.size - e.previous_size ELSE 0 END,
            'fileCount', CASE e.step WHEN 'create' THEN e.files WHEN 'restore' THEN e.files WHEN 'delete' THEN -e.files ELSE 0 END))
            || e.places END
  FROM events e ORDER BY e.journal_id, e.rank
