-- Items that an operation carries out itself, without commands: they verify, purge, forget, or tag.

-- name: in_flight
-- What was begun and has not ended: by this runner's last step, or by one that is lost.
SELECT i.item FROM filestore.operation_items i
 WHERE i.operation_id = %(id)s AND i.state = 'running' AND (NOT %(records)s OR i.kind = 'tag')
 ORDER BY i.item LIMIT %(limit)s

-- name: begin
-- These are in flight now; what is to be put back is done no more.
WITH begun AS (
    UPDATE filestore.operation_items i SET state = 'running', retry_at = NULL
     WHERE i.operation_id = %(id)s AND i.item = ANY(%(items)s::integer[]) AND i.state IN ('pending', 'done')
    RETURNING i.left_version
)
UPDATE filestore.operations o
   SET in_flight = o.in_flight + n.begun, done = o.done - n.back, touched_at = now(), paced_until = CASE WHEN %(seconds)s::float > 0
           THEN greatest(now(), coalesce(paced_until, now())) + %(seconds)s::float * interval '1 second' END
  FROM (SELECT count(*) AS begun, count(left_version) AS back FROM begun) n WHERE o.id = %(id)s

-- name: end
-- These have ended, or wait for another turn (`pending`). Each is counted once, however often it is told.
WITH ended AS (
    UPDATE filestore.operation_items i SET state = x.state, code = x.code, message = x.message
      FROM jsonb_to_recordset(%(items)s::jsonb) AS x(item integer, state filestore.item_state, code text, message text)
     WHERE i.operation_id = %(id)s AND i.item = x.item AND i.state = 'running'
    RETURNING i.state, i.code, i.nodes, i.size_bytes
)
UPDATE filestore.operations o
   SET in_flight = o.in_flight - n.ended, done = o.done + n.done, failed = o.failed + n.failed, skipped = o.skipped + n.skipped,
       changed = o.changed + n.changed, nodes_done = o.nodes_done + n.nodes, bytes_done = o.bytes_done + n.bytes, touched_at = now()
  FROM (SELECT count(*) AS ended, count(*) FILTER (WHERE state = 'done') AS done,
               count(*) FILTER (WHERE state = 'failed') AS failed,
               count(*) FILTER (WHERE state = 'skipped') AS skipped,
               count(*) FILTER (WHERE state = 'skipped' AND code IN ('VERSION_CONFLICT', 'NODE_NOT_FOUND')) AS changed,
               coalesce(sum(nodes) FILTER (WHERE state = 'done'), 0) AS nodes,
               coalesce(sum(size_bytes) FILTER (WHERE state = 'done'), 0) AS bytes FROM ended) n
 WHERE o.id = %(id)s

-- name: wanted
-- Whether it goes on, and how fast it may read.
SELECT o.state = 'running' AND o.want IS NULL AS goes, (o.options->>'bytes_per_second')::float AS rate
  FROM filestore.operations o WHERE o.id = %(id)s

-- name: files
-- The files of these items, as the record knows them now; where one lies now.
SELECT i.item, i.version AS seen, i.path AS planned, n.id, n.version, n.state::text, n.sha256,
       filestore.node_identity(n) AS identity, p.directory_path || n.name AS path
  FROM filestore.operation_items i
 CROSS JOIN LATERAL (SELECT k.* FROM filestore.nodes k WHERE k.id = i.node_id OFFSET 0) n
 CROSS JOIN LATERAL (SELECT k.directory_path FROM filestore.nodes k WHERE k.id = n.parent_id OFFSET 0) p
 WHERE i.operation_id = %(id)s AND i.item = ANY(%(items)s::integer[]) ORDER BY i.item

-- name: verified
-- The contents of nodes were read, and are what the record says. Where the record had no hash, it has one now: that is no
-- new version.
WITH known AS (
    UPDATE filestore.nodes n SET consistency_checked_at = now(), sha256 = coalesce(n.sha256, r.sha256)
      FROM unnest(%(nodes)s::bigint[], %(versions)s::bigint[], %(hashes)s::bytea[]) AS r(node, version, sha256)
     WHERE n.id = ANY (ARRAY[r.node]) AND n.version = r.version AND n.state <> 'deleted'
    RETURNING n.id, n.version, r.sha256
)
UPDATE filestore.versions s SET sha256 = k.sha256
  FROM known k WHERE s.node_id = ANY (ARRAY[k.id]) AND s.version = k.version AND s.sha256 IS NULL
