-- Operations and their items. Counters change in the transaction that changes the rows they count.

-- name: create
-- A key names one operation of its principal. No row: it exists already.
INSERT INTO filestore.operations (id, tenant, principal, token_id, key, request_hash, kind, mount_id, path, target_path, selection,
       options, metadata, plan_only, undoes, undoes_turn, state, planned_at, started_at, target_mount_id,
       correlation_id)
VALUES (%(id)s, %(tenant)s, %(principal)s, %(token_id)s, %(key)s, decode(%(hash)s, 'hex'), %(kind)s, %(mount)s, %(path)s,
       %(target)s, %(selection)s::jsonb, %(options)s::jsonb, %(metadata)s::jsonb, %(plan_only)s, %(undoes)s, %(undoes_turn)s,
       %(state)s::filestore.operation_state, CASE WHEN %(state)s <> 'planning' THEN now() END,
       CASE %(state)s WHEN 'running' THEN now() END, %(target_mount)s, %(correlation)s)
ON CONFLICT (tenant, principal, key) DO NOTHING
RETURNING id::text

-- name: of_key
-- The operation of a key, and what was asked for under it.
SELECT id::text, encode(request_hash, 'hex') AS hash FROM filestore.operations
 WHERE tenant = %(tenant)s AND principal = %(principal)s AND key = %(key)s

-- name: lock_both
-- The rows on which decisions about an operation rest, locked until the transaction ends: its own, and that of what it undoes.
SELECT o.id::text FROM filestore.operations o
 WHERE o.id IN (SELECT unnest(ARRAY[x.id, x.undoes]) FROM filestore.operations x WHERE x.id = %(id)s)
 ORDER BY o.id FOR NO KEY UPDATE

-- name: find
-- An operation as its row says.
SELECT o.id::text, o.tenant, o.principal, o.token_id, o.kind, o.mount_id, o.path, o.target_path, o.selection, o.options, o.metadata,
       o.state::text, o.want, o.back, o.turn, o.plan_only, o.undoes::text, o.undoes_turn, o.conflicts, o.items, o.done, o.failed,
       o.skipped, o.changed, o.reversed, o.in_flight, o.claimed, o.plan_cursor, o.planned_entry, o.failed_before, o.changed_before,
       o.correlation_id, o.created_at, o.started_at IS NOT NULL AS started, o.target_mount_id,
       greatest(0, extract(epoch FROM o.paced_until - now()))::float AS pace_seconds,
       o.away_mount, greatest(0, extract(epoch FROM o.away_until - now()))::float AS away_seconds
  FROM filestore.operations o WHERE o.id = %(id)s

-- name: undone
-- Whether another operation that has begun puts this one back, or did; and, of an undo, what was undone first, where undos follow
-- each other, and whether its original is no more as the plan saw it: taken up again, or put back by another one.
SELECT EXISTS (SELECT FROM filestore.operations u
                WHERE u.undoes = %(id)s AND u.started_at IS NOT NULL AND (u.ended_at IS NULL OR u.done > 0)) AS undone,
       (WITH RECURSIVE chain AS (
            SELECT w.kind, w.undoes, 1 AS far FROM filestore.operations o JOIN filestore.operations w ON w.id = o.undoes
             WHERE o.id = %(id)s
             UNION ALL
            SELECT w.kind, w.undoes, c.far + 1 FROM chain c JOIN filestore.operations w ON w.id = c.undoes)
        SELECT kind FROM chain ORDER BY far DESC LIMIT 1) AS undoes_kind,
       EXISTS (SELECT FROM filestore.operations o JOIN filestore.operations w ON w.id = o.undoes
                WHERE o.id = %(id)s AND (w.ended_at IS NULL OR w.turn <> o.undoes_turn
                   OR EXISTS (SELECT FROM filestore.operations u
                               WHERE u.undoes = w.id AND u.id <> o.id AND u.started_at IS NOT NULL
                                 AND (u.ended_at IS NULL OR u.done > 0)))) AS stale

