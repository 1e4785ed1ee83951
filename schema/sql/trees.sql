-- Directories that change with everything below them. One statement per step over the whole tree, in the transaction of its
-- record (record.sql).
--
-- These plans are made once, often while the tables are young, and then run for trees of any size; what they join is asked
-- for row by row, by index, and nothing here may compare all with all. Two ways of writing see to it. What is only read stands
-- in a LATERAL (or an EXISTS) with OFFSET 0, which is neither pulled up nor hashed whole. What is written is joined by
-- `= ANY (ARRAY[...])`: no join can start from the table then, for that is a condition neither to hash nor to merge by.

-- name: allow_time
-- A tree may take longer than other records. The activity that waits for it says how long in all.
SELECT set_config('statement_timeout', %(timeout)s, true)

-- name: close_buried
-- Below a directory that is deleted, or has moved to another mount: the versions that end, and where their content is kept from
-- now on. What is missing does not go into the trash with it, and content that was lost before does not come back there.
WITH RECURSIVE below AS (
    SELECT (g.leaves->>'node')::bigint AS id, convert_to(g.leaves->>'trash', 'UTF8') AS place, true AS there, 0 AS level
      FROM filestore.commands c,
           LATERAL (VALUES (CASE c.intent->>'step' WHEN 'delete' THEN c.intent END), (c.intent->'departs')) AS g(leaves)
     WHERE c.id = ANY(%(ids)s::uuid[]) AND c.status = 'succeeded' AND (g.leaves->>'tree')::boolean
     UNION ALL
    SELECT n.id, b.place || '\x2f'::bytea || n.name, n.state <> 'missing', b.level + 1
      FROM below b CROSS JOIN LATERAL (
          SELECT k.id, k.name, k.state FROM filestore.nodes k WHERE k.parent_id = b.id AND k.state <> 'deleted' OFFSET 0) n
), first AS (
    -- First versions that no row tells of yet. `bury` takes the mark from their nodes.
    INSERT INTO filestore.versions
    SELECT f.node_id, f.version, f.command_id, f.parent_id, f.name, f.kind, f.state, f.size_bytes, f.sha256, f.metadata,
           f.valid_from, greatest(now(), f.valid_from), b.place, now() + make_interval(days => %(retention_days)s), n.identity
      FROM below b
     CROSS JOIN LATERAL (SELECT filestore.seen_identity_v1(k) AS identity FROM filestore.nodes k
                          WHERE k.id = b.id AND k.first_by IS NOT NULL OFFSET 0 FOR NO KEY UPDATE) n
     CROSS JOIN LATERAL (SELECT k.* FROM filestore.first_versions k WHERE k.node_id = b.id OFFSET 0) f
     WHERE b.level > 0
    RETURNING node_id, kind, size_bytes, content_place
), charged AS (
    -- What the trash keeps now: of rows that change a trigger tells it.
    INSERT INTO filestore.charge_deltas (mount_id, quota_id, size_bytes, node_count)
    SELECT n.mount_id, NULL, sum(f.size_bytes), count(*)
      FROM first f CROSS JOIN LATERAL (SELECT k.mount_id FROM filestore.nodes k WHERE k.id = f.node_id OFFSET 0) n
     WHERE f.kind = 'file' GROUP BY n.mount_id
     UNION ALL
    SELECT q.*
      FROM (SELECT array_agg(f.node_id) AS nodes, array_agg(f.content_place) AS places, array_agg(f.size_bytes) AS sizes
              FROM first f WHERE f.kind = 'file') k
     CROSS JOIN LATERAL filestore.keep_for_quotas_v1(k.nodes, k.places, k.sizes) q
)
UPDATE filestore.versions s
   SET valid_to = coalesce(s.valid_to, greatest(now(), s.valid_from)),
       content_place = CASE WHEN b.there AND s.content_until IS NULL THEN b.place END,
       content_until = CASE WHEN b.there AND s.content_until IS NULL THEN now() + make_interval(days => %(retention_days)s)
           ELSE coalesce(s.content_until, greatest(now(), s.valid_from)) END,
       content_identity = CASE WHEN b.there AND s.content_until IS NULL THEN (
           SELECT filestore.seen_identity_v1(n) FROM filestore.nodes n WHERE n.id = s.node_id) END
  FROM below b
 WHERE b.level > 0 AND s.node_id = ANY (ARRAY[b.id]) AND s.state <> 'deleted' AND s.content_place IS NULL

