-- Plans of operations: what they read of the record, and their items.

-- name: begin_plan
-- The journal entry after which a change is one that the plan has not seen, and the commands that are at work there, below or
-- above: their entries may be older than that one, and the plan has not seen them either.
SELECT (SELECT coalesce(max(id), 0) FROM filestore.journal_entries) AS entry,
       ARRAY(SELECT DISTINCT k.command_id::text FROM filestore.claims k
              WHERE k.mount_id = %(mount)s AND NOT k.shared
                AND (k.path = %(path)s OR k.path >= %(low)s AND k.path < %(high)s
                  OR k.kind = 'subtree' AND k.path = ANY(%(above)s::bytea[]))) AS beside

-- name: begun_plan
-- They are kept with the plan.
UPDATE filestore.operations SET planned_beside = %(beside)s::uuid[] WHERE id = %(id)s

-- name: node_at
-- The living node at a path, with what a plan needs to know of it.
SELECT n.id, n.kind::text, n.state::text, n.version, %(path)s::bytea AS path, n.last_modified_at AS modified, n.metadata,
       CASE n.kind WHEN 'directory' THEN r.size_bytes ELSE n.size_bytes END AS size,
       CASE n.kind WHEN 'directory' THEN 1 + r.file_count + r.directory_count ELSE 1 END AS nodes
  FROM filestore.nodes p
 CROSS JOIN LATERAL (SELECT x.* FROM filestore.nodes x WHERE x.state <> 'deleted'
        AND (x.parent_id = p.id AND x.name = %(name)s AND octet_length(%(path)s) > 0
             OR x.id = p.id AND octet_length(%(path)s) = 0)) n
  LEFT JOIN LATERAL (SELECT * FROM filestore.rollup_of(n.id) WHERE n.kind = 'directory') r ON true
 WHERE p.mount_id = %(mount)s AND p.directory_path = %(parent)s AND p.directory_path IS NOT NULL AND p.state <> 'deleted'

-- name: weigh
-- How many nodes there are at these places, with all below them.
SELECT coalesce(sum(CASE n.kind WHEN 'directory' THEN 1 + r.file_count + r.directory_count ELSE 1 END), 0)::bigint AS nodes
  FROM unnest(%(parents)s::bytea[], %(names)s::bytea[]) AS u(parent, name)
 CROSS JOIN LATERAL (SELECT p.id FROM filestore.nodes p
        WHERE p.mount_id = %(mount)s AND p.directory_path = u.parent AND p.directory_path IS NOT NULL AND p.state <> 'deleted'
        LIMIT 1) p
 CROSS JOIN LATERAL (SELECT x.id, x.kind FROM filestore.nodes x WHERE x.state <> 'deleted'
        AND (x.parent_id = p.id AND x.name = u.name AND octet_length(u.name) > 0 OR x.id = p.id AND octet_length(u.name) = 0)
        LIMIT 1) n
  LEFT JOIN LATERAL (SELECT * FROM filestore.rollup_of(n.id) WHERE n.kind = 'directory') r ON true

-- name: below
-- The next nodes below a directory, after a place: directories in the order of their paths, each followed by what it holds beside
-- other directories, by name.
SELECT n.path, d.directory_path AS directory, n.name, n.id, n.kind::text, n.state::text, n.version, n.size, 1 AS nodes, n.modified,
       n.metadata
  FROM (SELECT k.* FROM filestore.nodes k
         WHERE k.mount_id = %(mount)s AND k.directory_path >= %(directory)s AND k.directory_path < %(high)s
           AND k.directory_path IS NOT NULL AND k.state <> 'deleted'
         ORDER BY k.directory_path LIMIT 200) d
 CROSS JOIN LATERAL (
    SELECT substring(d.directory_path FOR octet_length(d.directory_path) - 1) AS path, ''::bytea AS name, d.id, d.kind, d.state,
           d.version, 0::bigint AS size, d.last_modified_at AS modified, d.metadata
     WHERE d.directory_path > %(directory)s
     UNION ALL
    (SELECT d.directory_path || x.name, x.name, x.id, x.kind, x.state, x.version, x.size_bytes, x.last_modified_at, x.metadata
       FROM filestore.nodes x
      WHERE x.parent_id = d.id AND x.state <> 'deleted' AND x.kind <> 'directory'
        AND x.name > CASE WHEN d.directory_path = %(directory)s THEN %(name)s::bytea ELSE ''::bytea END
      ORDER BY x.name LIMIT %(limit)s)) n
 ORDER BY d.directory_path, n.name LIMIT %(limit)s

