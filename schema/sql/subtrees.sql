-- What a copy takes as a whole.

-- name: weigh
-- Directories with all that they hold: nodes, bytes; and, of those that are not too large, whether a copy would refuse something.
SELECT n.id, 1 + r.file_count + r.directory_count AS nodes, r.size_bytes AS size, r.directory_count = 0 AS flat,
       r.file_count + r.directory_count < CASE r.directory_count WHEN 0 THEN %(flat)s::bigint ELSE %(most)s::bigint END
           AND NOT EXISTS (
           SELECT FROM (SELECT k.id FROM filestore.nodes k
                         WHERE k.mount_id = %(mount)s AND k.directory_path >= n.directory_path
                           AND k.directory_path
                               < substring(n.directory_path FOR octet_length(n.directory_path) - 1) || '\x30'::bytea
                           AND k.directory_path IS NOT NULL AND k.state <> 'deleted') d
            CROSS JOIN LATERAL (SELECT k.kind, k.state FROM filestore.nodes k
                                 WHERE k.parent_id = d.id AND k.state <> 'deleted' OFFSET 0) x
            WHERE x.state <> 'active' OR x.kind NOT IN ('file', 'directory')) AS plain
  FROM unnest(%(ids)s::bigint[]) AS i(id)
 CROSS JOIN LATERAL (SELECT k.id, k.directory_path FROM filestore.nodes k WHERE k.id = i.id OFFSET 0) n
 CROSS JOIN LATERAL (SELECT * FROM filestore.rollup_of(n.id)) r
