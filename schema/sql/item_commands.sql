-- Items of operations in the transactions of `begin` and `commit`. Always in this order: the rows of the operations, in the order
-- of their ids; then mounts and commands; then items. So whatever else steers an operation never waits for what waits for it.

-- name: lock
-- The operations that these commands want to begin for: their rows hold still until the transaction ends.
SELECT o.id::text, o.state::text, o.want, o.back, o.turn, o.claimed,
       coalesce(o.options->>'on_changed' = 'stop', false) AS stops, o.changed > o.changed_before AS changed
  FROM filestore.operations o WHERE o.id = ANY(%(ids)s::uuid[]) ORDER BY o.id FOR NO KEY UPDATE

-- name: states
-- How the items of these commands stand.
SELECT x.id::text, i.state::text
  FROM jsonb_to_recordset(%(items)s::jsonb) AS x(id uuid, operation uuid, item integer)
  JOIN filestore.operation_items i ON i.operation_id = x.operation AND i.item = x.item

-- name: set_aside
-- These were handed out and are not begun. It does not count against them.
UPDATE filestore.operation_items i SET deferred = greatest(0, i.deferred - 1), retry_at = NULL
  FROM jsonb_to_recordset(%(items)s::jsonb) AS x(operation uuid, item integer)
 WHERE i.operation_id = x.operation AND i.item = x.item AND i.state IN ('pending', 'done')

-- name: lock_of_commands
-- The operations whose items these commands carry out: their rows hold still until the transaction ends.
SELECT o.id::text FROM filestore.operations o
 WHERE o.id IN (SELECT c.operation_id FROM filestore.commands c WHERE c.id = ANY(%(ids)s::uuid[])) ORDER BY o.id FOR NO KEY UPDATE

-- name: open_items
-- Commands of items were opened in this transaction: the items are in flight.
WITH opened AS (
    UPDATE filestore.operation_items i SET state = 'running', command_id = c.id, deferred = 0, retry_at = NULL
      FROM filestore.commands c
     WHERE c.id = ANY(%(ids)s::uuid[]) AND c.operation_id IS NOT NULL
       AND i.operation_id = ANY (ARRAY[c.operation_id]) AND i.item = c.item AND i.state IN ('pending', 'done')
    RETURNING i.operation_id, i.left_version
)
UPDATE filestore.operations o SET in_flight = o.in_flight + n.opened, done = o.done - n.back
  FROM (SELECT operation_id, count(*) AS opened, count(left_version) AS back FROM opened GROUP BY operation_id) n
 WHERE o.id = n.operation_id

-- name: close_items
-- The commands of items end in this transaction. An item that is not as the plan saw it is skipped, and so is one that needs no
-- change. One that could not be put back has failed.
WITH closed AS (
    UPDATE filestore.operation_items i
       SET state = e.state, code = CASE WHEN e.state IN ('failed', 'skipped') THEN e.code END,
           message = CASE WHEN e.state IN ('failed', 'skipped') THEN c.intent->>'message' END,
           left_node = CASE e.state WHEN 'done' THEN (c.intent->>'node')::bigint ELSE i.left_node END,
           left_version = CASE e.state WHEN 'done' THEN (c.intent->>'version')::bigint ELSE i.left_version END,
           replaced_version = CASE WHEN e.state = 'done' AND c.intent->>'step' = 'replace'
                                   THEN (c.intent->>'previous_version')::bigint
                                   ELSE i.replaced_version END
      FROM filestore.commands c
      JOIN filestore.operations o ON o.id = c.operation_id
     CROSS JOIN LATERAL (SELECT CASE
               WHEN c.status = 'succeeded' AND o.back THEN 'reversed'
               WHEN c.status = 'succeeded' AND c.intent->>'step' = 'none' THEN 'skipped'
               WHEN c.status = 'succeeded' THEN 'done'
               WHEN o.back THEN 'failed'
               WHEN c.code IN ('VERSION_CONFLICT', 'NODE_NOT_FOUND') AND c.status = 'failed' THEN 'skipped'
               WHEN c.code = 'NODE_EXISTS' AND (c.kind = 'createDirectory' OR o.options->>'on_conflict' = 'skip') THEN 'skipped'
               ELSE 'failed' END::filestore.item_state AS state,
           CASE WHEN c.status = 'succeeded' THEN 'NOT_NEEDED' ELSE c.code END AS code) e
     WHERE c.id = ANY(%(ids)s::uuid[]) AND c.operation_id IS NOT NULL
       AND i.operation_id = ANY (ARRAY[c.operation_id]) AND i.item = c.item AND i.state = 'running'
    RETURNING i.operation_id, i.state, i.code, i.size_bytes, i.nodes
)
UPDATE filestore.operations o
   SET in_flight = o.in_flight - n.closed, done = o.done + n.done, failed = o.failed + n.failed, skipped = o.skipped + n.skipped,
       changed = o.changed + n.changed, reversed = o.reversed + n.reversed,
       nodes_done = o.nodes_done + n.nodes, bytes_done = o.bytes_done + n.bytes
  FROM (SELECT operation_id, count(*) AS closed, count(*) FILTER (WHERE state = 'done') AS done,
               count(*) FILTER (WHERE state = 'failed') AS failed, count(*) FILTER (WHERE state = 'skipped') AS skipped,
               count(*) FILTER (WHERE state = 'skipped' AND code IN ('VERSION_CONFLICT', 'NODE_NOT_FOUND')) AS changed,
               count(*) FILTER (WHERE state = 'reversed') AS reversed,
               coalesce(sum(nodes) FILTER (WHERE state = 'done'), 0)
                   - coalesce(sum(nodes) FILTER (WHERE state = 'reversed'), 0) AS nodes,
               coalesce(sum(size_bytes) FILTER (WHERE state = 'done'), 0)
                   - coalesce(sum(size_bytes) FILTER (WHERE state = 'reversed'), 0) AS bytes
          FROM closed GROUP BY operation_id) n
 WHERE o.id = n.operation_id
