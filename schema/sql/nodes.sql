-- Reading nodes. Lists come as one row: the elements as JSON text, joined by commas, so that nothing between here and the
-- client looks at them one by one.

-- name: by_id
-- One node, deleted ones too.
SELECT id, mount_id, path, document_text AS document, filestore.protection_v1(mount_id, path)::text AS protection
  FROM filestore.node_documents
 WHERE id = %(id)s AND tenant = %(tenant)s

-- name: root
-- The root of a mount.
SELECT id, mount_id, path, document_text AS document FROM filestore.node_documents
 WHERE mount_id = %(mount)s AND directory_path = '' AND state <> 'deleted' AND tenant = %(tenant)s

-- name: living
-- The living node at a path.
SELECT d.id, d.mount_id, d.path, d.document_text AS document, filestore.protection_v1(d.mount_id, d.path)::text AS protection
  FROM filestore.nodes p
  JOIN filestore.nodes n ON n.parent_id = p.id AND n.name = %(name)s AND n.state <> 'deleted'
  JOIN filestore.node_documents d ON d.id = n.id
 WHERE p.mount_id = %(mount)s AND p.directory_path = %(parent)s AND p.state <> 'deleted' AND p.tenant = %(tenant)s

-- name: latest_deleted
-- The node that was deleted last at a path, wherever its directories went: name by name from the root down.
WITH RECURSIVE walk AS (
    SELECT r.id, 0 AS depth, r.state, r.deleted_at FROM filestore.nodes r
     WHERE r.mount_id = %(mount)s AND r.directory_path = '' AND r.state <> 'deleted' AND r.tenant = %(tenant)s
     UNION ALL
    SELECT c.id, w.depth + 1, c.state, c.deleted_at
      FROM walk w CROSS JOIN LATERAL (
          SELECT n.id, n.state, n.deleted_at FROM filestore.nodes n
           WHERE n.parent_id = w.id AND n.name = (%(names)s::bytea[])[w.depth + 1] AND n.state <> 'deleted'
           UNION ALL
          SELECT n.id, n.state, n.deleted_at FROM filestore.nodes n
           WHERE n.parent_id = w.id AND n.name = (%(names)s::bytea[])[w.depth + 1] AND n.state = 'deleted') c
     WHERE w.depth < cardinality(%(names)s::bytea[])
), latest AS (
    SELECT id FROM walk WHERE depth = cardinality(%(names)s::bytea[]) AND state = 'deleted'
     ORDER BY deleted_at DESC, id DESC LIMIT 1
)
SELECT d.id, d.mount_id, d.path, d.document_text AS document FROM latest JOIN filestore.node_documents d ON d.id = latest.id

-- name: children
-- A directory and one page of its living children by kind and name. It runs most often: no conditions, one row. `last_` is
-- where the page ends; `names` are those of the page, with a '/' between them.
WITH page AS MATERIALIZED (
    SELECT c.id, c.kind, c.name FROM filestore.nodes c WHERE c.parent_id = %(id)s AND c.state <> 'deleted'
     ORDER BY c.kind, c.name LIMIT %(limit)s OFFSET %(offset)s
)
SELECT p.mount_id, p.path, p.kind::text AS kind, p.document_text AS parent,
       (SELECT count(*) FROM filestore.nodes c WHERE c.parent_id = %(id)s AND c.state <> 'deleted') AS total,
       (SELECT string_agg(d.document_text, ',' ORDER BY k.kind, k.name)
          FROM page k JOIN filestore.node_documents d ON d.id = k.id) AS items,
       (SELECT string_agg(k.name, '/') FROM page k) AS names,
       l.kind::text AS last_rank, l.name AS last_key, l.id AS last_id
  FROM filestore.node_documents p
  LEFT JOIN (SELECT * FROM page ORDER BY kind DESC, name DESC LIMIT 1) l ON true
 WHERE p.id = %(id)s AND p.tenant = %(tenant)s