-- name: bury
-- The nodes below such a directory. It runs before the directory itself changes: no living node may lose its parent.
WITH RECURSIVE below AS (
    SELECT c.id AS command, (g.leaves->>'node')::bigint AS id, 0 AS level
      FROM filestore.commands c,
           LATERAL (VALUES (CASE c.intent->>'step' WHEN 'delete' THEN c.intent END), (c.intent->'departs')) AS g(leaves)
     WHERE c.id = ANY(%(ids)s::uuid[]) AND c.status = 'succeeded' AND (g.leaves->>'tree')::boolean
     UNION ALL
    SELECT b.command, n.id, b.level + 1
      FROM below b CROSS JOIN LATERAL (
          SELECT k.id FROM filestore.nodes k WHERE k.parent_id = b.id AND k.state <> 'deleted' OFFSET 0) n
), buried AS (
    UPDATE filestore.nodes n
       SET state = 'deleted', version = n.version + 1, first_by = NULL, deleted_at = now(), updated_at = now(),
           last_modified_at = now()
      FROM below b WHERE b.level > 0 AND n.id = ANY (ARRAY[b.id])
    RETURNING n.*, b.command
)
INSERT INTO filestore.versions (node_id, version, command_id, parent_id, name, kind, state, size_bytes, sha256, metadata,
    valid_from)
SELECT n.id, n.version, n.command, n.parent_id, n.name, n.kind, n.state, n.size_bytes, n.sha256, n.metadata,
       coalesce((SELECT max(p.valid_to) FROM filestore.snapshots p WHERE p.node_id = n.id), now())
  FROM buried n

-- name: close_raised
-- Below a directory that is restored: the deleted state of what the same command deleted ends, its content is back.
WITH RECURSIVE below AS (
    SELECT (c.intent->>'node')::bigint AS id, decode(c.intent->>'place', 'hex') AS place, s.command_id AS deleter, 0 AS level
      FROM filestore.commands c
     CROSS JOIN LATERAL (SELECT k.command_id FROM filestore.snapshots k
           WHERE k.node_id = (c.intent->>'node')::bigint AND k.version = (c.intent->>'previous_version')::bigint OFFSET 0) s
     WHERE c.id = ANY(%(ids)s::uuid[]) AND c.status = 'succeeded' AND c.intent->>'step' = 'restore'
       AND (c.intent->>'tree')::boolean
     UNION ALL
    SELECT n.id, b.place || '\x2f'::bytea || n.name, b.deleter, b.level + 1
      FROM below b
     CROSS JOIN LATERAL (SELECT k.id, k.version, k.name FROM filestore.nodes k
                          WHERE k.parent_id = b.id AND k.state = 'deleted' OFFSET 0) n
     CROSS JOIN LATERAL (SELECT FROM filestore.snapshots k
                          WHERE k.node_id = n.id AND k.version = n.version AND k.command_id = b.deleter OFFSET 0) s
)
UPDATE filestore.versions s
   SET valid_to = coalesce(s.valid_to, greatest(now(), s.valid_from)),
       content_place = CASE WHEN s.content_place = b.place THEN NULL ELSE s.content_place END,
       content_until = CASE WHEN s.content_place = b.place THEN NULL ELSE s.content_until END,
       content_identity = CASE WHEN s.content_place = b.place THEN NULL ELSE s.content_identity END
  FROM below b
 WHERE b.level > 0 AND s.node_id = ANY (ARRAY[b.id]) AND (s.valid_to IS NULL OR s.content_place = b.place)

