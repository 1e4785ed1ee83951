-- Reading what was: nodes as they were at a time, and what has changed between two. From the versions alone: a version knows its
-- directory and its name, so that a path of then is found from the root down, whatever has moved or gone since.

-- name: now
-- The time of the database, which versions have.
SELECT clock_timestamp() AS at

-- name: root_of
-- The root of a mount. Before there was a mount it was empty.
SELECT r.id FROM filestore.nodes r
 WHERE r.mount_id = %(mount)s AND r.directory_path = '' AND r.state <> 'deleted'

-- name: chain
-- Which nodes lay on a path, name by name from a directory down: as many as there were.
WITH RECURSIVE walk AS (
    SELECT %(start)s::bigint AS id, 0 AS depth, 'directory'::filestore.node_kind AS kind
     UNION ALL
    SELECT c.node_id, w.depth + 1, c.kind
      FROM walk w CROSS JOIN LATERAL (
          SELECT s.node_id, s.kind FROM filestore.snapshots s
           WHERE s.parent_id = w.id AND s.kind IN ('directory', 'file', 'symlink', 'special')
             AND s.name = (%(names)s::bytea[])[w.depth + 1] AND s.state <> 'deleted'
             AND s.valid_from <= %(at)s AND (s.valid_to IS NULL OR s.valid_to > %(at)s) LIMIT 1) c
     WHERE w.depth < cardinality(%(names)s::bytea[])
)
SELECT id, kind::text FROM walk ORDER BY depth

-- name: root
-- The root of the mount of a node, which has no versions.
SELECT n.id, n.mount_id, NULL::bigint AS parent_id, n.name, n.kind::text, n.state::text, n.version, n.size_bytes, n.sha256,
       n.metadata::text, n.created_at AS valid_from, NULL::timestamptz AS valid_to, n.created_at, NULL::text AS checksum,
       false AS available
  FROM filestore.nodes o
  JOIN filestore.backend_mounts m ON m.id = o.mount_id AND m.removed_at IS NULL
  JOIN filestore.nodes n ON n.mount_id = o.mount_id AND n.directory_path = '' AND n.state <> 'deleted'
 WHERE o.id = %(id)s AND o.tenant = %(tenant)s

-- name: version
-- A fragment: one node, with the version that it had.
WITH picked AS (SELECT s.* FROM filestore.version_at_v1(%(id)s, %(at)s) s)

-- name: path
-- Where it lay.
SELECT filestore.path_below_v1(%(id)s, %(root)s, %(at)s) AS path

-- name: children
-- A fragment: what a directory held, after one of its entries.
WITH picked AS (
    SELECT s.* FROM filestore.snapshots s
     WHERE s.parent_id = %(id)s AND s.state <> 'deleted'
       AND s.valid_from <= %(at)s AND (s.valid_to IS NULL OR s.valid_to > %(at)s)
       AND (s.kind, s.name, s.node_id) > (%(after_kind)s::filestore.node_kind, %(after_name)s::bytea, %(after_id)s::bigint)
     ORDER BY s.kind, s.name, s.node_id LIMIT %(limit)s
)

-- name: columns
-- A fragment: what is told of a version that was picked, before `where_kept` of snapshots.sql.
SELECT s.node_id AS id, n.mount_id, s.parent_id, s.name, s.kind::text, s.state::text, s.version, s.size_bytes, s.sha256,
       s.metadata::text, s.valid_from, s.valid_to, n.created_at,
       CASE WHEN n.sha256 = s.sha256 THEN filestore.hex_of(n.checksum) END AS checksum,
       k.live OR k.place IS NOT NULL AS available

-- name: in_order
-- A fragment: the order of children.
 ORDER BY s.kind, s.name, s.node_id

-- name: count_children
-- How many a directory held.
SELECT count(*) AS total FROM filestore.snapshots s
 WHERE s.parent_id = %(id)s AND s.state <> 'deleted' AND s.valid_from <= %(at)s AND (s.valid_to IS NULL OR s.valid_to > %(at)s)

