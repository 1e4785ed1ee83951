-- Items of operations in the transactions of `begin` and `commit`. Always in this order: the rows of the operations, in the order
-- of their ids; then mounts and commands; then items. So whatever else steers an operation never waits for what waits for it.
-- LATERAL with OFFSET 0: see trees.sql.

-- name: lock
-- The operations that these commands want to begin for: their rows hold still until the transaction ends.
SELECT o.id::text, o.state::text, o.want, o.back, o.turn, o.claimed,
       coalesce(o.options->>'on_changed' = 'stop', false) AS stops, o.changed > o.changed_before AS changed
  FROM filestore.operations o WHERE o.id = ANY(%(ids)s::uuid[]) ORDER BY o.id FOR NO KEY UPDATE

-- name: states
-- How the items of these commands stand.
SELECT x.id::text, i.state::text
  FROM jsonb_to_recordset(%(items)s::jsonb) AS x(id uuid, operation uuid, item integer)
 CROSS JOIN LATERAL (SELECT k.state FROM filestore.operation_items k
                      WHERE k.operation_id = x.operation AND k.item = x.item OFFSET 0) i

-- name: set_aside
-- These were handed out and are not begun. It does not count against them.
UPDATE filestore.operation_items i SET deferred = greatest(0, i.deferred - 1), retry_at = NULL
  FROM jsonb_to_recordset(%(items)s::jsonb) AS x(operation uuid, item integer)
 WHERE i.operation_id = ANY (ARRAY[x.operation]) AND i.item = x.item AND i.state IN ('pending', 'done')

-- name: lock_of_commands
-- The operations whose items these commands carry out: their rows hold still until the transaction ends.
SELECT o.id::text FROM filestore.operations o
 WHERE o.id IN (SELECT c.operation_id FROM filestore.commands c WHERE c.id = ANY(%(ids)s::uuid[])) ORDER BY o.id FOR NO KEY UPDATE

