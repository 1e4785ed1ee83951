-- A turn of an operation. Counters change in the transaction that changes the rows they count.

-- name: overlapping
-- Another operation that is at work in the same subtrees, or above or below them. An undo by selection names those that it claims.
SELECT o.id::text FROM filestore.operations o
 WHERE o.claimed AND o.id <> %(id)s
   AND EXISTS (SELECT FROM (SELECT o.mount_id, o.path WHERE NOT o.selection ? 'claims'
                            UNION ALL
                            SELECT coalesce(o.target_mount_id, o.mount_id), o.target_path WHERE NOT o.selection ? 'claims'
                            UNION ALL
                            SELECT (c->>0)::bigint, decode(c->>1, 'hex') FROM jsonb_array_elements(o.selection->'claims') c)
                             AS theirs(mount, path)
                 JOIN unnest(%(mounts)s::bigint[], %(paths)s::bytea[]) AS ours(mount, path) ON ours.mount = theirs.mount
                WHERE theirs.path = ours.path OR theirs.path = '' OR ours.path = ''
                   OR substring(ours.path FOR octet_length(theirs.path) + 1) = theirs.path || '\x2f'::bytea
                   OR substring(theirs.path FOR octet_length(ours.path) + 1) = ours.path || '\x2f'::bytea)
 ORDER BY o.id LIMIT 1

-- name: claim
-- Its subtrees are those of this operation now.
UPDATE filestore.operations
   SET claimed = true, waits_for = NULL, touched_at = now(), state = CASE state WHEN 'waiting' THEN 'running' ELSE state END
 WHERE id = %(id)s

-- name: wait
-- Another operation has them, or a freeze holds on the mount.
UPDATE filestore.operations
   SET waits_for = %(other)s, claimed = false, touched_at = now(), state = CASE state WHEN 'running' THEN 'waiting' ELSE state END
 WHERE id = %(id)s

-- name: ready_up
-- The next items in the order of the plan: those whose directory is made, and whose turn it is again.
SELECT i.* FROM filestore.operation_steps i
 WHERE i.operation_id = %(id)s AND i.state = %(state)s::filestore.item_state AND (i.retry_at IS NULL OR i.retry_at <= now())
   AND (i.state <> 'pending' OR i.needs IS NULL OR NOT EXISTS (SELECT FROM filestore.operation_items p
         WHERE p.operation_id = i.operation_id AND p.item = i.needs AND p.state IN ('pending', 'running') OFFSET 0))
 ORDER BY i.item LIMIT %(limit)s

-- name: ready_down
-- The same from the last one on: backwards, or where directories go after what they hold.
SELECT i.* FROM filestore.operation_steps i
 WHERE i.operation_id = %(id)s AND i.state = %(state)s::filestore.item_state AND (i.retry_at IS NULL OR i.retry_at <= now())
 ORDER BY i.item DESC LIMIT %(limit)s

-- name: unfinished
-- Of the items from one to another those in flight, and those left for later because their path was busy.
(SELECT i.* FROM filestore.operation_steps i
  WHERE i.operation_id = %(id)s AND i.state = 'running' ORDER BY i.item LIMIT %(limit)s)
UNION ALL
(SELECT i.* FROM filestore.operation_steps i
  WHERE i.operation_id = %(id)s AND i.state = %(state)s::filestore.item_state AND i.retry_at > now()
    AND i.item BETWEEN %(low)s AND %(high)s LIMIT %(limit)s)

-- name: left
-- Whether anything is still to be done, or to be put back.
SELECT i.item FROM filestore.operation_items i
 WHERE i.operation_id = %(id)s AND i.state = %(state)s::filestore.item_state ORDER BY i.item LIMIT 1

-- name: stuck
-- Whether something that was done could not be put back.
SELECT i.item FROM filestore.operation_items i
 WHERE i.operation_id = %(id)s AND i.state = 'failed' AND i.left_version IS NOT NULL ORDER BY i.item LIMIT 1

-- name: changed_trees
-- Whole directories that do not hold any more what the plan saw: another count, other bytes, or a command since then, or one that
-- was at work when the plan began. It changed something there, or brought something there; a copy only reads where it comes from.
SELECT i.item
  FROM jsonb_to_recordset(%(trees)s::jsonb) AS i(item integer, node bigint, path text, nodes bigint, size bigint, mount bigint)
 CROSS JOIN LATERAL (SELECT decode(i.path || '2f', 'hex') AS low, length(i.path) / 2 + 1 AS size) t
 CROSS JOIN LATERAL (SELECT * FROM filestore.rollup_of(i.node)) r
 WHERE r.file_count + r.directory_count + 1 <> i.nodes OR r.size_bytes <> coalesce(i.size, r.size_bytes)
    OR EXISTS (SELECT FROM filestore.journal_entries j
                WHERE j.mount_id = i.mount AND j.id > %(entry)s AND j.outcome = 'succeeded' AND j.executor <> 'record'
                  AND j.operation_id IS DISTINCT FROM %(id)s::uuid
                  AND t.low IN (CASE WHEN j.kind <> 'copyNode' THEN substring(j.path FOR t.size) END,
                                substring(filestore.target_v1(j.payload) FOR t.size)) OFFSET 0)
    OR EXISTS (SELECT FROM filestore.operations o
                 JOIN filestore.journal_entries j ON j.command_id = ANY(o.planned_beside)
                WHERE o.id = %(id)s::uuid AND j.mount_id = i.mount AND j.outcome = 'succeeded' AND j.executor <> 'record'
                  AND t.low IN (CASE WHEN j.kind <> 'copyNode' THEN substring(j.path FOR t.size) END,
                                substring(filestore.target_v1(j.payload) FOR t.size)) OFFSET 0)

