-- What a scan saw becomes nodes, page by page. A page takes no claim: it is written beside the commands of its mount, and before
-- it ends, while no other command can begin, it is looked whether any was at one of its names.

-- name: stamp
-- Before the storage is read: the last journal entry, and what commands are at. One statement: a command whose entry is not seen
-- yet is seen by its claim.
SELECT (SELECT coalesce(max(j.id), 0) FROM filestore.journal_entries j) AS entry,
       (SELECT coalesce(array_agg(k.path), '{}') FROM filestore.claims k WHERE k.mount_id = %(mount)s AND NOT k.shared) AS claimed

-- name: touched
-- What commands are at now, and what those were at that have ended since, also when they failed: their step may have been visible
-- for a moment. `arrived`: a directory that came with whatever lay in it.
SELECT k.path, false AS arrived FROM filestore.claims k WHERE k.mount_id = %(mount)s AND NOT k.shared
 UNION ALL
SELECT p.path, p.arrives AND j.kind IN ('moveNode', 'restoreNode') AND j.outcome = 'succeeded' AND j.after->>'kind' = 'directory'
  FROM filestore.journal_entries j
 CROSS JOIN LATERAL (VALUES (j.path, filestore.target_v1(j.payload) IS NULL), (filestore.source_v1(j.payload), false),
                            (filestore.target_v1(j.payload), true)) AS p(path, arrives)
 WHERE j.id > %(entry)s AND j.kind NOT IN ('import', 'forget') AND j.executor <> 'record' AND p.path IS NOT NULL
   AND (j.mount_id = %(mount)s OR j.also->'departed'->>'mount' = %(mount)s::bigint::text)

-- name: folders
-- The living directories with these paths.
SELECT u.place, n.id, n.depth, n.directory_text AS shown
  FROM unnest(%(paths)s::bytea[]) WITH ORDINALITY AS u(path, place)
 CROSS JOIN LATERAL (SELECT k.id, k.depth, k.directory_text FROM filestore.nodes k
        WHERE k.mount_id = %(mount)s AND k.directory_path = u.path AND k.directory_path IS NOT NULL AND k.state <> 'deleted'
        LIMIT 1) n

-- name: known
-- What the record has under these names.
SELECT u.place, n.*
  FROM unnest(%(parents)s::bigint[], %(names)s::bytea[]) WITH ORDINALITY AS u(parent, name, place)
 CROSS JOIN LATERAL (SELECT k.id, k.kind::text AS kind, k.depth, coalesce(k.directory_text, '') AS shown, k.device, k.inode,
            k.birth_ns, k.s3_etag, k.size_bytes, k.observed_mtime_ns
       FROM filestore.nodes k WHERE k.parent_id = u.parent AND k.name = u.name AND k.state <> 'deleted' LIMIT 1) n

-- name: ids
-- Ids for new nodes, in runs, and the time of this transaction in microseconds since 2000, as Postgres keeps times.
SELECT min(g.id) AS first, max(g.id) AS last, (extract(epoch FROM now()) * 1000000)::bigint - 946684800000000 AS now
  FROM (SELECT n, nextval('filestore.nodes_id_seq') AS id FROM generate_series(1, %(count)s) AS n OFFSET 0) g
 GROUP BY g.id - g.n ORDER BY 1

-- name: not_flushed
-- The end of this transaction need not be on disk before the next one begins: what a power cut takes of an import goes with the
-- place where its scan goes on, and the flush of any other transaction takes both along.
SELECT set_config('synchronous_commit', 'off', true)

-- name: put_nodes
-- The columns in the order in which schema/store/import_rows.py writes them. `first_by` tells the journal what the import made: the
-- first versions need no rows as long as their nodes do not change.
COPY filestore.nodes (id, mount_id, parent_id, depth, size_bytes, device, inode, birth_ns, observed_size, observed_mtime_ns,
    observed_ctime_ns, observed_mode, observed_links, observed_at, last_modified_at, observed_by, kind, tenant, name, name_text,
    s3_etag, directory_path, directory_text, first_by) FROM STDIN (FORMAT binary)

-- name: put_targets
-- Where the links among them lead.
INSERT INTO filestore.link_targets (node_id, target)
SELECT x.node, x.target FROM unnest(%(nodes)s::bigint[], %(targets)s::bytea[]) AS x(node, target)

-- name: roll
-- The totals of the directories in which they appeared, and of all above.
WITH RECURSIVE upward AS (
    SELECT u.directory, u.bytes, u.files, u.directories, u.files + u.directories AS children
      FROM unnest(%(directories)s::bigint[], %(bytes)s::bigint[], %(files)s::bigint[], %(folders)s::bigint[])
           AS u(directory, bytes, files, directories)
     UNION ALL
    SELECT n.parent_id, u.bytes, u.files, u.directories, 0 FROM upward u
     CROSS JOIN LATERAL (SELECT k.parent_id FROM filestore.nodes k WHERE k.id = u.directory OFFSET 0) n
     WHERE n.parent_id IS NOT NULL
)
INSERT INTO filestore.rollup_deltas (directory_id, size_bytes, file_count, directory_count, child_count)
SELECT directory, sum(bytes), sum(files), sum(directories), sum(children) FROM upward GROUP BY directory