-- name: open_items
-- Commands of items were opened in this transaction: the items are in flight.
WITH opened AS (
    UPDATE filestore.operation_items i SET state = 'running', command_id = c.id, retry_at = NULL
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
-- change. One that could not be put back has failed. Where the mount was away, or a server that is needed, the item is to go again:
-- for the mount the operation waits, and it does not count against the item; the rest is tried so many times, and while the mount
-- is tried with one item the operation waits for that as well. Any other end says that the mount is there. What was interrupted
-- goes on when the operation does.
WITH ending AS (
    SELECT c.operation_id, c.item, c.intent, c.mount_id, o.back, o.away_mount AS tried,
           coalesce(c.code = 'MOUNT_OFFLINE' AND c.status = 'failed', false) AS away,
           coalesce(c.code = 'INTERRUPTED' AND c.status = 'failed', false) AS interrupted,
           CASE WHEN c.status = 'succeeded' THEN 'NOT_NEEDED' ELSE c.code END AS code,
           CASE WHEN c.status = 'succeeded' AND o.back THEN 'reversed'
                WHEN c.status = 'succeeded' AND c.intent->>'step' = 'none' THEN 'skipped'
                WHEN c.status = 'succeeded' THEN 'done'
                WHEN c.code IN ('MOUNT_OFFLINE', 'INTERRUPTED') AND c.status = 'failed' THEN 'again'
                WHEN c.code = 'UNAVAILABLE' AND c.status = 'failed' AND x.deferred < %(most)s THEN 'again'
                WHEN o.back THEN 'failed'
                WHEN c.code IN ('VERSION_CONFLICT', 'NODE_NOT_FOUND') AND c.status = 'failed' THEN 'skipped'
                WHEN c.code = 'NODE_EXISTS' AND (c.kind = 'createDirectory' OR o.options->>'on_conflict' = 'skip') THEN 'skipped'
                ELSE 'failed' END AS ends
      FROM filestore.commands c
     CROSS JOIN LATERAL (SELECT k.back, k.away_mount, k.options FROM filestore.operations k WHERE k.id = c.operation_id OFFSET 0) o
     CROSS JOIN LATERAL (SELECT k.deferred FROM filestore.operation_items k
                          WHERE k.operation_id = c.operation_id AND k.item = c.item OFFSET 0) x
     WHERE c.id = ANY(%(ids)s::uuid[])
), closed AS (
    UPDATE filestore.operation_items i
       SET state = CASE WHEN x.ends <> 'again' THEN x.ends WHEN x.back THEN 'done' ELSE 'pending' END::filestore.item_state,
           code = CASE WHEN x.ends IN ('failed', 'skipped') THEN x.code END,
           message = CASE WHEN x.ends IN ('failed', 'skipped') THEN x.intent->>'message' END,
           left_node = CASE x.ends WHEN 'done' THEN (x.intent->>'node')::bigint ELSE i.left_node END,
           left_version = CASE x.ends WHEN 'done' THEN (x.intent->>'version')::bigint ELSE i.left_version END,
           replaced_version = CASE WHEN x.ends = 'done' AND x.intent->>'step' = 'replace'
                                   THEN (x.intent->>'previous_version')::bigint ELSE i.replaced_version END,
           deferred = CASE WHEN x.ends <> 'again' THEN 0 WHEN x.away OR x.interrupted THEN greatest(0, i.deferred - 1)
                           ELSE i.deferred END,
           retry_at = CASE WHEN x.ends = 'again' AND NOT x.away AND NOT x.interrupted
                           THEN now() + least(10, 0.25 * 2 ^ least(i.deferred, 8)) * interval '1 second' END
      FROM ending x
     WHERE i.operation_id = ANY (ARRAY[x.operation_id]) AND i.item = x.item AND i.state = 'running'
    RETURNING i.operation_id, i.code, i.size_bytes, i.nodes, x.ends, x.back, x.away, x.mount_id, x.tried
)
UPDATE filestore.operations o
   SET in_flight = o.in_flight - n.closed, done = o.done + n.done, failed = o.failed + n.failed, skipped = o.skipped + n.skipped,
       changed = o.changed + n.changed, reversed = o.reversed + n.reversed,
       nodes_done = o.nodes_done + n.nodes, bytes_done = o.bytes_done + n.bytes,
       away_mount = n.hurt, away_tries = CASE WHEN n.hurt IS NULL THEN 0 ELSE o.away_tries + 1 END,
       away_until = CASE WHEN n.hurt IS NOT NULL THEN now() + least(30, 2 ^ least(o.away_tries, 5)) * interval '1 second' END,
       state = CASE WHEN n.hurt IS NOT NULL AND o.state = 'running' THEN 'waiting' ELSE o.state END
  FROM (SELECT operation_id, count(*) AS closed, count(*) FILTER (WHERE ends = 'done' OR ends = 'again' AND back) AS done,
               count(*) FILTER (WHERE ends = 'failed') AS failed, count(*) FILTER (WHERE ends = 'skipped') AS skipped,
               count(*) FILTER (WHERE ends = 'skipped' AND code IN ('VERSION_CONFLICT', 'NODE_NOT_FOUND')) AS changed,
               count(*) FILTER (WHERE ends = 'reversed') AS reversed,
               coalesce(sum(nodes) FILTER (WHERE ends = 'done'), 0)
                   - coalesce(sum(nodes) FILTER (WHERE ends = 'reversed'), 0) AS nodes,
               coalesce(sum(size_bytes) FILTER (WHERE ends = 'done'), 0)
                   - coalesce(sum(size_bytes) FILTER (WHERE ends = 'reversed'), 0) AS bytes,
               coalesce(max(mount_id) FILTER (WHERE away), CASE WHEN bool_and(ends = 'again') THEN max(tried) END) AS hurt
          FROM closed GROUP BY operation_id) n
 WHERE o.id = n.operation_id
RETURNING o.id::text, o.turn