-- name: steer
-- What a control request changes. The runner looks at once: no runner has touched the row.
UPDATE filestore.operations
   SET state = %(state)s::filestore.operation_state, want = %(want)s, turn = %(turn)s,
       started_at = CASE WHEN %(state)s IN ('running', 'rolling_back') THEN coalesce(started_at, now()) ELSE started_at END,
       failed_before = CASE state WHEN 'planned' THEN failed ELSE failed_before END,
       changed_before = CASE state WHEN 'planned' THEN changed ELSE changed_before END,
       ended_at = CASE WHEN %(state)s = 'cancelled' THEN now() END, claimed = claimed AND %(state)s <> 'cancelled',
       touched_at = NULL, waits_for = NULL, away_until = NULL
 WHERE id = %(id)s

-- name: again
-- Items that failed are pending again; those that could not be put back are to be put back again. All, or those of a list. Where
-- the plan found no node there is nothing to try. Errors and changes count anew. Where a server was to blame, it is tried with one
-- item first.
WITH hurt AS (
    SELECT EXISTS (SELECT FROM filestore.operation_items i
                    WHERE i.operation_id = %(id)s AND i.state = 'failed' AND i.code IN ('UNAVAILABLE', 'MOUNT_OFFLINE')
                      AND (%(items)s::integer[] IS NULL OR i.item = ANY(%(items)s::integer[]))) AS is
), again AS (
    UPDATE filestore.operation_items
       SET state = CASE WHEN left_version IS NULL THEN 'pending' ELSE 'done' END::filestore.item_state, code = NULL, message = NULL,
           retry_at = NULL, deferred = 0
     WHERE operation_id = %(id)s AND state = 'failed' AND (node_id IS NOT NULL OR kind = 'mkdir')
       AND (%(items)s::integer[] IS NULL OR item = ANY(%(items)s::integer[]))
    RETURNING state
)
UPDATE filestore.operations o
   SET failed = o.failed - n.pending - n.done, failed_before = o.failed - n.pending - n.done, changed_before = o.changed,
       done = o.done + n.done, away_tries = 0,
       away_mount = CASE WHEN hurt.is THEN coalesce(o.target_mount_id, o.mount_id) ELSE o.away_mount END
  FROM (SELECT count(*) FILTER (WHERE state = 'pending') AS pending, count(*) FILTER (WHERE state = 'done') AS done FROM again) n,
       hurt
 WHERE o.id = %(id)s

-- name: heard_of
-- A control request under a key is carried out once. No row: it was, before.
INSERT INTO filestore.operation_controls (operation_id, key, control, request_hash, reason, principal)
VALUES (%(id)s, %(key)s, %(control)s, %(hash)s, %(reason)s, %(principal)s)
ON CONFLICT (operation_id, key) DO NOTHING
RETURNING key

-- name: control_of
-- What was asked for under this key.
SELECT control, request_hash FROM filestore.operation_controls WHERE operation_id = %(id)s AND key = %(key)s

-- name: limits
-- Other limits from now on.
UPDATE filestore.operations SET options = %(options)s::jsonb, paced_until = NULL WHERE id = %(id)s

-- Reading ---------------------------------------------------------------------------------------------------------------