-- name: raise
-- The nodes below a directory that is restored live again, under the path their directory has now. It runs after the directory
-- itself changed: they need a living parent.
WITH RECURSIVE below AS (
    SELECT c.id AS command, n.id, s.command_id AS deleter, n.directory_path, n.directory_text, n.depth, 0 AS level
      FROM filestore.commands c
     CROSS JOIN LATERAL (SELECT k.id, k.directory_path, k.directory_text, k.depth FROM filestore.nodes k
                          WHERE k.id = (c.intent->>'node')::bigint OFFSET 0) n
     CROSS JOIN LATERAL (SELECT k.command_id FROM filestore.snapshots k
                          WHERE k.node_id = n.id AND k.version = (c.intent->>'previous_version')::bigint OFFSET 0) s
     WHERE c.id = ANY(%(ids)s::uuid[]) AND c.status = 'succeeded' AND c.intent->>'step' = 'restore'
       AND (c.intent->>'tree')::boolean
     UNION ALL
    SELECT b.command, n.id, b.deleter,
           CASE WHEN n.kind = 'directory' THEN b.directory_path || n.name || '\x2f'::bytea END,
           CASE WHEN n.kind = 'directory' THEN b.directory_text || n.name_text || '/' END, b.depth + 1, b.level + 1
      FROM below b
     CROSS JOIN LATERAL (SELECT k.id, k.version, k.kind, k.name, k.name_text FROM filestore.nodes k
                          WHERE k.parent_id = b.id AND k.state = 'deleted' OFFSET 0) n
     CROSS JOIN LATERAL (SELECT FROM filestore.snapshots k
                          WHERE k.node_id = n.id AND k.version = n.version AND k.command_id = b.deleter OFFSET 0) s
), rest AS (
    -- Nodes that had been deleted before stay deleted. Their directories lie here now.
    SELECT n.id, b.directory_path || n.name || '\x2f'::bytea AS path, b.directory_text || n.name_text || '/' AS shown,
           b.depth + 1 AS depth
      FROM below b
     CROSS JOIN LATERAL (SELECT k.id, k.name, k.name_text FROM filestore.nodes k
                          WHERE k.parent_id = b.id AND k.state = 'deleted' AND k.kind = 'directory'
                            AND NOT EXISTS (SELECT FROM filestore.snapshots x
                                             WHERE x.node_id = k.id AND x.version = k.version AND x.command_id = b.deleter OFFSET 0)
                         OFFSET 0) n
     UNION ALL
    SELECT n.id, r.path || n.name || '\x2f'::bytea, r.shown || n.name_text || '/', r.depth + 1
      FROM rest r CROSS JOIN LATERAL (SELECT k.id, k.name, k.name_text FROM filestore.nodes k
                                       WHERE k.parent_id = r.id AND k.state = 'deleted' AND k.kind = 'directory' OFFSET 0) n
), placed AS (
    UPDATE filestore.nodes n SET directory_path = r.path, directory_text = r.shown, depth = r.depth
      FROM rest r WHERE n.id = ANY (ARRAY[r.id]) AND n.directory_path <> r.path
), raised AS (
    UPDATE filestore.nodes n
       SET state = 'active', version = n.version + 1, deleted_at = NULL, updated_at = now(), last_modified_at = now(),
           directory_path = b.directory_path, directory_text = b.directory_text, depth = b.depth
      FROM below b WHERE b.level > 0 AND n.id = ANY (ARRAY[b.id])
    RETURNING n.*, b.command
)
INSERT INTO filestore.versions (node_id, version, command_id, parent_id, name, kind, state, size_bytes, sha256, metadata,
    valid_from)
SELECT n.id, n.version, n.command, n.parent_id, n.name, n.kind, n.state, n.size_bytes, n.sha256, n.metadata,
       coalesce((SELECT max(p.valid_to) FROM filestore.snapshots p WHERE p.node_id = n.id), now())
  FROM raised n

