-- The undo of an import: what it recorded leaves the record, and nothing on the storage is touched.

-- name: page_before
-- The next page of an import, the newest first: its command made the first versions of its nodes.
SELECT j.id, j.command_id::text AS command, j.started_at AS at FROM filestore.journal_entries j
 WHERE j.operation_id = %(import)s AND j.kind = 'import' AND j.id < %(below)s AND j.also ? 'made' ORDER BY j.id DESC LIMIT 1

-- name: made
-- What a page made, as it stands now: what a directory holds before the directory.
SELECT n.id, n.kind::text, n.version, n.size_bytes AS size, n.parent_id AS parent, n.state = 'deleted' AS gone,
       p.directory_path || n.name AS path
  FROM filestore.snapshots s
 CROSS JOIN LATERAL (SELECT k.* FROM filestore.nodes k WHERE k.id = s.node_id OFFSET 0) n
 CROSS JOIN LATERAL (SELECT k.directory_path FROM filestore.nodes k WHERE k.id = n.parent_id OFFSET 0) p
 WHERE s.valid_from = %(at)s AND s.version = 1 AND s.command_id = %(command)s
 ORDER BY n.depth DESC, n.id DESC

-- name: moved
-- Which of these directories have moved since a journal entry, by themselves or with one above them.
WITH RECURSIVE up AS (
    SELECT u.id AS directory, u.id FROM unnest(%(directories)s::bigint[]) AS u(id)
     UNION ALL
    SELECT u.directory, n.parent_id
      FROM up u CROSS JOIN LATERAL (SELECT k.parent_id FROM filestore.nodes k WHERE k.id = u.id OFFSET 0) n
     WHERE n.parent_id IS NOT NULL
)
SELECT DISTINCT u.directory FROM up u
 WHERE EXISTS (SELECT FROM filestore.journal_entries j
                WHERE j.node_id = u.id AND j.id > %(entry)s AND j.kind = 'moveNode' AND j.outcome = 'succeeded' OFFSET 0)

-- name: holding
-- Which of these directories hold something that is not of the import, or has changed since.
SELECT d.id AS directory FROM unnest(%(directories)s::bigint[]) AS d(id)
 WHERE EXISTS (SELECT FROM filestore.nodes n
                WHERE n.parent_id = d.id AND n.state <> 'deleted'
                  AND (n.version > 1 OR NOT EXISTS (
                      SELECT FROM filestore.snapshots s CROSS JOIN LATERAL (
                          SELECT j.id FROM filestore.journal_entries j
                           WHERE j.command_id = s.command_id AND j.operation_id = %(import)s AND j.kind = 'import' OFFSET 0) e
                       WHERE s.node_id = n.id AND s.version = 1 OFFSET 0)) OFFSET 0)

-- name: claims
-- Where commands are at work on a mount.
SELECT k.path, k.kind = 'subtree' AS tree FROM filestore.claims k WHERE k.mount_id = %(mount)s AND NOT k.shared

-- name: portion
-- The items that are in flight, from the deepest on.
SELECT i.item, i.path, i.node_id AS node, i.node_kind::text AS kind, i.version FROM filestore.operation_items i
 WHERE i.operation_id = %(id)s AND i.item = ANY(%(items)s::integer[]) AND i.state = 'running' ORDER BY i.item

-- name: forget
-- These nodes leave the record where they are still as the plan saw them; a directory only when it is empty.
WITH first AS MATERIALIZED (
    SELECT f.* FROM unnest(%(ids)s::bigint[]) AS x(id)
     CROSS JOIN LATERAL (SELECT k.* FROM filestore.first_versions k WHERE k.node_id = x.id OFFSET 0) f
), gone AS (
    UPDATE filestore.nodes n SET state = 'deleted', version = n.version + 1, first_by = NULL, deleted_at = now(), updated_at = now()
      FROM unnest(%(ids)s::bigint[], %(versions)s::bigint[]) AS x(id, version)
     WHERE n.id = ANY (ARRAY[x.id]) AND n.version = x.version AND n.state <> 'deleted'
       AND (n.kind <> 'directory' OR NOT EXISTS (
           SELECT FROM filestore.nodes c WHERE c.parent_id = n.id AND c.state <> 'deleted' OFFSET 0))
    RETURNING n.*
), kept AS (
    -- First versions that no row told of yet.
    INSERT INTO filestore.versions
    SELECT f.node_id, f.version, f.command_id, f.parent_id, f.name, f.kind, f.state, f.size_bytes, f.sha256, f.metadata,
           f.valid_from, greatest(now(), f.valid_from)
      FROM first f WHERE f.node_id IN (SELECT id FROM gone)
    RETURNING node_id, valid_to
), open AS (
    UPDATE filestore.versions s SET valid_to = greatest(now(), s.valid_from)
      FROM gone g WHERE s.node_id = ANY (ARRAY[g.id]) AND s.valid_to IS NULL
    RETURNING s.node_id, s.valid_to
), ended AS (
    SELECT node_id, valid_to FROM kept UNION ALL SELECT node_id, valid_to FROM open
), versions AS (
    INSERT INTO filestore.versions (node_id, version, command_id, parent_id, name, kind, state, size_bytes, sha256, metadata,
        valid_from)
    SELECT g.id, g.version, %(page)s::uuid, g.parent_id, g.name, g.kind, g.state, g.size_bytes, g.sha256, g.metadata,
           coalesce(e.valid_to, now())
      FROM gone g LEFT JOIN ended e ON e.node_id = g.id
)
SELECT g.id, g.parent_id AS parent, g.kind::text, CASE g.kind WHEN 'file' THEN g.size_bytes ELSE 0 END AS size FROM gone g