-- name: differences
-- Nodes whose place or content at `until` is another than at `since`, seen from two directories: below the first one then, below
-- the second one now. Only a node with a version that began in the span can be one of them. What came or went along with its
-- directory is not told: the directory is. So many versions are looked at, whatever is found: `last_` is the last of those.
WITH seen AS MATERIALIZED (
    SELECT s.* FROM filestore.snapshots s
     WHERE s.valid_from > %(since)s AND s.valid_from <= %(until)s
       AND (s.valid_from, s.node_id, s.version) > (%(after_time)s::timestamptz, %(after_id)s::bigint, %(after_version)s::bigint)
     ORDER BY s.valid_from, s.node_id, s.version LIMIT %(scan)s
), placed AS MATERIALIZED (
    SELECT c.*, b.version AS old_version, b.parent_id AS old_parent, b.name AS old_name, b.size_bytes AS old_size,
           b.sha256 AS old_sha256, b.metadata AS old_metadata, b.valid_from AS old_from,
           CASE WHEN b.state <> 'deleted' THEN filestore.path_below_v1(c.node_id, %(before)s, %(since)s) END AS old_path,
           CASE WHEN c.state <> 'deleted' THEN filestore.path_below_v1(c.node_id, %(after)s, %(until)s) END AS new_path
      FROM seen c
     CROSS JOIN LATERAL (SELECT FROM filestore.nodes k WHERE k.id = c.node_id AND k.mount_id = %(mount)s OFFSET 0) n
      LEFT JOIN LATERAL filestore.version_at_v1(c.node_id, %(since)s) b ON true
     WHERE (c.valid_to IS NULL OR c.valid_to > %(until)s)
       AND NOT (c.node_id IN (%(before)s, %(after)s) AND %(before)s::bigint IS DISTINCT FROM %(after)s::bigint)
), judged AS (
    SELECT p.*, CASE
        WHEN p.old_path IS NULL AND p.new_path IS NULL THEN NULL
        WHEN p.old_path IS NULL THEN
            CASE WHEN filestore.path_below_v1(p.parent_id, %(before)s, %(since)s) IS NOT NULL THEN 'added' END
        WHEN p.new_path IS NULL THEN
            CASE WHEN filestore.path_below_v1(p.old_parent, %(after)s, %(until)s) IS NOT NULL THEN 'removed' END
        WHEN (p.parent_id, p.name) IS DISTINCT FROM (p.old_parent, p.old_name) AND p.new_path <> '' THEN 'moved'
        WHEN (p.size_bytes, p.sha256, p.metadata) IS DISTINCT FROM (p.old_size, p.old_sha256, p.old_metadata) THEN 'changed' END
        AS change
      FROM placed p
)
SELECT j.change, j.node_id, j.kind::text, j.valid_from, j.version, j.size_bytes, j.sha256, j.new_path, j.old_version, j.old_size,
       j.old_sha256, j.old_path, j.old_from,
       l.valid_from AS last_time, l.node_id AS last_id, l.version AS last_version, l.full
  FROM (SELECT z.*, (SELECT count(*) FROM seen) = %(scan)s AS full FROM seen z
         ORDER BY z.valid_from DESC, z.node_id DESC, z.version DESC LIMIT 1) l
  LEFT JOIN LATERAL (SELECT * FROM judged WHERE change IS NOT NULL ORDER BY valid_from, node_id, version LIMIT %(limit)s) j ON true
 ORDER BY j.valid_from, j.node_id, j.version

-- name: bases
-- The same of the two directories themselves, where the path names another one now.
SELECT CASE WHEN p.old_path IS NULL THEN 'added' WHEN p.new_path IS NULL THEN 'removed' ELSE 'moved' END AS change, x.id AS node_id,
       coalesce(n.kind, o.kind)::text AS kind, n.valid_from, n.version, n.size_bytes, n.sha256, p.new_path,
       o.version AS old_version, o.size_bytes AS old_size, o.sha256 AS old_sha256, p.old_path, o.valid_from AS old_from
  FROM (VALUES (%(before)s::bigint), (%(after)s::bigint)) AS x(id)
  LEFT JOIN LATERAL filestore.version_at_v1(x.id, %(since)s) o ON true
  LEFT JOIN LATERAL filestore.version_at_v1(x.id, %(until)s) n ON true
 CROSS JOIN LATERAL (SELECT filestore.path_below_v1(x.id, %(before)s, %(since)s) AS old_path,
                            filestore.path_below_v1(x.id, %(after)s, %(until)s) AS new_path) p
 WHERE x.id IS NOT NULL AND coalesce(p.old_path, p.new_path) IS NOT NULL