-- name: changed_since
-- What has changed at and below the path of a plan since it was made: the first few of it. A copy only reads where it comes from.
SELECT j.id, coalesce(filestore.target_v1(j.payload), j.path) AS path FROM filestore.journal_entries j
 WHERE j.mount_id = %(mount)s AND j.id > %(entry)s AND j.outcome = 'succeeded' AND j.after IS NOT NULL
   AND j.executor <> 'record' AND j.operation_id IS DISTINCT FROM %(id)s::uuid
   AND (%(path)s::bytea = ''::bytea OR (%(path)s::bytea || '\x2f'::bytea) IN (
        CASE WHEN j.kind <> 'copyNode' THEN substring(j.path || '\x2f'::bytea FOR octet_length(%(path)s::bytea) + 1) END,
        substring(filestore.target_v1(j.payload) || '\x2f'::bytea FOR octet_length(%(path)s::bytea) + 1)))
 ORDER BY j.id LIMIT %(limit)s

-- name: described
-- The metadata of two versions of a node: what is to be put back lies between them.
SELECT x.item, b.metadata AS before, a.metadata AS after
  FROM jsonb_to_recordset(%(items)s::jsonb) AS x(item integer, node bigint, version bigint, after bigint)
  JOIN LATERAL (SELECT s.metadata FROM filestore.snapshots s
                 WHERE s.node_id = x.node AND s.version = x.version LIMIT 1) b ON true
  JOIN LATERAL (SELECT s.metadata FROM filestore.snapshots s
                 WHERE s.node_id = x.node AND s.version = x.after LIMIT 1) a ON true

-- name: hand_out
-- These items go to a list of commands now. One whose path is busy is still here afterwards, and waits longer each time.
UPDATE filestore.operation_items
   SET deferred = deferred + 1, retry_at = now() + least(10, 0.25 * 2 ^ least(deferred, 8)) * interval '1 second'
 WHERE operation_id = %(id)s AND item = ANY(%(items)s::integer[])

-- name: pace
-- Count the items that were handed out against the limits, and note that a runner is alive.
UPDATE filestore.operations
   SET touched_at = now(), paced_until = CASE WHEN %(seconds)s::float > 0
           THEN greatest(now(), coalesce(paced_until, now())) + %(seconds)s::float * interval '1 second' END
 WHERE id = %(id)s

-- name: give_up
-- Items that never went: changed since the plan, or busy for too long.
WITH given_up AS (
    UPDATE filestore.operation_items i
       SET state = x.state, code = x.code, message = x.message
      FROM jsonb_to_recordset(%(items)s::jsonb) AS x(item integer, state filestore.item_state, code text, message text)
     WHERE i.operation_id = %(id)s AND i.item = x.item AND i.state IN ('pending', 'done')
    RETURNING i.state
)
UPDATE filestore.operations o SET failed = o.failed + n.failed, skipped = o.skipped + n.skipped, changed = o.changed + n.skipped,
       done = o.done - CASE WHEN o.back THEN n.failed + n.skipped ELSE 0 END
  FROM (SELECT count(*) FILTER (WHERE state = 'failed') AS failed, count(*) FILTER (WHERE state = 'skipped') AS skipped
          FROM given_up) n
 WHERE o.id = %(id)s

-- name: deferred
-- Which of these were busy too often.
SELECT item FROM filestore.operation_items
 WHERE operation_id = %(id)s AND item = ANY(%(items)s::integer[]) AND deferred >= %(most)s

-- name: unmet
-- Which of these do not go because the item that they need did not, with its code.
SELECT i.item, coalesce(p.code, 'VERSION_CONFLICT') AS code
  FROM unnest(%(items)s::integer[]) AS x(item)
 CROSS JOIN LATERAL (SELECT k.item, k.needs FROM filestore.operation_items k
                      WHERE k.operation_id = %(id)s AND k.item = x.item OFFSET 0) i
 CROSS JOIN LATERAL (SELECT k.state, k.code FROM filestore.operation_items k
                      WHERE k.operation_id = %(id)s AND k.item = i.needs OFFSET 0) p
 WHERE p.state IN ('failed', 'skipped')

-- name: reach
-- A pause, a turn back, or an end is reached.
UPDATE filestore.operations
   SET state = %(state)s::filestore.operation_state, back = %(back)s, want = NULL, touched_at = now(), waits_for = NULL,
       claimed = claimed AND %(state)s IN ('running', 'rolling_back', 'cancelling'),
       ended_at = CASE WHEN %(state)s IN ('succeeded', 'partial', 'failed', 'cancelled', 'rolled_back') THEN now() END
 WHERE id = %(id)s

-- name: usable
-- Whether commands are taken on a mount now.
SELECT m.state::text IN ('active', 'degraded') AS usable FROM filestore.backend_mounts m WHERE m.id = %(mount)s

-- name: let_go
-- Its mount is away: others may have the subtrees meanwhile.
UPDATE filestore.operations SET claimed = false, touched_at = now() WHERE id = %(id)s

-- name: comes_back
-- In how many seconds one of the first items is tried again that were left for later.
SELECT extract(epoch FROM min(x.retry_at) - now())::float AS seconds
  FROM (SELECT i.retry_at FROM filestore.operation_items i
         WHERE i.operation_id = %(id)s AND i.state = %(state)s::filestore.item_state ORDER BY i.item LIMIT 1000) x
 WHERE x.retry_at > now()

-- name: touch
-- Its runner is alive.
UPDATE filestore.operations SET touched_at = now() WHERE id = %(id)s
