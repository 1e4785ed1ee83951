-- Recomputing rollups: a page of directories at a time, beside commands that change the tree (docs/decisions/0021). What one
-- directory says beyond its children (`rollup_excess_v1`) is changed by no command, so each is looked at by itself, and becomes
-- right by itself when what lies below it is right.
-- LATERAL with OFFSET 0, and `= ANY (ARRAY[...])` where a table is written to: see trees.sql.

-- name: ask
-- A recompute of a living directory. No row: one is under way, or the directory is gone.
INSERT INTO filestore.rollup_recomputes (tenant, principal, mount_id, directory_id, reason)
SELECT n.tenant, %(principal)s, n.mount_id, n.id, %(reason)s FROM filestore.nodes n
 WHERE n.id = %(directory)s AND n.kind = 'directory' AND n.state <> 'deleted'
ON CONFLICT (directory_id) WHERE ended_at IS NULL DO NOTHING
RETURNING id

-- name: open_of
-- The one that is under way.
SELECT r.id FROM filestore.rollup_recomputes r WHERE r.directory_id = %(directory)s AND r.ended_at IS NULL

-- name: root
-- The directory that a mount begins with.
SELECT n.id FROM filestore.nodes n
 WHERE n.mount_id = %(mount)s AND n.directory_path = '' AND n.directory_path IS NOT NULL AND n.state <> 'deleted'

-- name: await
-- Its directory waits for it. What is known to be wrong is still called so.
INSERT INTO filestore.rollups AS r (directory_id, consistency_state) VALUES (%(directory)s, 'pending')
ON CONFLICT (directory_id) DO UPDATE SET consistency_state = 'pending' WHERE r.consistency_state <> 'invalid'

-- name: document
-- One as clients read it.
SELECT n.mount_id, n.path,
       (jsonb_build_object('id', r.id, 'state', r.state, 'code', r.code, 'reason', r.reason, 'backendMountId', r.mount_id,
            'nodeId', r.directory_id, 'path', n.path_text, 'principal', r.principal, 'directories', r.directories,
            'differences', r.differences, 'createdAt', r.created_at, 'startedAt', r.started_at, 'endedAt', r.ended_at)
        || CASE WHEN convert_to(n.path_text, 'UTF8') = n.path THEN '{}'::jsonb
                ELSE jsonb_build_object('pathB64', translate(encode(n.path, 'base64'), E'\n', '')) END)::text AS document
  FROM filestore.rollup_recomputes r JOIN filestore.node_documents n ON n.id = r.directory_id
 WHERE r.id = %(id)s AND r.tenant = %(tenant)s

-- name: find
-- One, with where its directory lies now; and whether that still lives.
SELECT r.*, n.directory_path, n.directory_text, n.state <> 'deleted' AS living
  FROM filestore.rollup_recomputes r JOIN filestore.nodes n ON n.id = r.directory_id
 WHERE r.id = %(id)s

-- name: due
-- Those of a mount that have not ended, and were not heard of for a while.
SELECT r.id FROM filestore.rollup_recomputes r
 WHERE r.mount_id = %(mount)s AND r.ended_at IS NULL AND r.touched_at < now() - make_interval(secs => %(silent)s)

-- name: lock
-- One page at a time per mount: what one finds right, another one does not make wrong meanwhile.
SELECT pg_advisory_xact_lock(%(lock)s::integer, (%(mount)s::bigint & 2147483647)::integer)

-- name: page
-- The next directories that no recompute from this one on has proven, with what their totals say beyond their children; all in
-- one snapshot, what lies deeper first. Directories that came later were counted right by the commands that made them. So many
-- directories, or fewer of them where they hold many children; `there`: so many there would be.
SELECT l.id, l.directory_path, l.directory_text, l.there, e.size_bytes, e.file_count, e.directory_count, e.child_count
  FROM (SELECT c.*, count(*) OVER () AS there,
               sum(greatest(t.child_count, 0)) OVER (ORDER BY c.directory_path DESC) - greatest(t.child_count, 0) AS before
          FROM (SELECT n.id, n.directory_path, n.directory_text FROM filestore.nodes n
                 WHERE n.mount_id = %(mount)s AND n.directory_path >= %(low)s AND n.directory_path < %(high)s
                   AND n.directory_path IS NOT NULL AND n.state <> 'deleted'
                   AND n.created_at < coalesce((SELECT q.created_at FROM filestore.rollup_recomputes q WHERE q.id = %(run)s),
                                               'infinity')
                   AND NOT EXISTS (SELECT FROM filestore.rollups r
                                    WHERE r.directory_id = n.id AND r.proven_by >= %(run)s OFFSET 0)
                 ORDER BY n.directory_path DESC LIMIT %(limit)s OFFSET 0) c
         CROSS JOIN LATERAL filestore.rollup_of(c.id) t OFFSET 0) l
 CROSS JOIN LATERAL filestore.rollup_excess_v1(l.id) e
 WHERE l.before < %(children)s
 ORDER BY l.directory_path DESC