-- name: journal
-- One entry for a page. What it made are the first versions that name its command, and `made` says how many they are; `hashed` are
-- the contents that were read.
WITH entry AS (
    INSERT INTO filestore.journal_entries (tenant, command_id, attempt, kind, mount_id, path, principal, token_id, key, executor,
        outcome, payload, also, workflow_id, operation_id, started_at)
    SELECT o.tenant, %(page)s::uuid, 1, 'import', o.mount_id, o.path, o.principal, o.token_id, %(page)s::uuid::text, m.backend_kind,
           'succeeded', %(payload)s::jsonb, %(also)s::jsonb,
           'operation/' || o.id || '/' || o.turn, o.id, now()
      FROM filestore.operations o
     CROSS JOIN LATERAL (SELECT k.backend_kind FROM filestore.backend_mounts k WHERE k.id = o.mount_id OFFSET 0) m
     WHERE o.id = %(id)s
    RETURNING *
)
INSERT INTO filestore.outbox (tenant, mount_id, type, data)
SELECT e.tenant, e.mount_id, 'filestore.command.completed', jsonb_build_object('commandId', e.command_id, 'command', e.kind,
       'status', 'succeeded', 'code', NULL, 'journalId', e.id, 'backendMountId', e.mount_id, 'nodeId', NULL,
       'path', e.payload->'path', 'idempotencyKey', e.key, 'principal', e.principal, 'operationId', e.operation_id,
       'result', %(result)s::jsonb, 'observedAt', now())
  FROM entry e

-- name: tell
-- When an import has ended: an event for each directory on the way to what it recorded, and one with `tree` for the whole.
WITH made AS (
    SELECT coalesce(sum(m.size), 0) AS size, coalesce(sum(m.files), 0) AS files, coalesce(sum(m.directories), 0) AS directories
      FROM filestore.journal_entries j
     CROSS JOIN LATERAL jsonb_to_record(j.also->'made') AS m(size bigint, files bigint, directories bigint)
     WHERE j.operation_id = %(id)s
)
INSERT INTO filestore.outbox (tenant, mount_id, type, data)
SELECT o.tenant, o.mount_id, 'filestore.node.updated', jsonb_build_object('backendMountId', o.mount_id, 'nodeId', n.id,
       'path', n.path_text, 'kind', n.kind, 'state', n.state,
       'parentId', n.parent_id, 'version', n.version, 'sizeBytes', n.size_bytes,
       'checksum', coalesce(filestore.hex_of(n.checksum), encode(n.sha256, 'hex')), 'contentHash', encode(n.sha256, 'hex'),
       'metadata', n.metadata, 'journalId', NULL, 'command', o.kind, 'commandId', o.id, 'idempotencyKey', o.key,
       'principal', o.principal, 'operationId', o.id, 'observedAt', now(), 'tree',
       CASE WHEN t.place = cardinality(%(nodes)s::bigint[]) THEN to_jsonb(m) END,
       'delta', jsonb_build_object('sizeBytes', CASE WHEN t.place = cardinality(%(nodes)s::bigint[]) THEN m.size ELSE 0 END))
       || jsonb_strip_nulls(jsonb_build_object('pathB64', filestore.path_b64_v1(n.path, n.path_text)))
  FROM filestore.operations o CROSS JOIN made m
 CROSS JOIN unnest(%(nodes)s::bigint[]) WITH ORDINALITY AS t(id, place)
 CROSS JOIN LATERAL (SELECT k.* FROM filestore.node_documents k WHERE k.id = t.id OFFSET 0) n
 WHERE o.id = %(id)s
 ORDER BY t.place

-- name: put_items
-- What needs a person or another look. Of a directory that is told again, its names are here already.
INSERT INTO filestore.operation_items (operation_id, item, kind, path, node_kind, state, code, message, size_bytes)
SELECT %(id)s, %(next)s + (row_number() OVER ())::integer, 'import', i.path, i.kind::filestore.node_kind,
       i.state::filestore.item_state, i.code, i.message, i.size
  FROM unnest(%(paths)s::bytea[], %(kinds)s::text[], %(states)s::text[], %(codes)s::text[], %(messages)s::text[],
              %(sizes)s::bigint[]) AS i(path, kind, state, code, message, size)
 WHERE NOT %(again)s OR NOT EXISTS (SELECT FROM filestore.operation_items x
         WHERE x.operation_id = %(id)s AND x.path = i.path AND x.state = i.state::filestore.item_state OFFSET 0)
RETURNING state::text

-- name: next_item
-- The last number that was given.
SELECT coalesce(max(item), -1) AS last FROM filestore.operation_items WHERE operation_id = %(id)s