-- name: rebase
-- Below a directory that was moved: directories learn their new path, the deleted ones too, for they are looked for by it;
-- files know only their directory and how deep they lie.
WITH RECURSIVE moved AS (
    SELECT n.id, n.mount_id, c.path || '\x2f'::bytea AS old, c.path || '\x30'::bytea AS beyond, n.directory_path AS new,
           char_length(c.request->>'path') + 1 AS old_length, n.directory_text AS new_text,
           n.depth - (1 + length(encode(c.path, 'escape')) - length(replace(encode(c.path, 'escape'), '/', ''))) AS deeper
      FROM filestore.commands c
     CROSS JOIN LATERAL (SELECT k.id, k.mount_id, k.directory_path, k.directory_text, k.depth FROM filestore.nodes k
                          WHERE k.id = (c.intent->>'node')::bigint OFFSET 0) n
     WHERE c.id = ANY(%(ids)s::uuid[]) AND c.status = 'succeeded' AND c.intent->>'step' = 'move' AND (c.intent->>'tree')::boolean
), directories AS (
    SELECT d.id, m.deeper, m.new || substring(d.directory_path FROM octet_length(m.old) + 1) AS path,
           m.new_text || substring(d.directory_text FROM m.old_length + 1) AS shown
      FROM moved m
     CROSS JOIN LATERAL (SELECT k.id, k.directory_path, k.directory_text FROM filestore.nodes k
                          WHERE k.mount_id = m.mount_id AND k.directory_path > m.old AND k.directory_path < m.beyond
                            AND k.directory_path IS NOT NULL AND k.state <> 'deleted' OFFSET 0) d
), gone AS (
    SELECT d.id, x.deeper, x.path || d.name || '\x2f'::bytea AS path, x.shown || d.name_text || '/' AS shown
      FROM (SELECT id, deeper, path, shown FROM directories UNION ALL SELECT id, deeper, new, new_text FROM moved) x
     CROSS JOIN LATERAL (SELECT k.id, k.name, k.name_text FROM filestore.nodes k
                          WHERE k.parent_id = x.id AND k.state = 'deleted' AND k.kind = 'directory' OFFSET 0) d
     UNION ALL
    SELECT d.id, x.deeper, x.path || d.name || '\x2f'::bytea, x.shown || d.name_text || '/'
      FROM gone x
     CROSS JOIN LATERAL (SELECT k.id, k.name, k.name_text FROM filestore.nodes k
                          WHERE k.parent_id = x.id AND k.state = 'deleted' AND k.kind = 'directory' OFFSET 0) d
), affected AS (
    SELECT id, deeper, path, shown FROM directories
     UNION ALL
    SELECT id, deeper, path, shown FROM gone
     UNION ALL
    SELECT f.id, x.deeper, NULL, NULL
      FROM (SELECT id, deeper FROM directories UNION ALL SELECT id, deeper FROM moved) x
     CROSS JOIN LATERAL (SELECT k.id FROM filestore.nodes k
                          WHERE k.parent_id = x.id AND k.state <> 'deleted' AND k.kind <> 'directory' OFFSET 0) f
     WHERE x.deeper <> 0
)
UPDATE filestore.nodes n SET directory_path = a.path, directory_text = a.shown, depth = n.depth + a.deeper
  FROM affected a WHERE n.id = ANY (ARRAY[a.id])

-- name: plan_entries
-- What a copy of a directory takes along: exactly what the record knows. Their copies' ids are given here. Of a plan that is there
-- already, from an execution that was broken off, what is staged stays for those that are as they were.
WITH RECURSIVE below AS (
    SELECT n.id, ''::bytea AS path, ''::bytea AS parent, '' AS shown, 0 AS level FROM filestore.nodes n WHERE n.id = %(directory)s
     UNION ALL
    SELECT n.id, CASE b.level WHEN 0 THEN n.name ELSE b.path || '\x2f'::bytea || n.name END, b.path,
           CASE b.level WHEN 0 THEN n.name_text ELSE b.shown || '/' || n.name_text END, b.level + 1
      FROM below b CROSS JOIN LATERAL (SELECT k.id, k.name, k.name_text FROM filestore.nodes k
                                        WHERE k.parent_id = b.id AND k.state <> 'deleted' OFFSET 0) n
)
INSERT INTO filestore.staged_entries AS e (command_id, path, parent, name_text, path_text, depth, source_id, source_version, kind,
    size_bytes, sha256, was)