-- name: readable_children
-- The same of those that grants let be read: all, or some by name, and what fits a glob, but for those that are denied. Names are
-- looked up in a hash, however many grants there are; they come as one text, with a '/' between them.
WITH found AS MATERIALIZED (
    SELECT c.id, c.kind, c.name FROM filestore.nodes c
     WHERE c.parent_id = %(id)s AND c.state <> 'deleted'
       AND (%(all_allowed)s OR c.name IN (
                SELECT convert_to(t, 'LATIN1') FROM string_to_table(convert_from(%(allowed_names)s::bytea, 'LATIN1'), '/') t)
            OR CASE WHEN %(allowed_glob)s::text IS NULL THEN false
                     ELSE convert_from(%(directory)s::bytea || c.name, 'LATIN1') ~ %(allowed_glob)s END)
       AND NOT (%(all_denied)s OR c.name IN (
                SELECT convert_to(t, 'LATIN1') FROM string_to_table(convert_from(%(denied_names)s::bytea, 'LATIN1'), '/') t)
                OR CASE WHEN %(denied_glob)s::text IS NULL THEN false
                     ELSE convert_from(%(directory)s::bytea || c.name, 'LATIN1') ~ %(denied_glob)s END)
), page AS MATERIALIZED (
    SELECT * FROM found ORDER BY kind, name LIMIT %(limit)s OFFSET %(offset)s
)
SELECT p.mount_id, p.path, p.kind::text AS kind, p.document_text AS parent, (SELECT count(*) FROM found) AS total,
       (SELECT string_agg(d.document_text, ',' ORDER BY k.kind, k.name)
          FROM page k JOIN filestore.node_documents d ON d.id = k.id) AS items,
       l.kind::text AS last_rank, l.name AS last_key, l.id AS last_id
  FROM filestore.node_documents p
  LEFT JOIN (SELECT * FROM page ORDER BY kind DESC, name DESC LIMIT 1) l ON true
 WHERE p.id = %(id)s AND p.tenant = %(tenant)s

-- name: matching
-- A fragment: the conditions clients can set in lists. `n` is a node with its `path`, and `shown`, that as text. Text is compared
-- as Unicode folds it: `lower` knows the letters of the database's locale alone, and with the locale C that is ASCII.
       n.state::text = ANY(%(states)s)
   AND (%(kinds)s::text[] IS NULL OR n.kind::text = ANY(%(kinds)s))
   AND (NOT %(drift_only)s OR n.state IN ('inconsistent', 'missing'))
   AND (%(search)s::text IS NULL OR strpos(casefold(n.shown COLLATE "pg_unicode_fast"),
                                           casefold(%(search)s::text COLLATE "pg_unicode_fast")) > 0)
   AND (%(query)s::text IS NULL OR strpos(casefold(n.shown COLLATE "pg_unicode_fast"),
                                          casefold(%(query)s::text COLLATE "pg_unicode_fast")) > 0)
   AND n.metadata @> ALL (%(metadata)s::jsonb[])
   AND (%(all_readable)s OR filestore.held_v1(n.path, %(allowed)s::bytea[], %(allowed_glob)s)
                            AND NOT filestore.held_v1(n.path, %(denied)s::bytea[], %(denied_glob)s))
   AND (%(min_size)s::bigint IS NULL OR n.size_bytes >= %(min_size)s)
   AND (%(max_size)s::bigint IS NULL OR n.size_bytes <= %(max_size)s)
   AND (%(seen_after)s::timestamptz IS NULL OR n.observed_at >= %(seen_after)s)
   AND (%(seen_before)s::timestamptz IS NULL OR n.observed_at <= %(seen_before)s)
   AND (NOT %(rolled_up)s OR n.kind = 'directory' AND EXISTS (
        SELECT FROM filestore.rollup_of(n.id) r
         WHERE (%(rollup_states)s::text[] IS NULL OR r.consistency_state = ANY(%(rollup_states)s))
           AND (%(min_child_count)s::bigint IS NULL OR r.child_count >= %(min_child_count)s)
           AND (%(max_child_count)s::bigint IS NULL OR r.child_count <= %(max_child_count)s)
           AND (%(min_file_count)s::bigint IS NULL OR r.file_count >= %(min_file_count)s)
           AND (%(max_file_count)s::bigint IS NULL OR r.file_count <= %(max_file_count)s)
           AND (%(min_directory_count)s::bigint IS NULL OR r.directory_count >= %(min_directory_count)s)
           AND (%(max_directory_count)s::bigint IS NULL OR r.directory_count <= %(max_directory_count)s)
           AND (%(min_size_bytes)s::bigint IS NULL OR r.size_bytes >= %(min_size_bytes)s)
           AND (%(max_size_bytes)s::bigint IS NULL OR r.size_bytes <= %(max_size_bytes)s)
           AND (%(calculated_after)s::timestamptz IS NULL OR r.last_calculated_at >= %(calculated_after)s)
           AND (%(calculated_before)s::timestamptz IS NULL OR r.last_calculated_at <= %(calculated_before)s)))