-- name: correct
-- Of these directories, take away what their totals say beyond their children; first of those of which no child is wrong too. A
-- recompute that has proven the directory above is to look again: it does not add up any more, or it never did. Under the lock of
-- the mount's `begin`: a command under way that carries a directory along has read its totals already, so that one is `busy`.
WITH wrong AS MATERIALIZED (
    SELECT n.id, n.parent_id, e.*,
           EXISTS (SELECT FROM filestore.claims k
                    WHERE k.mount_id = n.mount_id AND NOT k.shared
                      AND k.path = substring(n.directory_path FOR greatest(octet_length(n.directory_path) - 1, 0)) OFFSET 0) AS busy
      FROM filestore.nodes n CROSS JOIN LATERAL filestore.rollup_excess_v1(n.id) e
     WHERE n.id = ANY(%(ids)s::bigint[]) AND n.state <> 'deleted'
       AND (e.size_bytes, e.file_count, e.directory_count, e.child_count) <> (0, 0, 0, 0)
), ready AS MATERIALIZED (
    SELECT w.*, NOT w.busy AND NOT EXISTS (SELECT FROM wrong c WHERE c.parent_id = w.id) AS now FROM wrong w
), written AS (
    INSERT INTO filestore.rollup_deltas (directory_id, size_bytes, file_count, directory_count, child_count)
    SELECT r.id, -r.size_bytes, -r.file_count, -r.directory_count, -r.child_count FROM ready r WHERE r.now
), above AS (
    UPDATE filestore.rollups u SET proven_by = 0
      FROM (SELECT DISTINCT r.parent_id FROM ready r WHERE r.now) p WHERE u.directory_id = ANY (ARRAY[p.parent_id])
), counted AS (
    UPDATE filestore.rollup_recomputes r SET differences = r.differences + (SELECT count(*) FROM ready k WHERE k.now)
     WHERE r.id = %(run)s
)
SELECT r.id, r.now, r.size_bytes, r.file_count, r.directory_count, r.child_count FROM ready r

-- name: parent
-- Whether the directory above one adds up.
SELECT p.id, p.directory_text, e.size_bytes, e.file_count, e.directory_count, e.child_count
  FROM filestore.nodes n
 CROSS JOIN LATERAL (SELECT k.id, k.directory_text FROM filestore.nodes k WHERE k.id = n.parent_id OFFSET 0) p
 CROSS JOIN LATERAL filestore.rollup_excess_v1(p.id) e
 WHERE n.id = %(directory)s

-- name: prove
-- These are right. Under the lock of the fold, which writes to the same rows.
INSERT INTO filestore.rollups AS r (directory_id, proven_by) SELECT d, %(run)s FROM unnest(%(ids)s::bigint[]) d
ON CONFLICT (directory_id) DO UPDATE SET proven_by = greatest(r.proven_by, excluded.proven_by), last_calculated_at = now()

-- name: advance
-- How far it is; a pass that has come to its end begins again, until nothing is left.
UPDATE filestore.rollup_recomputes
   SET state = 'running', started_at = coalesce(started_at, now()), touched_at = now(), cursor = %(cursor)s,
       directories = directories + %(directories)s, waits = waits + %(waits)s
 WHERE id = %(run)s AND ended_at IS NULL