SELECT %(command)s, b.path, b.parent, n.name_text, b.shown, b.level, n.id, n.version, n.kind, n.size_bytes, n.sha256,
       filestore.node_identity(n)
  FROM below b CROSS JOIN LATERAL (SELECT k.* FROM filestore.nodes k WHERE k.id = b.id OFFSET 0) n WHERE b.level > 0
ON CONFLICT (command_id, path) DO UPDATE
   SET source_id = excluded.source_id, source_version = excluded.source_version, kind = excluded.kind, was = excluded.was,
       size_bytes = excluded.size_bytes, sha256 = excluded.sha256,
       identity = CASE WHEN (e.source_id, e.kind, e.sha256, e.was)
                            IS NOT DISTINCT FROM (excluded.source_id, excluded.kind, excluded.sha256, excluded.was)
                       THEN e.identity END

-- name: known_entries
-- How many a plan has, and whether some of them are staged.
SELECT count(*) AS entries, coalesce(bool_or(e.identity IS NOT NULL AND e.kind <> 'directory'), false) AS staged
  FROM filestore.staged_entries e WHERE e.command_id = %(command)s

-- name: plan_return
-- The same for a directory that is restored: what the same command deleted along with it.
WITH RECURSIVE below AS (
    SELECT n.id, ''::bytea AS path, ''::bytea AS parent, '' AS shown, s.command_id AS deleter, 0 AS level
      FROM filestore.nodes n
     CROSS JOIN LATERAL (SELECT k.command_id FROM filestore.snapshots k
                          WHERE k.node_id = n.id AND k.version = n.version OFFSET 0) s WHERE n.id = %(directory)s
     UNION ALL
    SELECT n.id, CASE b.level WHEN 0 THEN n.name ELSE b.path || '\x2f'::bytea || n.name END, b.path,
           CASE b.level WHEN 0 THEN n.name_text ELSE b.shown || '/' || n.name_text END, b.deleter, b.level + 1
      FROM below b
     CROSS JOIN LATERAL (SELECT k.id, k.version, k.name, k.name_text FROM filestore.nodes k
                          WHERE k.parent_id = b.id AND k.state = 'deleted' OFFSET 0) n
     CROSS JOIN LATERAL (SELECT FROM filestore.snapshots k
                          WHERE k.node_id = n.id AND k.version = n.version AND k.command_id = b.deleter OFFSET 0) s
)
INSERT INTO filestore.staged_entries (command_id, path, parent, name_text, path_text, depth, source_id, source_version, kind,
    size_bytes, sha256, was)
SELECT %(command)s, b.path, b.parent, n.name_text, b.shown, b.level, n.id, n.version, n.kind, n.size_bytes, n.sha256,
       filestore.node_identity(n)
  FROM below b CROSS JOIN LATERAL (SELECT k.* FROM filestore.nodes k WHERE k.id = b.id OFFSET 0) n WHERE b.level > 0

-- name: planned_page
-- One page of that plan by path: a directory comes before what it holds.
SELECT e.path, e.path_text, e.kind::text, n.state::text, e.sha256, e.was AS identity, e.identity AS staged
  FROM filestore.staged_entries e
 CROSS JOIN LATERAL (SELECT k.state FROM filestore.nodes k WHERE k.id = e.source_id OFFSET 0) n
 WHERE e.command_id = %(command)s AND e.path > %(after)s ORDER BY e.path LIMIT %(limit)s

-- name: remaining_page
-- One page of what is left to clear of a plan: what a directory holds comes before it.
SELECT e.path, e.path_text, e.kind::text, 'active' AS state, e.sha256, e.was AS identity, NULL AS staged
  FROM filestore.staged_entries e WHERE e.command_id = %(command)s ORDER BY e.path DESC LIMIT %(limit)s

