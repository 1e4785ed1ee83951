-- All nodes, for a reader of the feed that begins, or that has fallen behind what is kept of it.

-- name: begin
-- Where the feed ends, and the last node there is. Every event up to that position is in what a later statement sees.
SELECT f.position AS after, coalesce((SELECT n.id FROM filestore.nodes n ORDER BY n.id DESC LIMIT 1), 0) AS last
  FROM filestore.event_feed f

-- name: page
-- The next living nodes by id, but the roots of mounts, in the form that events have. So many are looked at, whatever is asked
-- for: `looked` is the last.
WITH looked AS MATERIALIZED (
    SELECT n.id, n.tenant = %(tenant)s AND n.state <> 'deleted' AND n.parent_id IS NOT NULL
           AND (%(mount)s::bigint IS NULL OR n.mount_id = %(mount)s) AS wanted
      FROM filestore.nodes n
     WHERE n.id > %(after)s AND n.id <= %(last)s ORDER BY n.id LIMIT %(limit)s
)
SELECT b.looked, d.id, d.mount_id, d.path, d.document
  FROM (SELECT max(id) AS looked FROM looked) b
  LEFT JOIN looked l ON l.wanted
  LEFT JOIN LATERAL (
      SELECT k.id, k.mount_id, k.path,
             (jsonb_build_object('backendMountId', k.mount_id, 'nodeId', k.id, 'path', k.path_text, 'kind', k.kind,
                 'state', k.state, 'parentId', k.parent_id, 'version', k.version, 'sizeBytes', k.size_bytes,
                 'checksum', coalesce(filestore.hex_of(k.checksum), encode(k.sha256, 'hex')),
                 'contentHash', encode(k.sha256, 'hex'), 'metadata', k.metadata)
                 || jsonb_strip_nulls(jsonb_build_object('pathB64', filestore.path_b64_v1(k.path, k.path_text))))::text AS document
        FROM filestore.node_documents k WHERE k.id = l.id OFFSET 0) d ON true
 ORDER BY d.id
