-- What a restore plans from: what was deleted, and with what; what is kept of it; as it is now.

-- name: gone_at
-- The node that was deleted last at a path.
SELECT n.id, n.kind::text, n.version, n.deleted_at AS modified, %(path)s::bytea AS path
  FROM (SELECT p.id FROM filestore.nodes p
         WHERE p.mount_id = %(mount)s AND p.directory_path = %(parent)s AND p.directory_path IS NOT NULL AND p.state <> 'deleted'
         UNION ALL
        SELECT p.id FROM filestore.nodes p
         WHERE p.mount_id = %(mount)s AND p.directory_path = %(parent)s AND p.directory_path IS NOT NULL AND p.state = 'deleted') d
 CROSS JOIN LATERAL (SELECT k.* FROM filestore.nodes k WHERE k.parent_id = d.id AND k.name = %(name)s AND k.state = 'deleted'
                      ORDER BY k.deleted_at DESC LIMIT 1) n
 ORDER BY n.deleted_at DESC LIMIT 1

-- name: buried
-- The next nodes below a directory that was deleted, of those that went along with it, after a place: directories in the order of
-- their paths, each followed by what it held beside other directories, by name.
WITH top AS MATERIALIZED (
    SELECT n.id, n.mount_id, n.directory_path AS low,
           substring(n.directory_path FROM 1 FOR octet_length(n.directory_path) - 1) || '\x30'::bytea AS high,
           s.command_id AS deleter
      FROM filestore.nodes n
      JOIN filestore.snapshots s ON s.node_id = n.id AND s.version = n.version
     WHERE n.id = %(top)s AND n.state = 'deleted'
), directories AS (
    SELECT d.* FROM top t
     CROSS JOIN LATERAL (SELECT k.id, k.directory_path, k.version, k.deleted_at FROM filestore.nodes k
                          WHERE k.mount_id = t.mount_id AND k.directory_path >= greatest(t.low, %(directory)s::bytea)
                            AND k.directory_path < t.high AND k.directory_path IS NOT NULL AND k.state = 'deleted'
                            AND EXISTS (SELECT FROM filestore.snapshots s
                                         WHERE s.node_id = k.id AND s.version = k.version AND s.command_id = t.deleter OFFSET 0)
                          ORDER BY k.directory_path LIMIT 200) d
)
SELECT n.path, d.directory_path AS directory, t.low, n.name, n.id, n.kind::text, n.version, n.size, n.modified
  FROM top t CROSS JOIN directories d
 CROSS JOIN LATERAL (
    SELECT substring(d.directory_path FOR octet_length(d.directory_path) - 1) AS path, ''::bytea AS name, d.id,
           'directory'::filestore.node_kind AS kind, d.version, 0::bigint AS size, d.deleted_at AS modified
     WHERE d.directory_path > greatest(t.low, %(directory)s::bytea)
     UNION ALL
    (SELECT d.directory_path || x.name, x.name, x.id, x.kind, x.version, x.size_bytes, x.deleted_at
       FROM filestore.nodes x
      WHERE x.parent_id = d.id AND x.state = 'deleted' AND x.kind <> 'directory'
        AND x.name > CASE WHEN d.directory_path = %(directory)s THEN %(name)s::bytea ELSE ''::bytea END
        AND EXISTS (SELECT FROM filestore.snapshots s
                     WHERE s.node_id = x.id AND s.version = x.version AND s.command_id = t.deleter OFFSET 0)
      ORDER BY x.name LIMIT %(limit)s)) n
 ORDER BY d.directory_path, n.name LIMIT %(limit)s