-- name: settle
-- What is below, and waits for no recompute of its own, is as it should be.
UPDATE filestore.rollups r SET consistency_state = 'up_to_date'
  FROM (SELECT x.directory_id FROM filestore.rollups x
         CROSS JOIN LATERAL (SELECT k.mount_id, k.directory_path FROM filestore.nodes k WHERE k.id = x.directory_id OFFSET 0) n
         WHERE x.consistency_state <> 'up_to_date' AND n.mount_id = %(mount)s
           AND n.directory_path >= %(low)s AND n.directory_path < %(high)s
           AND NOT EXISTS (SELECT FROM filestore.rollup_recomputes o
                            WHERE o.directory_id = x.directory_id AND o.ended_at IS NULL AND o.id <> %(run)s OFFSET 0)
         OFFSET 0) d
 WHERE r.directory_id = ANY (ARRAY[d.directory_id])

-- name: doubt
-- A recompute of this directory ended without an answer: it is not known whether its totals are right.
UPDATE filestore.rollups SET consistency_state = 'stale'
 WHERE directory_id = %(directory)s AND consistency_state <> 'invalid'

-- name: end
-- It has ended; its event is told with it.
WITH ended AS (
    UPDATE filestore.rollup_recomputes
       SET state = %(state)s::filestore.recompute_state, code = %(code)s, ended_at = now(), touched_at = now(),
           started_at = coalesce(started_at, now())
     WHERE id = %(run)s AND ended_at IS NULL
    RETURNING *
)
INSERT INTO filestore.outbox (tenant, mount_id, type, data)
SELECT e.tenant, e.mount_id, 'filestore.rollup.recomputed',
       jsonb_build_object('recomputeId', e.id, 'backendMountId', e.mount_id, 'nodeId', e.directory_id, 'path', n.path_text,
           'state', e.state, 'code', e.code, 'reason', e.reason, 'principal', e.principal, 'directories', e.directories,
           'differences', e.differences, 'rollup', n.document->'rollup', 'requestedAt', e.created_at, 'observedAt', now())
       || CASE WHEN convert_to(n.path_text, 'UTF8') = n.path THEN '{}'::jsonb
               ELSE jsonb_build_object('pathB64', translate(encode(n.path, 'base64'), E'\n', '')) END
  FROM ended e JOIN filestore.node_documents n ON n.id = e.directory_id

-- name: position
-- How far the proof of a mount is: no row before its first.
SELECT p.cursor FROM filestore.rollup_proofs p WHERE p.mount_id = %(mount)s

-- name: proceed
-- How far it is now. `whole`: it has come to the end of the mount, and begins again with the next round.
INSERT INTO filestore.rollup_proofs AS p (mount_id, cursor, rounds, directories, differences, proven_at)
VALUES (%(mount)s, %(cursor)s, %(whole)s::integer, %(directories)s, %(differences)s, CASE WHEN %(whole)s THEN now() END)
ON CONFLICT (mount_id) DO UPDATE SET cursor = excluded.cursor, rounds = p.rounds + excluded.rounds,
    directories = p.directories + excluded.directories, differences = p.differences + excluded.differences,
    proven_at = coalesce(excluded.proven_at, p.proven_at), touched_at = now()

-- name: mark
-- These are wrong, so all above them are; a recompute that has proven them already is to look again. Under the lock of the fold.
WITH RECURSIVE above AS (
    SELECT n.id, n.parent_id, true AS found FROM filestore.nodes n WHERE n.id = ANY(%(ids)s::bigint[])
     UNION
    SELECT n.id, n.parent_id, false FROM above a
     CROSS JOIN LATERAL (SELECT k.id, k.parent_id FROM filestore.nodes k WHERE k.id = a.parent_id OFFSET 0) n
)
INSERT INTO filestore.rollups AS r (directory_id, consistency_state, proven_by)
SELECT a.id, 'invalid', CASE WHEN bool_or(a.found) THEN 0 ELSE 1 END FROM above a GROUP BY a.id
ON CONFLICT (directory_id) DO UPDATE SET consistency_state = 'invalid',
    proven_by = CASE WHEN excluded.proven_by = 0 THEN 0 ELSE r.proven_by END

-- name: forget
-- Recomputes that ended long ago.
DELETE FROM filestore.rollup_recomputes r
 WHERE r.id = ANY (ARRAY(SELECT k.id FROM filestore.rollup_recomputes k
                          WHERE k.ended_at < now() - make_interval(secs => %(keep)s) ORDER BY k.ended_at LIMIT %(limit)s))