-- name: some_children
-- A fragment: the children of a directory that match. Two branches, because living and deleted names have an index each.
WITH found AS MATERIALIZED (
    SELECT n.id, n.kind, n.name FROM (
        SELECT c.*, %(directory)s::bytea || c.name AS path, c.name_text AS shown
          FROM filestore.nodes c WHERE c.parent_id = %(id)s AND c.state <> 'deleted'
         UNION ALL
        SELECT c.*, %(directory)s::bytea || c.name AS path, c.name_text AS shown FROM filestore.nodes c
         WHERE c.parent_id = %(id)s AND c.state = 'deleted' AND %(deleted)s) n
     WHERE

-- name: some_children_page
-- A fragment: the page of it after a place or an offset, after `some_children` and `matching`.
), page AS MATERIALIZED (
    SELECT * FROM found WHERE %(after_id)s::bigint IS NULL
        OR (kind, name, id) > (%(after_rank)s::filestore.node_kind, %(after_key)s::bytea, %(after_id)s)
     ORDER BY kind, name, id LIMIT %(limit)s OFFSET %(offset)s
)
SELECT p.mount_id, p.path, p.kind::text AS kind, p.document_text AS parent, (SELECT count(*) FROM found) AS total,
       (SELECT string_agg(d.document_text, ',' ORDER BY k.kind, k.name, k.id)
          FROM page k JOIN filestore.node_documents d ON d.id = k.id) AS items,
       l.kind::text AS last_rank, l.name AS last_key, l.id AS last_id,
       EXISTS (SELECT FROM found f WHERE (f.kind, f.name, f.id) > (l.kind, l.name, l.id)) AS more
  FROM filestore.node_documents p
  LEFT JOIN (SELECT * FROM page ORDER BY kind DESC, name DESC, id DESC LIMIT 1) l ON true
 WHERE p.id = %(id)s AND p.tenant = %(tenant)s

