-- Records of many nodes, as an operation changes them and puts them back.
-- LATERAL with OFFSET 0: see trees.sql.

-- name: of_nodes
-- Nodes as they are, what is said of them, and the rule that holds where they lie. Without a record: what its first version says.
-- `said`: the version since which nothing else is said; records are closed and opened again with their nodes.
SELECT n.id AS node, n.mount_id, n.state = 'deleted' AS gone, l.path, r.version IS NOT NULL AS known,
       coalesce(r.namespace, u.namespace, %(namespace)s) AS namespace, coalesce(r.tags, '{}') AS tags, r.owner,
       coalesce(r.metadata, '{}') AS metadata, coalesce(r.version, 1) AS version, coalesce(s.version, r.version, 1) AS said,
       u.namespace AS demanded, u.mode
  FROM unnest(%(nodes)s::bigint[]) AS i(node)
 CROSS JOIN LATERAL (SELECT k.id, k.tenant, k.mount_id, k.parent_id, k.name, k.state FROM filestore.nodes k
                      WHERE k.id = i.node AND k.parent_id IS NOT NULL OFFSET 0) n
 CROSS JOIN LATERAL (SELECT k.directory_path FROM filestore.nodes k WHERE k.id = n.parent_id OFFSET 0) p
 CROSS JOIN LATERAL (SELECT coalesce(p.directory_path || n.name, ''::bytea) AS path OFFSET 0) l
  LEFT JOIN LATERAL (SELECT * FROM filestore.record_rule_v1(n.tenant, n.mount_id, l.path) OFFSET 0) u ON true
  LEFT JOIN LATERAL (SELECT k.namespace, k.tags, k.owner, k.metadata, k.version, k.change FROM filestore.metastore_records k
                      WHERE k.node_id = i.node OFFSET 0) r ON true
  LEFT JOIN LATERAL (SELECT max(k.version) AS version FROM filestore.metastore_history k
                      WHERE r.change IN ('closed', 'reopened') AND k.node_id = i.node
                        AND k.change NOT IN ('closed', 'reopened') OFFSET 0) s ON true

-- name: unknown
-- Which of the nodes of these items have no record yet.
SELECT i.node_id AS node FROM filestore.operation_items i
 WHERE i.operation_id = %(id)s AND i.item = ANY(%(items)s::integer[]) AND i.node_id IS NOT NULL
   AND NOT EXISTS (SELECT FROM filestore.metastore_records r WHERE r.node_id = i.node_id OFFSET 0)

-- name: in_flight
-- These items, as far as they are in flight.
SELECT i.* FROM filestore.operation_steps i
 WHERE i.operation_id = %(id)s AND i.item = ANY(%(items)s::integer[]) AND i.state = 'running' ORDER BY i.item

-- name: former
-- What records said at earlier versions, and whether a client had closed them.
SELECT i.item, h.namespace, h.tags, h.owner, h.metadata, h.deleted_at IS NOT NULL AND h.change <> 'closed' AS closed
  FROM jsonb_to_recordset(%(items)s::jsonb) AS i(item integer, node bigint, version bigint)
 CROSS JOIN LATERAL (SELECT k.* FROM filestore.metastore_history k
                      WHERE k.node_id = i.node AND k.version = i.version OFFSET 0) h

-- name: keep
-- What records were, before they are changed.
INSERT INTO filestore.metastore_history (node_id, version, change, changed_by, changed_at, path_text, namespace, tags, owner,
    metadata, schema, deleted_at)
SELECT r.node_id, r.version, r.change, r.changed_by, r.changed_at, r.path_text, r.namespace, r.tags, r.owner, r.metadata, r.schema,
       r.deleted_at
  FROM filestore.metastore_records r WHERE r.node_id = ANY(%(nodes)s::bigint[])

-- name: change
-- The part that belongs to clients is this from now on, and has this version.
UPDATE filestore.metastore_records r
   SET namespace = x.namespace, tags = x.tags, owner = x.owner, metadata = x.metadata, schema = x.schema, violation = x.violation,
       version = r.version + 1, change = CASE WHEN x.closed THEN 'removed' ELSE 'updated' END, changed_by = %(principal)s,
       changed_at = now(), updated_at = now(), removed = x.closed,
       deleted_at = CASE WHEN x.closed OR r.state = 'deleted' THEN coalesce(r.deleted_at, now()) END
  FROM jsonb_to_recordset(%(records)s::jsonb) AS x(node bigint, namespace text, tags text[], owner text, metadata jsonb,
       schema text, violation text, closed boolean)
 WHERE r.node_id = ANY (ARRAY[x.node])

-- name: end
-- These have ended, or go again (`again`). Each is counted once, however often it is told.
WITH ended AS (
    UPDATE filestore.operation_items i
       SET state = CASE WHEN x.ends <> 'again' THEN x.ends WHEN %(back)s THEN 'done' ELSE 'pending' END::filestore.item_state,
           code = x.code, message = x.message, left_node = CASE x.ends WHEN 'done' THEN i.node_id ELSE i.left_node END,
           left_version = CASE x.ends WHEN 'done' THEN x.version ELSE i.left_version END
      FROM jsonb_to_recordset(%(items)s::jsonb) AS x(item integer, ends text, code text, message text, version bigint)
     WHERE i.operation_id = %(id)s AND i.item = x.item AND i.state = 'running'
    RETURNING i.code, i.nodes, i.size_bytes, x.ends
)
UPDATE filestore.operations o
   SET in_flight = o.in_flight - n.ended, done = o.done + n.done, failed = o.failed + n.failed, skipped = o.skipped + n.skipped,
       changed = o.changed + n.changed, reversed = o.reversed + n.reversed, nodes_done = o.nodes_done + n.nodes,
       bytes_done = o.bytes_done + n.bytes, touched_at = now()
  FROM (SELECT count(*) AS ended, count(*) FILTER (WHERE ends = 'done' OR ends = 'again' AND %(back)s) AS done,
               count(*) FILTER (WHERE ends = 'failed') AS failed, count(*) FILTER (WHERE ends = 'skipped') AS skipped,
               count(*) FILTER (WHERE ends = 'skipped' AND code = 'VERSION_CONFLICT') AS changed,
               count(*) FILTER (WHERE ends = 'reversed') AS reversed,
               coalesce(sum(nodes) FILTER (WHERE ends = 'done'), 0)
                   - coalesce(sum(nodes) FILTER (WHERE ends = 'reversed'), 0) AS nodes,
               coalesce(sum(size_bytes) FILTER (WHERE ends = 'done'), 0)
                   - coalesce(sum(size_bytes) FILTER (WHERE ends = 'reversed'), 0) AS bytes FROM ended) n
 WHERE o.id = %(id)s