-- name: directory_after
-- The last of 200 directories: there may be others behind it.
SELECT k.directory_path FROM filestore.nodes k
 WHERE k.mount_id = %(mount)s AND k.directory_path > %(directory)s AND k.directory_path < %(high)s
   AND k.directory_path IS NOT NULL AND k.state <> 'deleted'
 ORDER BY k.directory_path OFFSET 198 LIMIT 1

-- name: occupants
-- What lies at these places.
SELECT decode(i.path, 'hex') AS path, n.kind::text, n.version, n.id, n.size_bytes
  FROM jsonb_to_recordset(%(places)s::jsonb) AS i(path text, parent text, name text)
 CROSS JOIN LATERAL (SELECT p.id FROM filestore.nodes p
        WHERE p.mount_id = %(mount)s AND p.directory_path = decode(i.parent, 'hex') AND p.directory_path IS NOT NULL
          AND p.state <> 'deleted' LIMIT 1) p
 CROSS JOIN LATERAL (SELECT x.kind, x.version, x.id, x.size_bytes FROM filestore.nodes x
        WHERE x.parent_id = p.id AND x.name = decode(i.name, 'hex') AND x.state <> 'deleted' LIMIT 1) n

-- name: goes_to
-- Which items of a plan make something appear at these places.
SELECT x.path, x.item, x.node_kind, x.version, x.size_bytes
  FROM unnest(%(places)s::bytea[]) AS place(path)
 CROSS JOIN LATERAL (
     SELECT coalesce(i.target, i.path) AS path, i.item, i.node_kind, i.version, i.size_bytes, i.state
       FROM filestore.operation_items i
      WHERE i.operation_id = %(id)s AND coalesce(i.target, i.path) = place.path
        AND i.kind IN ('mkdir', 'copy', 'move', 'restore') OFFSET 0) x
 WHERE x.state = 'pending'

-- name: done_down
-- Of an operation that is to be undone: what it has done, newest first.
SELECT i.* FROM filestore.operation_steps i
 WHERE i.operation_id = %(id)s AND i.state = 'done' AND i.item < %(before)s ORDER BY i.item DESC LIMIT %(limit)s

-- name: done_up
-- The same of one that went from its last item to the first.
SELECT i.* FROM filestore.operation_steps i
 WHERE i.operation_id = %(id)s AND i.state = 'done' AND i.item > %(before)s ORDER BY i.item LIMIT %(limit)s

-- name: put_items
-- A page of the plan.
INSERT INTO filestore.operation_items (operation_id, item, kind, path, target, node_id, node_kind, version, target_version,
       content_version, size_bytes, nodes, needs, state, code, message, mount_id, target_mount_id)
SELECT %(id)s, i.item, i.kind, decode(i.path, 'hex'), decode(i.target, 'hex'), i.node, i.node_kind, i.version, i.target_version,
       i.content_version, i.size, i.nodes, i.needs, i.state, i.code, i.message, i.mount, i.target_mount
  FROM jsonb_to_recordset(%(items)s::jsonb) AS i(item integer, kind text, path text, target text, node bigint,
       node_kind filestore.node_kind, version bigint, target_version bigint, content_version bigint, size bigint, nodes bigint,
       needs integer, state filestore.item_state, code text, message text,
       mount bigint, target_mount bigint)

-- name: cover
-- What it claims, now that its items are known.
UPDATE filestore.operations SET selection = selection || jsonb_build_object('claims', %(claims)s::jsonb) WHERE id = %(id)s

-- name: advance_plan
-- What a page of the plan adds up to, and where it ended.
UPDATE filestore.operations
   SET plan_cursor = %(cursor)s::jsonb, planned_entry = %(entry)s, touched_at = now(),
       items = items + %(items)s, nodes = nodes + %(nodes)s, bytes = bytes + %(bytes)s, conflicts = conflicts + %(conflicts)s,
       failed = failed + %(failed)s, skipped = skipped + %(skipped)s, changed = changed + %(changed)s
 WHERE id = %(id)s

-- name: end_plan
-- The plan is complete: it waits, runs, or has failed.
UPDATE filestore.operations
   SET state = %(state)s::filestore.operation_state, planned_at = now(), plan_cursor = NULL, touched_at = NULL,
       started_at = CASE %(state)s WHEN 'running' THEN now() END, ended_at = CASE %(state)s WHEN 'failed' THEN now() END,
       failed_before = failed, changed_before = changed, refusal = %(refusal)s
 WHERE id = %(id)s