-- name: waiting
-- The first item that is still to go.
SELECT i.item FROM filestore.operation_items i
 WHERE i.operation_id = %(id)s AND i.state = 'pending' ORDER BY i.item LIMIT 1

-- name: standing
-- Of nodes that stay: whether they are as the plan saw them, so that only what they hold keeps them.
SELECT n.id, n.version = x.version AND n.state <> 'deleted' AS same
  FROM unnest(%(ids)s::bigint[], %(versions)s::bigint[]) AS x(id, version)
 CROSS JOIN LATERAL (SELECT k.id, k.version, k.state FROM filestore.nodes k WHERE k.id = x.id OFFSET 0) n

-- name: journal
-- One entry for what left the record in one transaction: the versions that name its command. Then an event for each node.
WITH entry AS (
    INSERT INTO filestore.journal_entries (tenant, command_id, attempt, kind, mount_id, path, principal, token_id, key, executor,
        outcome, payload, also, workflow_id, operation_id, correlation_id, started_at)
    SELECT o.tenant, %(page)s::uuid, 1, 'forget', o.mount_id, o.path, o.principal, o.token_id, %(page)s::uuid::text, m.backend_kind,
           'succeeded', %(payload)s::jsonb, %(also)s::jsonb,
           'operation/' || o.id || '/' || o.turn, o.id, o.correlation_id, now()
      FROM filestore.operations o
     CROSS JOIN LATERAL (SELECT k.backend_kind FROM filestore.backend_mounts k WHERE k.id = o.mount_id OFFSET 0) m
     WHERE o.id = %(id)s
    RETURNING *
)
INSERT INTO filestore.outbox (tenant, mount_id, type, data)
SELECT e.tenant, e.mount_id, 'filestore.command.completed', jsonb_build_object('commandId', e.command_id, 'command', e.kind,
       'status', 'succeeded', 'code', NULL, 'journalId', e.id, 'backendMountId', e.mount_id, 'nodeId', NULL,
       'path', e.payload->'path', 'idempotencyKey', e.key, 'principal', e.principal, 'operationId', e.operation_id,
       'result', %(also)s::jsonb, 'observedAt', now())
       || jsonb_strip_nulls(jsonb_build_object('correlationId', e.correlation_id))
  FROM entry e

-- name: tell
-- An event for each node that has left without the directory in which it was; with `tree` where more has left along with it.
INSERT INTO filestore.outbox (tenant, mount_id, type, data)
SELECT o.tenant, o.mount_id, 'filestore.node.deleted', jsonb_build_object('backendMountId', o.mount_id, 'nodeId', n.id,
       'path', n.path_text, 'kind', n.kind, 'state', n.state,
       'parentId', n.parent_id, 'version', n.version, 'sizeBytes', n.size_bytes,
       'checksum', coalesce(filestore.hex_of(n.checksum), encode(n.sha256, 'hex')), 'contentHash', encode(n.sha256, 'hex'),
       'metadata', n.metadata, 'journalId', NULL, 'command', 'forget', 'commandId', %(page)s::uuid,
       'idempotencyKey', %(page)s::uuid::text, 'principal', o.principal, 'operationId', o.id, 'observedAt', now(),
       'tree', CASE WHEN t.files + t.directories > 0
           THEN jsonb_build_object('size', t.size, 'files', t.files, 'directories', t.directories) END,
       'delta', jsonb_build_object('sizeBytes', CASE n.kind WHEN 'file' THEN -n.size_bytes ELSE -t.size END))
       || jsonb_strip_nulls(jsonb_build_object('pathB64', filestore.path_b64_v1(n.path, n.path_text)))
  FROM filestore.operations o
 CROSS JOIN unnest(%(nodes)s::bigint[], %(sizes)s::bigint[], %(files)s::bigint[], %(directories)s::bigint[])
       WITH ORDINALITY AS t(id, size, files, directories, place)
 CROSS JOIN LATERAL (SELECT k.* FROM filestore.node_documents k WHERE k.id = t.id OFFSET 0) n
 WHERE o.id = %(id)s
 ORDER BY t.place

-- name: put_off
-- Commands are at these places: they come later, or are given up after so many times.
WITH off AS (
    UPDATE filestore.operation_items i
       SET state = CASE WHEN i.deferred >= %(most)s THEN 'failed' ELSE 'pending' END::filestore.item_state,
           code = CASE WHEN i.deferred >= %(most)s THEN 'PATH_BUSY' END,
           message = CASE WHEN i.deferred >= %(most)s THEN %(message)s END, deferred = i.deferred + 1,
           retry_at = now() + least(10, 0.25 * 2 ^ least(i.deferred, 8)) * interval '1 second'
     WHERE i.operation_id = %(id)s AND i.item = ANY(%(items)s::integer[]) AND i.state = 'running'
    RETURNING i.state
)
UPDATE filestore.operations o SET in_flight = o.in_flight - n.off, failed = o.failed + n.failed, touched_at = now()
  FROM (SELECT count(*) AS off, count(*) FILTER (WHERE state = 'failed') AS failed FROM off) n
 WHERE o.id = %(id)s