-- name: kept_now
-- Of nodes: how they are now, and what is kept. `place`: where a living one lies. `latest`: the newest older version whose content
-- is kept. `with_it`: the node is deleted, and what it was then is kept. `outdone`: another one was deleted later under its name,
-- and is kept. `parent`: where the directory of a deleted one lay to its end, and what deleted it (`parent_left`). Of a deleted
-- directory the totals are of what went with it.
SELECT n.id, n.kind::text, n.version, n.state = 'deleted' AS gone, p.directory_path || n.name AS place,
       CASE n.kind WHEN 'directory' THEN r.size_bytes ELSE n.size_bytes END AS size,
       CASE n.kind WHEN 'directory' THEN 1 + r.file_count + r.directory_count ELSE 1 END AS nodes,
       (SELECT s.command_id::text FROM filestore.snapshots s WHERE s.node_id = n.id AND s.version = n.version) AS left,
       d.directory_path AS parent, d.left AS parent_left,
       (SELECT max(s.version) FROM filestore.snapshots s WHERE s.node_id = n.id AND s.state <> 'deleted'
           AND s.content_place IS NOT NULL AND s.content_until > now()) AS latest,
       EXISTS (SELECT FROM filestore.snapshots s WHERE s.node_id = n.id AND s.version = n.version - 1
           AND s.content_place IS NOT NULL AND s.content_until > now()) AS with_it,
       n.state = 'deleted' AND EXISTS (
           SELECT FROM filestore.nodes y
             JOIN filestore.snapshots s ON s.node_id = y.id AND s.version = y.version - 1 AND s.content_until > now()
            WHERE y.parent_id = n.parent_id AND y.name = n.name AND y.state = 'deleted' AND y.deleted_at > n.deleted_at) AS outdone
  FROM unnest(%(nodes)s::bigint[]) AS x(id)
 CROSS JOIN LATERAL (SELECT k.* FROM filestore.nodes k WHERE k.id = x.id OFFSET 0) n
  LEFT JOIN LATERAL (SELECT k.directory_path FROM filestore.nodes k
                      WHERE k.id = n.parent_id AND n.state <> 'deleted' OFFSET 0) p ON true
  LEFT JOIN LATERAL (SELECT k.directory_path, s.command_id::text AS left FROM filestore.nodes k
                       JOIN filestore.snapshots s ON s.node_id = k.id AND s.version = k.version
                      WHERE k.id = n.parent_id AND n.state = 'deleted' AND k.state = 'deleted' OFFSET 0) d ON true
  LEFT JOIN LATERAL (SELECT k.* FROM filestore.rollup_of(n.id) k WHERE n.kind = 'directory') r ON true

-- name: since
-- Of nodes with the directory and the name that they had at a time: how they are now; of a deleted one where it lay, what deleted
-- it and whether what it was is kept. `rival`: another node under that name that was deleted along with that directory.
SELECT n.id, n.version, n.state = 'deleted' AS gone, p.directory_path || n.name AS place, s.left, s.kept, n.sha256,
       n.metadata::text, coalesce(r.size_bytes, n.size_bytes) AS size, 1 + coalesce(r.file_count + r.directory_count, 0) AS nodes,
       v.id AS rival, v.kind::text AS rival_kind, v.version AS rival_version, v.size_bytes AS rival_size
  FROM jsonb_to_recordset(%(nodes)s::jsonb) AS x(id bigint, parent bigint, name text)
 CROSS JOIN LATERAL (SELECT k.* FROM filestore.nodes k WHERE k.id = x.id OFFSET 0) n
 CROSS JOIN LATERAL (SELECT k.directory_path FROM filestore.nodes k WHERE k.id = n.parent_id OFFSET 0) p
  LEFT JOIN LATERAL (
      SELECT k.command_id::text AS left, EXISTS (
                 SELECT FROM filestore.versions o WHERE o.node_id = n.id AND o.version = n.version - 1
                    AND o.content_place IS NOT NULL AND o.content_until > now() OFFSET 0) AS kept
        FROM filestore.versions k WHERE n.state = 'deleted' AND k.node_id = n.id AND k.version = n.version OFFSET 0) s ON true
  LEFT JOIN LATERAL (SELECT k.* FROM filestore.rollup_of(n.id) k WHERE n.kind = 'directory' AND n.state = 'deleted') r ON true
  LEFT JOIN LATERAL (
      SELECT k.id, k.kind, k.version, k.size_bytes
        FROM filestore.nodes d
        JOIN filestore.versions e ON e.node_id = d.id AND e.version = d.version
        JOIN filestore.nodes k ON k.parent_id = d.id AND k.name = decode(x.name, 'hex') AND k.state = 'deleted' AND k.id <> n.id
        JOIN filestore.versions f ON f.node_id = k.id AND f.version = k.version AND f.command_id = e.command_id
       WHERE d.id = x.parent AND d.state = 'deleted' LIMIT 1) v ON true

-- name: were
-- Of nodes: where they lay below a directory at a time (NULL: nowhere), and whether they were at all.
SELECT x.id, filestore.path_below_v1(x.id, %(base)s, %(at)s) AS path,
       EXISTS (SELECT FROM filestore.snapshots s WHERE s.node_id = x.id AND s.valid_from <= %(at)s OFFSET 0) AS was
  FROM unnest(%(nodes)s::bigint[]) AS x(id)