-- name: forget_cleared
-- That page is cleared.
DELETE FROM filestore.staged_entries WHERE command_id = %(command)s AND path >= %(first)s

-- name: forget_entries
-- Remove the plan of an earlier execution, or one that is no longer needed.
DELETE FROM filestore.staged_entries WHERE command_id = ANY(%(ids)s::uuid[])

-- name: forget_settled
-- Remove the plans of copies that are in the record by now, or never will be. Plans that `finish` still needs stay, and those of
-- copies that were interrupted: the next attempt goes on with them.
WITH done AS MATERIALIZED (
    SELECT c.id FROM filestore.commands c
     WHERE c.id = ANY(%(ids)s::uuid[]) AND NOT c.intent ? 'items' AND coalesce(c.code <> 'INTERRUPTED', true)
       AND (c.status <> 'succeeded' OR NOT c.intent ? 'departs')
)
DELETE FROM filestore.staged_entries e USING done d WHERE e.command_id = ANY (ARRAY[d.id])

-- name: keep_entries
-- Which files the copies are, once they are staged.
UPDATE filestore.staged_entries e SET identity = x.identity
  FROM (SELECT %(command)s::uuid AS command, decode(i.path, 'hex') AS path, i.identity
          FROM jsonb_to_recordset(%(items)s::jsonb) AS i(path text, identity jsonb) OFFSET 0) x
 WHERE e.command_id = ANY (ARRAY[x.command]) AND e.path = ANY (ARRAY[x.path])

-- name: record_stage
-- The identity of what will appear is durable before it does.
UPDATE filestore.commands c
   SET touched_at = now(), intent = c.intent || jsonb_build_object('stage', c.id, 'staged', %(staged)s::jsonb)
       || CASE WHEN %(tree)s THEN jsonb_build_object('totals', (
              SELECT jsonb_build_object('size', coalesce(sum(size_bytes) FILTER (WHERE kind = 'file'), 0),
                         'files', count(*) FILTER (WHERE kind <> 'directory'),
                         'directories', count(*) FILTER (WHERE kind = 'directory'))
                FROM filestore.staged_entries WHERE command_id = c.id)) ELSE '{}' END
 WHERE c.id = %(command)s AND c.attempt = %(attempt)s AND c.status = 'running'

-- name: reidentify
-- Where a tree moved or came back item by item, its files are new objects: the nodes learn which.
UPDATE filestore.nodes n
   SET s3_etag = s.etag, s3_version_id = s.version, observed_at = now(), observed_by = c.id
  FROM filestore.commands c
 CROSS JOIN LATERAL (SELECT k.source_id, k.identity FROM filestore.staged_entries k
                      WHERE k.command_id = c.id AND k.kind = 'file' AND k.identity IS NOT NULL OFFSET 0) e
 CROSS JOIN LATERAL filestore.identity_v1(e.identity) s
 WHERE c.id = ANY(%(ids)s::uuid[]) AND c.status = 'succeeded' AND c.intent->>'step' IN ('move', 'restore')
   AND n.id = ANY (ARRAY[e.source_id])