-- name: document
-- An operation as clients read it.
SELECT o.id::text, o.tenant, o.kind, o.state::text, o.want, o.back, o.turn, o.mount_id, o.path, o.target_path, o.selection,
       o.options, o.metadata, o.plan_cursor, o.items, o.nodes, o.bytes, o.conflicts, o.done, o.failed, o.skipped, o.reversed,
       o.in_flight, o.nodes_done, o.bytes_done, o.principal, o.created_at, o.planned_at, o.started_at, o.ended_at, o.undoes::text,
       coalesce(o.waits_for::text, (SELECT 'freeze ' || (z.facts->>'id')
          FROM (SELECT o.mount_id UNION SELECT o.target_mount_id
                UNION SELECT (c->>0)::bigint FROM jsonb_array_elements(o.selection->'claims') c) AS m(id)
         CROSS JOIN LATERAL filestore.freeze_of_v1(o.tenant, m.id) z
         WHERE o.state IN ('waiting', 'rolling_back') LIMIT 1)) AS waits_for, o.refusal, o.away_mount, o.correlation_id,
       o.target_mount_id,
       (SELECT u.id::text FROM filestore.operations u
         WHERE u.undoes = o.id AND u.state <> 'cancelled' ORDER BY u.created_at DESC LIMIT 1) AS undone_by,
       (SELECT json_build_object('control', k.control, 'reason', k.reason, 'principal', k.principal, 'at', k.created_at)
          FROM filestore.operation_controls k WHERE k.operation_id = o.id ORDER BY k.created_at DESC LIMIT 1) AS steered,
       extract(epoch FROM coalesce(o.ended_at, now()) - o.started_at)::float AS seconds,
       extract(epoch FROM now() - o.created_at)::float AS planning_seconds, x.expected
  FROM filestore.operations o
  LEFT JOIN LATERAL (
      SELECT coalesce((SELECT w.done FROM filestore.operations w WHERE w.id = o.undoes),
                      (SELECT 1 + r.file_count + r.directory_count
                         FROM filestore.nodes d CROSS JOIN LATERAL filestore.rollup_of(d.id) r
                        WHERE d.mount_id = o.mount_id AND d.directory_path IS NOT NULL AND d.state <> 'deleted'
                          AND d.directory_path = CASE o.path WHEN '' THEN ''::bytea ELSE o.path || '\x2f'::bytea END
                        LIMIT 1)) AS expected
       WHERE (o.state = 'planning' OR o.kind = 'import' AND o.state = 'running') AND NOT o.selection ? 'paths') x ON true
 WHERE o.id = %(id)s AND o.tenant = %(tenant)s

-- name: errors
-- By their codes: how many items, and one of them.
SELECT e.code, e.count, e.item FROM filestore.operation_errors e
 WHERE e.operation_id = %(id)s AND e.count > 0 ORDER BY e.count DESC, e.code LIMIT 20

-- name: current
-- What is in flight.
SELECT i.path, i.mount_id FROM filestore.operation_items i
 WHERE i.operation_id = %(id)s AND i.state = 'running' ORDER BY i.item LIMIT 5

-- name: listed
-- The newest first.
SELECT o.id::text FROM filestore.operations o
 WHERE o.tenant = %(tenant)s AND (%(before)s::uuid IS NULL OR o.id < %(before)s::uuid)
   AND (%(states)s::text[] IS NULL OR o.state = ANY(%(states)s::text[]::filestore.operation_state[]))
   AND (%(kinds)s::text[] IS NULL OR o.kind = ANY(%(kinds)s::text[]))
   AND (%(mount)s::bigint IS NULL OR o.mount_id = %(mount)s) AND (%(principal)s::text IS NULL OR o.principal = %(principal)s)
   AND (%(path)s::bytea IS NULL OR o.path = %(path)s
        OR substring(o.path FOR octet_length(%(path)s) + 1) = %(path)s || '\x2f'::bytea OR %(path)s = ''::bytea)
   AND (%(ids)s::uuid[] IS NULL OR o.id = ANY(%(ids)s::uuid[]))
 ORDER BY o.id DESC LIMIT %(limit)s

-- name: items
-- A page of the items.
SELECT i.* FROM filestore.operation_steps i
 WHERE i.operation_id = %(id)s AND i.item > %(after)s
   AND (%(states)s::text[] IS NULL OR i.state = ANY(%(states)s::text[]::filestore.item_state[]))
   AND (%(codes)s::text[] IS NULL OR i.code = ANY(%(codes)s::text[]))
 ORDER BY i.item LIMIT %(limit)s

-- name: due
-- Operations of a mount that should go on, and whose planner or runner gave no sign of life for a while.
SELECT o.id::text, o.state::text, o.turn FROM filestore.operations o
 WHERE o.mount_id = %(mount)s AND o.state IN ('planning', 'running', 'waiting', 'cancelling', 'rolling_back')
   AND (o.touched_at IS NULL OR o.touched_at < now() - %(silent)s::float * interval '1 second')
   AND (%(after)s::uuid IS NULL OR o.id > %(after)s::uuid)
 ORDER BY o.id LIMIT 100