-- name: tree
-- A fragment: the node at a path and all below it, down to a depth. `low` and `high` bound the paths of its directories.
WITH directories AS (
    SELECT f.id, f.directory_path, f.directory_text FROM filestore.nodes f
     WHERE f.mount_id = %(mount)s AND f.directory_path >= %(low)s AND f.directory_path < %(high)s AND f.state <> 'deleted'
     UNION ALL
    SELECT f.id, f.directory_path, f.directory_text FROM filestore.nodes f
     WHERE f.mount_id = %(mount)s AND f.directory_path >= %(low)s AND f.directory_path < %(high)s AND f.state = 'deleted'
       AND %(deleted)s
), found AS MATERIALIZED (
    SELECT n.id, n.depth, n.path FROM (
        SELECT c.*, f.directory_path || c.name AS path, f.directory_text || c.name_text AS shown
          FROM directories f JOIN filestore.nodes c ON c.parent_id = f.id AND c.state <> 'deleted'
         UNION ALL
        SELECT c.*, f.directory_path || c.name, f.directory_text || c.name_text
          FROM directories f JOIN filestore.nodes c ON c.parent_id = f.id AND c.state = 'deleted' AND %(deleted)s
         UNION ALL
        SELECT c.*, f.directory_path || c.name, f.directory_text || c.name_text
          FROM filestore.nodes f JOIN filestore.nodes c ON c.parent_id = f.id AND c.name = %(name)s
         WHERE f.mount_id = %(mount)s AND f.directory_path = %(parent)s
           AND (f.state <> 'deleted' AND c.state <> 'deleted' OR %(deleted)s)) n
     WHERE n.depth <= %(deepest)s AND

-- name: tree_collisions
-- A fragment: beside what matches, only names that a file system which ignores case, or normalises names, takes for one another.
   AND n.id IN (SELECT id FROM (
        SELECT c.id, count(*) OVER (PARTITION BY c.parent_id, normalize(casefold(normalize(c.name_text, NFC)
                   COLLATE "pg_unicode_fast"), NFC)) AS alike
          FROM directories f JOIN filestore.nodes c ON c.parent_id = f.id AND c.state <> 'deleted') named
         WHERE alike > 1)

-- name: collides_with
-- The living names beside a node that such a file system takes for its own, as a JSON array.
SELECT coalesce(json_agg(o.name_text ORDER BY o.name), '[]')::text AS names
  FROM filestore.nodes n
  JOIN filestore.nodes o ON o.parent_id = n.parent_id AND o.state <> 'deleted' AND o.id <> n.id
   AND normalize(casefold(normalize(o.name_text, NFC) COLLATE "pg_unicode_fast"), NFC)
     = normalize(casefold(normalize(n.name_text, NFC) COLLATE "pg_unicode_fast"), NFC)
 WHERE n.id = %(id)s AND n.state <> 'deleted'

-- name: tree_page
-- A fragment: the page of it by depth and path, after a place or an offset, after `tree` and `matching`.
), page AS MATERIALIZED (
    SELECT * FROM found WHERE %(after_id)s::bigint IS NULL
        OR (depth, path, id) > (%(after_rank)s::integer, %(after_key)s::bytea, %(after_id)s)
     ORDER BY depth, path, id LIMIT %(limit)s OFFSET %(offset)s
)
SELECT (SELECT count(*) FROM found) AS total,
       (SELECT string_agg(d.document_text, ',' ORDER BY k.depth, k.path, k.id)
          FROM page k JOIN filestore.node_documents d ON d.id = k.id) AS items,
       l.depth AS last_rank, l.path AS last_key, l.id AS last_id,
       EXISTS (SELECT FROM found f WHERE (f.depth, f.path, f.id) > (l.depth, l.path, l.id)) AS more
  FROM (SELECT) one LEFT JOIN (SELECT * FROM page ORDER BY depth DESC, path DESC, id DESC LIMIT 1) l ON true

-- name: content
-- All that is needed to send a file's bytes, and to check that they are those on record.
SELECT n.id, n.mount_id, n.kind::text, n.state::text, n.version, coalesce(p.directory_path, '') || n.name AS path, n.name_text,
       n.size_bytes, n.sha256, n.checksum, n.mime_type, filestore.node_facts(n)->'identity' AS identity,
       n.last_modified_at, n.created_at,
       EXISTS (SELECT FROM filestore.claims c
                WHERE c.mount_id = n.mount_id AND NOT c.shared AND (c.path = p.directory_path || n.name
           OR c.kind = 'subtree' AND c.path || '\x2f'::bytea = substring(p.directory_path FOR octet_length(c.path) + 1))) AS busy
  FROM filestore.nodes n LEFT JOIN filestore.nodes p ON p.id = n.parent_id
 WHERE n.id = %(id)s AND n.tenant = %(tenant)s