-- name: settle
-- The nodes of a copied directory, and their first versions. Their ids were given when they were staged.
WITH arrived AS (
    SELECT e.*, c.id AS command, c.principal, r.id AS root, r.mount_id, r.tenant, r.directory_path AS root_path,
           r.directory_text AS root_text, r.depth AS root_depth, coalesce(p.node_id, r.id) AS parent_id
      FROM filestore.commands c
     CROSS JOIN LATERAL (SELECT k.* FROM filestore.nodes k WHERE k.id = (c.intent->>'node')::bigint OFFSET 0) r
     CROSS JOIN LATERAL (SELECT k.* FROM filestore.staged_entries k WHERE k.command_id = c.id OFFSET 0) e
      LEFT JOIN LATERAL (SELECT k.node_id FROM filestore.staged_entries k
                          WHERE k.command_id = c.id AND k.path = e.parent OFFSET 0) p ON true
     WHERE c.id = ANY(%(ids)s::uuid[]) AND c.status = 'succeeded' AND c.intent->>'step' = 'create'
       AND (c.intent->>'tree')::boolean
), settled AS (
    INSERT INTO filestore.nodes (id, tenant, mount_id, parent_id, name, name_text, directory_path, directory_text, depth, kind,
        state, version, size_bytes, sha256, checksum, mime_type, original_name, metadata, device, inode, birth_ns, observed_size,
        observed_mtime_ns, observed_ctime_ns, observed_mode, observed_links, s3_etag, s3_version_id, observed_at, observed_by,
        last_modified_at, charged_to)
    SELECT a.node_id, a.tenant, a.mount_id, a.parent_id,
           CASE octet_length(a.parent) WHEN 0 THEN a.path ELSE substring(a.path FROM octet_length(a.parent) + 2) END, a.name_text,
           CASE WHEN a.kind = 'directory' THEN a.root_path || a.path || '\x2f'::bytea END,
           CASE WHEN a.kind = 'directory' THEN a.root_text || a.path_text || '/' END,
           a.root_depth + a.depth, a.kind, 'active', 1, a.size_bytes, a.sha256, o.checksum, o.mime_type, o.original_name,
           coalesce(v.metadata, '{}'),
           s.device, s.inode, s.birth_ns, s.size, s.mtime_ns, s.ctime_ns, s.mode, s.links, s.etag, s.version,
           now(), a.command, now(), a.principal
      FROM arrived a
     CROSS JOIN LATERAL filestore.identity_v1(a.identity) s
     CROSS JOIN LATERAL (SELECT k.checksum, k.mime_type, k.original_name FROM filestore.nodes k
                          WHERE k.id = a.source_id OFFSET 0) o
      LEFT JOIN LATERAL (SELECT k.metadata FROM filestore.snapshots k
                          WHERE k.node_id = a.source_id AND k.version = a.source_version OFFSET 0) v ON true
    RETURNING *
)
INSERT INTO filestore.versions (node_id, version, command_id, parent_id, name, kind, state, size_bytes, sha256, metadata,
    valid_from)
SELECT n.id, 1, n.observed_by, n.parent_id, n.name, n.kind, n.state, n.size_bytes, n.sha256, n.metadata, now() FROM settled n

-- name: settle_rollups
-- The totals of the directories in a copied one, itself included. What is above it has learned them from `record`.
-- After `settle`: its nodes know their parents.
WITH RECURSIVE entry AS (
    SELECT n.parent_id, (c.intent->>'node')::bigint AS root, e.kind, e.size_bytes
      FROM filestore.commands c
     CROSS JOIN LATERAL (SELECT k.node_id, k.kind, k.size_bytes FROM filestore.staged_entries k
                          WHERE k.command_id = c.id OFFSET 0) e
     CROSS JOIN LATERAL (SELECT k.parent_id FROM filestore.nodes k WHERE k.id = e.node_id OFFSET 0) n
     WHERE c.id = ANY(%(ids)s::uuid[]) AND c.status = 'succeeded' AND c.intent->>'step' = 'create'
       AND (c.intent->>'tree')::boolean
), upward AS (
    SELECT parent_id AS directory, root, sum(CASE kind WHEN 'file' THEN size_bytes ELSE 0 END) AS bytes,
           sum((kind <> 'directory')::integer) AS files, sum((kind = 'directory')::integer) AS directories, count(*) AS children
      FROM entry GROUP BY parent_id, root
     UNION ALL
    SELECT n.parent_id, u.root, u.bytes, u.files, u.directories, 0 FROM upward u
     CROSS JOIN LATERAL (SELECT k.parent_id FROM filestore.nodes k WHERE k.id = u.directory OFFSET 0) n
     WHERE u.directory <> u.root
)
INSERT INTO filestore.rollup_deltas (directory_id, size_bytes, file_count, directory_count, child_count)
SELECT directory, sum(bytes), sum(files), sum(directories), sum(children) FROM upward GROUP BY directory