-- name: advance
-- What a page came to, and where the scan goes on.
UPDATE filestore.operations
   SET plan_cursor = %(cursor)s::jsonb, touched_at = now(), items = items + %(items)s, done = done + %(done)s,
       failed = failed + %(failed)s, skipped = skipped + %(skipped)s, changed = changed + %(skipped)s,
       conflicts = conflicts + %(failed)s + %(skipped)s, nodes = nodes + %(done)s, nodes_done = nodes_done + %(done)s,
       bytes = bytes + %(bytes)s, bytes_done = bytes_done + %(bytes)s,
       paced_until = CASE WHEN %(seconds)s::float > 0
           THEN greatest(now(), coalesce(paced_until, now())) + %(seconds)s::float * interval '1 second' END
 WHERE id = %(id)s

-- name: refused
-- Directories that the record does not take.
SELECT path FROM filestore.operation_items
 WHERE operation_id = %(id)s AND state IN ('failed', 'skipped') AND node_kind = 'directory'

-- name: waiting
-- Names that wait for a command, and how often they were looked at.
SELECT item, path, deferred FROM filestore.operation_items
 WHERE operation_id = %(id)s AND state = 'pending' AND (retry_at IS NULL OR retry_at <= now()) ORDER BY item LIMIT %(limit)s

-- name: seen_again
-- A name that waited is done with: what was found there is counted by itself.
DELETE FROM filestore.operation_items WHERE operation_id = %(id)s AND item = %(item)s AND state = 'pending'

-- name: defer
-- Names that are looked at now: if they still wait, later again; or not any more, after so many times.
WITH deferred AS (
    UPDATE filestore.operation_items
       SET deferred = deferred + 1, retry_at = now() + least(10, 0.25 * 2 ^ least(deferred, 8)) * interval '1 second',
           state = CASE WHEN deferred >= %(most)s THEN 'failed' ELSE state END
     WHERE operation_id = %(id)s AND item = ANY(%(items)s::integer[]) AND state = 'pending'
    RETURNING state
)
UPDATE filestore.operations o SET failed = o.failed + n.failed, items = o.items + n.failed, conflicts = o.conflicts + n.failed
  FROM (SELECT count(*) FILTER (WHERE state = 'failed') AS failed FROM deferred) n WHERE o.id = %(id)s

-- name: begin_anew
-- A retry: the scan begins at its start, and what needed a person is found anew.
UPDATE filestore.operations
   SET plan_cursor = NULL, failed = 0, skipped = 0, changed = 0, conflicts = 0, items = done
 WHERE id = %(id)s

-- name: forget_items
-- With it go the items of the turn before.
DELETE FROM filestore.operation_items WHERE operation_id = %(id)s

-- name: unhashed
-- The next files below a directory, and which of them have no hash: by directory, and by name in it.
SELECT d.directory_path AS directory, n.* FROM (
    SELECT k.id, k.directory_path FROM filestore.nodes k
     WHERE k.mount_id = %(mount)s AND k.directory_path >= %(directory)s AND k.directory_path < %(high)s
       AND k.directory_path IS NOT NULL AND k.state <> 'deleted'
     ORDER BY k.directory_path LIMIT 200) d
 CROSS JOIN LATERAL (
    SELECT x.id, x.name, x.version, x.sha256 IS NULL AND x.state = 'active' AS lacks,
           x.size_bytes, filestore.node_identity(x) AS identity
      FROM filestore.nodes x
     WHERE x.parent_id = d.id AND x.state <> 'deleted' AND x.kind = 'file'
       AND x.name > CASE WHEN d.directory_path = %(directory)s THEN %(name)s::bytea ELSE ''::bytea END
       AND (%(only)s::bytea IS NULL OR x.name = %(only)s::bytea)
     ORDER BY x.name LIMIT %(limit)s) n
 ORDER BY d.directory_path, n.name LIMIT %(limit)s

-- name: directory_after
-- The last of those 200 directories: there may be others behind it.
SELECT k.directory_path FROM filestore.nodes k
 WHERE k.mount_id = %(mount)s AND k.directory_path > %(directory)s AND k.directory_path < %(high)s
   AND k.directory_path IS NOT NULL AND k.state <> 'deleted'
 ORDER BY k.directory_path OFFSET 198 LIMIT 1

-- name: put_hashes
-- Content that was read while it held still. A node that a command has changed since is left as it is. Earlier versions whose
-- content never left its place share it.
WITH hashed AS (
    UPDATE filestore.nodes n SET sha256 = decode(h.sha256, 'hex'), updated_at = now()
      FROM unnest(%(ids)s::bigint[], %(versions)s::bigint[], %(hashes)s::text[]) AS h(id, version, sha256)
     WHERE n.id = ANY (ARRAY[h.id]) AND n.version = h.version AND n.state = 'active' AND n.sha256 IS NULL
    RETURNING n.id, n.size_bytes, n.sha256
), versions AS (
    UPDATE filestore.versions s SET sha256 = h.sha256 FROM hashed h
     WHERE s.node_id = ANY (ARRAY[h.id]) AND s.sha256 IS NULL AND s.content_place IS NULL AND s.size_bytes = h.size_bytes
)
SELECT h.id, encode(h.sha256, 'hex') AS sha256 FROM hashed h
