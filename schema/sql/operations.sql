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
-- Whether another operation that has begun puts this one back, or did; and, of an undo, whether its original is no more as the
-- plan saw it: taken up again, or put back by another one.
SELECT EXISTS (SELECT FROM filestore.operations u
                WHERE u.undoes = %(id)s AND u.started_at IS NOT NULL AND (u.ended_at IS NULL OR u.done > 0)) AS undone,
       (SELECT w.kind FROM filestore.operations o JOIN filestore.operations w ON w.id = o.undoes
         WHERE o.id = %(id)s) AS undoes_kind,
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

-- Planning --------------------------------------------------------------------------------------------------------------

-- name: begin_plan
-- The journal entry after which a change is one that the plan has not seen, and the commands that are at work there, below or
-- above: their entries may be older than that one, and the plan has not seen them either.
SELECT (SELECT coalesce(max(id), 0) FROM filestore.journal_entries) AS entry,
       ARRAY(SELECT DISTINCT k.command_id::text FROM filestore.claims k
              WHERE k.mount_id = %(mount)s AND NOT k.shared
                AND (k.path = %(path)s OR k.path >= %(low)s AND k.path < %(high)s
                  OR k.kind = 'subtree' AND k.path = ANY(%(above)s::bytea[]))) AS beside

-- name: begun_plan
-- They are kept with the plan.
UPDATE filestore.operations SET planned_beside = %(beside)s::uuid[] WHERE id = %(id)s

-- name: node_at
-- The living node at a path, with what a plan needs to know of it.
SELECT n.id, n.kind::text, n.state::text, n.version, %(path)s::bytea AS path, n.last_modified_at AS modified, n.metadata,
       CASE n.kind WHEN 'directory' THEN r.size_bytes ELSE n.size_bytes END AS size,
       CASE n.kind WHEN 'directory' THEN 1 + r.file_count + r.directory_count ELSE 1 END AS nodes
  FROM filestore.nodes p
 CROSS JOIN LATERAL (SELECT x.* FROM filestore.nodes x WHERE x.state <> 'deleted'
        AND (x.parent_id = p.id AND x.name = %(name)s AND octet_length(%(path)s) > 0
             OR x.id = p.id AND octet_length(%(path)s) = 0)) n
  LEFT JOIN LATERAL (SELECT * FROM filestore.rollup_of(n.id) WHERE n.kind = 'directory') r ON true
 WHERE p.mount_id = %(mount)s AND p.directory_path = %(parent)s AND p.directory_path IS NOT NULL AND p.state <> 'deleted'

-- name: below
-- The next nodes below a directory, after a place: directories in the order of their paths, each followed by what it holds beside
-- other directories, by name.
SELECT n.path, d.directory_path AS directory, n.name, n.id, n.kind::text, n.state::text, n.version, n.size, 1 AS nodes, n.modified,
       n.metadata
  FROM (SELECT k.* FROM filestore.nodes k
         WHERE k.mount_id = %(mount)s AND k.directory_path >= %(directory)s AND k.directory_path < %(high)s
           AND k.directory_path IS NOT NULL AND k.state <> 'deleted'
         ORDER BY k.directory_path LIMIT 200) d
 CROSS JOIN LATERAL (
    SELECT substring(d.directory_path FOR octet_length(d.directory_path) - 1) AS path, ''::bytea AS name, d.id, d.kind, d.state,
           d.version, 0::bigint AS size, d.last_modified_at AS modified, d.metadata
     WHERE d.directory_path > %(directory)s
     UNION ALL
    (SELECT d.directory_path || x.name, x.name, x.id, x.kind, x.state, x.version, x.size_bytes, x.last_modified_at, x.metadata
       FROM filestore.nodes x
      WHERE x.parent_id = d.id AND x.state <> 'deleted' AND x.kind <> 'directory'
        AND x.name > CASE WHEN d.directory_path = %(directory)s THEN %(name)s::bytea ELSE ''::bytea END
      ORDER BY x.name LIMIT %(limit)s)) n
 ORDER BY d.directory_path, n.name LIMIT %(limit)s

-- name: directory_after
-- The last of 200 directories: there may be others behind it.
SELECT k.directory_path FROM filestore.nodes k
 WHERE k.mount_id = %(mount)s AND k.directory_path > %(directory)s AND k.directory_path < %(high)s
   AND k.directory_path IS NOT NULL AND k.state <> 'deleted'
 ORDER BY k.directory_path OFFSET 198 LIMIT 1

-- name: occupants
-- What lies at these places.
SELECT decode(i.path, 'hex') AS path, n.kind::text, n.version, n.id, n.size_bytes
  FROM jsonb_to_recordset(%(places)s::jsonb) AS i(path text, parent text, name text)
 CROSS JOIN LATERAL (SELECT p.id FROM filestore.nodes p
        WHERE p.mount_id = %(mount)s AND p.directory_path = decode(i.parent, 'hex') AND p.directory_path IS NOT NULL
          AND p.state <> 'deleted' LIMIT 1) p
 CROSS JOIN LATERAL (SELECT x.kind, x.version, x.id, x.size_bytes FROM filestore.nodes x
        WHERE x.parent_id = p.id AND x.name = decode(i.name, 'hex') AND x.state <> 'deleted' LIMIT 1) n

-- name: goes_to
-- Which items of a plan make something appear at these places.
SELECT x.path, x.item, x.node_kind, x.version, x.size_bytes
  FROM unnest(%(places)s::bytea[]) AS place(path)
 CROSS JOIN LATERAL (
     SELECT coalesce(i.target, i.path) AS path, i.item, i.node_kind, i.version, i.size_bytes, i.state
       FROM filestore.operation_items i
      WHERE i.operation_id = %(id)s AND coalesce(i.target, i.path) = place.path
        AND i.kind IN ('mkdir', 'copy', 'move', 'restore') OFFSET 0) x
 WHERE x.state = 'pending'

-- name: done_down
-- Of an operation that is to be undone: what it has done, newest first.
SELECT i.* FROM filestore.operation_steps i
 WHERE i.operation_id = %(id)s AND i.state = 'done' AND i.item < %(before)s ORDER BY i.item DESC LIMIT %(limit)s

-- name: done_up
-- The same of one that went from its last item to the first.
SELECT i.* FROM filestore.operation_steps i
 WHERE i.operation_id = %(id)s AND i.state = 'done' AND i.item > %(before)s ORDER BY i.item LIMIT %(limit)s

-- name: put_items
-- A page of the plan.
INSERT INTO filestore.operation_items (operation_id, item, kind, path, target, node_id, node_kind, version, target_version,
       content_version, size_bytes, nodes, needs, state, code, message, mount_id, target_mount_id)
SELECT %(id)s, i.item, i.kind, decode(i.path, 'hex'), decode(i.target, 'hex'), i.node, i.node_kind, i.version, i.target_version,
       i.content_version, i.size, i.nodes, i.needs, i.state, i.code, i.message, i.mount, i.target_mount
  FROM jsonb_to_recordset(%(items)s::jsonb) AS i(item integer, kind text, path text, target text, node bigint,
       node_kind filestore.node_kind, version bigint, target_version bigint, content_version bigint, size bigint, nodes bigint,
       needs integer, state filestore.item_state, code text, message text,
       mount bigint, target_mount bigint)

-- name: cover
-- What it claims, now that its items are known.
UPDATE filestore.operations SET selection = selection || jsonb_build_object('claims', %(claims)s::jsonb) WHERE id = %(id)s

-- name: advance_plan
-- What a page of the plan adds up to, and where it ended.
UPDATE filestore.operations
   SET plan_cursor = %(cursor)s::jsonb, planned_entry = %(entry)s, touched_at = now(),
       items = items + %(items)s, nodes = nodes + %(nodes)s, bytes = bytes + %(bytes)s, conflicts = conflicts + %(conflicts)s,
       failed = failed + %(failed)s, skipped = skipped + %(skipped)s, changed = changed + %(changed)s
 WHERE id = %(id)s

-- name: end_plan
-- The plan is complete: it waits, runs, or has failed.
UPDATE filestore.operations
   SET state = %(state)s::filestore.operation_state, planned_at = now(), plan_cursor = NULL, touched_at = NULL,
       started_at = CASE %(state)s WHEN 'running' THEN now() END, ended_at = CASE %(state)s WHEN 'failed' THEN now() END,
       failed_before = failed, changed_before = changed, refusal = %(refusal)s
 WHERE id = %(id)s

-- A turn of the runner --------------------------------------------------------------------------------------------------

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
                WHERE j.mount_id = i.mount AND j.id > %(entry)s AND j.outcome = 'succeeded'
                  AND j.operation_id IS DISTINCT FROM %(id)s::uuid
                  AND t.low IN (CASE WHEN j.kind <> 'copyNode' THEN substring(j.path FOR t.size) END,
                                substring(filestore.target_v1(j.payload) FOR t.size)) OFFSET 0)
    OR EXISTS (SELECT FROM filestore.operations o
                 JOIN filestore.journal_entries j ON j.command_id = ANY(o.planned_beside)
                WHERE o.id = %(id)s::uuid AND j.mount_id = i.mount AND j.outcome = 'succeeded'
                  AND t.low IN (CASE WHEN j.kind <> 'copyNode' THEN substring(j.path FOR t.size) END,
                                substring(filestore.target_v1(j.payload) FOR t.size)) OFFSET 0)

-- name: changed_since
-- What has changed at and below the path of a plan since it was made: the first few of it. A copy only reads where it comes from.
SELECT j.id, coalesce(filestore.target_v1(j.payload), j.path) AS path FROM filestore.journal_entries j
 WHERE j.mount_id = %(mount)s AND j.id > %(entry)s AND j.outcome = 'succeeded' AND j.after IS NOT NULL
   AND j.operation_id IS DISTINCT FROM %(id)s::uuid
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
