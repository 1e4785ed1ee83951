-- Object Lock of buckets: what was proved of it, and which versions each hold has locked.

-- name: proof
-- What a bucket did under Object Lock when that was last tried.
SELECT p.enabled, p.legal_hold, p.retention, p.default_mode, p.default_days, p.problem,
       p.proved_at < now() - make_interval(secs => %(seconds)s) AS old
  FROM filestore.object_lock_proofs p WHERE p.mount_id = %(mount)s

-- name: keep_proof
-- What it did now. What it kept before, and does not any more, is lost until it keeps both again.
INSERT INTO filestore.object_lock_proofs AS p (mount_id, enabled, legal_hold, retention, default_mode, default_days, problem)
VALUES (%(mount)s, %(enabled)s, %(legal_hold)s, %(retention)s, %(default_mode)s, %(default_days)s, %(problem)s)
    ON CONFLICT (mount_id) DO UPDATE SET enabled = excluded.enabled, legal_hold = excluded.legal_hold,
       retention = excluded.retention, default_mode = excluded.default_mode, default_days = excluded.default_days,
       problem = excluded.problem, proved_at = now(),
       lost_at = CASE WHEN p.legal_hold AND NOT excluded.legal_hold OR p.retention AND NOT excluded.retention
                      THEN coalesce(p.lost_at, now())
                      WHEN NOT (excluded.legal_hold AND excluded.retention) THEN p.lost_at END

-- name: every
-- Mounts in buckets with Object Lock, and whether one does not keep any more what it was seen to keep.
SELECT m.tenant, m.mount_key, p.lost_at IS NOT NULL AS lost
  FROM filestore.object_lock_proofs p JOIN filestore.backend_mounts m ON m.id = p.mount_id
 WHERE m.removed_at IS NULL AND (p.legal_hold OR p.retention OR p.lost_at IS NOT NULL) ORDER BY m.id

-- name: doubt
-- The mount lies elsewhere now: nothing is proved of it.
DELETE FROM filestore.object_lock_proofs p WHERE p.mount_id = %(mount)s

-- name: due_mounts
-- Mounts in buckets of which something is due: their proof, or the locks of a hold.
SELECT m.id FROM filestore.backend_mounts m
  LEFT JOIN filestore.object_lock_proofs p ON p.mount_id = m.id
 WHERE m.id = ANY(%(mounts)s::bigint[]) AND m.backend_kind = 's3' AND m.removed_at IS NULL
   AND (p.mount_id IS NULL OR p.proved_at < now() - make_interval(secs => %(seconds)s)
        OR EXISTS (SELECT FROM filestore.holds h WHERE h.mount_id = m.id AND h.lock_due <= now()))

-- name: begin
-- The objects below a hold are to be locked, from the first one on.
UPDATE filestore.holds SET lock_state = 'locking', lock_due = now(), lock_directory = NULL, lock_name = NULL
 WHERE id = %(hold)s

-- name: wake
-- A hold has ended: its locks go.
UPDATE filestore.holds SET lock_due = now() WHERE id = %(hold)s AND lock_state IS NOT NULL

-- name: due
-- The hold of a mount whose locks are due first.
SELECT h.id, h.mount_id, h.path, h.kind, h.until, h.lock_directory, h.lock_name, h.lock_state,
       h.released_at IS NOT NULL OR h.until <= now() AS ended
  FROM filestore.holds h WHERE h.mount_id = %(mount)s AND h.lock_due <= now() ORDER BY h.lock_due LIMIT 1

-- name: file_at
-- The file at a path, with its object.
SELECT %(directory)s::bytea AS directory, n.name, n.s3_etag AS etag, n.size_bytes AS size, n.s3_version_id AS version
  FROM filestore.nodes d
  JOIN filestore.nodes n ON n.parent_id = d.id AND n.name = %(name)s AND n.state <> 'deleted' AND n.kind = 'file'
 WHERE d.mount_id = %(mount)s AND d.directory_path = %(directory)s AND d.directory_path IS NOT NULL AND d.state <> 'deleted'

-- name: page
-- The next files below a path behind a name, by directory, and by name in it.
SELECT d.directory_path AS directory, n.* FROM (
    SELECT k.id, k.directory_path FROM filestore.nodes k
     WHERE k.mount_id = %(mount)s AND k.directory_path >= %(directory)s AND k.directory_path < %(high)s
       AND k.directory_path IS NOT NULL AND k.state <> 'deleted'
     ORDER BY k.directory_path LIMIT 200) d
 CROSS JOIN LATERAL (
    SELECT x.name, x.s3_etag AS etag, x.size_bytes AS size, x.s3_version_id AS version
      FROM filestore.nodes x
     WHERE x.parent_id = d.id AND x.state <> 'deleted' AND x.kind = 'file'
       AND x.name > CASE WHEN d.directory_path = %(directory)s THEN %(name)s::bytea ELSE ''::bytea END
     ORDER BY x.name LIMIT %(limit)s) n
 ORDER BY d.directory_path, n.name LIMIT %(limit)s

-- name: behind
-- The last of those 200 directories. No row: there is none behind them.
SELECT k.directory_path FROM filestore.nodes k
 WHERE k.mount_id = %(mount)s AND k.directory_path > %(directory)s AND k.directory_path < %(high)s
   AND k.directory_path IS NOT NULL AND k.state <> 'deleted'
 ORDER BY k.directory_path OFFSET 198 LIMIT 1

-- name: kept
-- The files that the trash keeps at these versions of nodes, and in those of directories.
WITH RECURSIVE inside AS (
    SELECT s.node_id AS id, s.content_place AS place
      FROM jsonb_to_recordset(%(entries)s::jsonb) AS e(node bigint, version bigint)
     CROSS JOIN LATERAL (SELECT k.node_id, k.content_place FROM filestore.versions k
                          WHERE k.node_id = e.node AND k.version = e.version AND k.content_place IS NOT NULL OFFSET 0) s
     UNION ALL
    SELECT n.id, b.place || '\x2f'::bytea || n.name
      FROM inside b CROSS JOIN LATERAL (
          SELECT k.id, k.name FROM filestore.nodes k WHERE k.parent_id = b.id AND k.state = 'deleted' OFFSET 0) n
)
SELECT b.place, s.size_bytes AS size
  FROM inside b
 CROSS JOIN LATERAL (SELECT k.size_bytes FROM filestore.versions k
                      WHERE k.node_id = b.id AND k.content_place = b.place AND k.kind = 'file'
                      ORDER BY k.version DESC LIMIT 1) s
 ORDER BY b.place

-- name: note
-- These versions are about to be locked for a hold. Before it is done: what a crash leaves locked is taken off all the same.
INSERT INTO filestore.object_locks (hold_id, object_key, version_id, legal)
SELECT %(hold)s, o.key, o.version, %(legal)s FROM unnest(%(keys)s::text[], %(versions)s::text[]) AS o(key, version)
    ON CONFLICT DO NOTHING

-- name: locked
-- So many more are locked, but for these, and the next page begins behind that place. `done`: there is none.
WITH failed AS (
    DELETE FROM filestore.object_locks o USING unnest(%(keys)s::text[], %(versions)s::text[]) AS u(key, version)
     WHERE o.hold_id = %(hold)s AND o.object_key = u.key AND o.version_id = u.version RETURNING 1
)
UPDATE filestore.holds h
   SET locked_objects = h.locked_objects + %(noted)s - (SELECT count(*) FROM failed),
       lock_directory = %(directory)s, lock_name = %(name)s,
       lock_problem = CASE WHEN h.lock_name IS NULL THEN %(problem)s ELSE coalesce(%(problem)s, h.lock_problem) END,
       lock_state = CASE WHEN %(done)s THEN 'locked' ELSE h.lock_state END,
       lock_due = CASE WHEN %(done)s THEN least(h.until, now() + make_interval(secs => %(seconds)s)) ELSE h.lock_due END
 WHERE h.id = %(hold)s AND h.released_at IS NULL

-- name: to_unlock
-- The next versions that an ended hold has locked, and whether another hold keeps the legal hold on each.
SELECT o.object_key, o.version_id, o.legal AND NOT EXISTS (
           SELECT FROM filestore.object_locks x JOIN filestore.holds h ON h.id = x.hold_id
            WHERE x.object_key = o.object_key AND x.version_id = o.version_id AND x.legal AND x.hold_id <> o.hold_id
              AND h.mount_id = %(mount)s AND h.released_at IS NULL AND (h.until IS NULL OR h.until > now())) AS goes
  FROM filestore.object_locks o
 WHERE o.hold_id = %(hold)s AND (o.object_key, o.version_id) > (%(after_key)s::text, %(after_version)s::text)
 ORDER BY o.object_key, o.version_id LIMIT %(limit)s

-- name: drop
-- These are not locked for it any more.
DELETE FROM filestore.object_locks o USING unnest(%(keys)s::text[], %(versions)s::text[]) AS u(key, version)
 WHERE o.hold_id = %(hold)s AND o.object_key = u.key AND o.version_id = u.version

-- name: unlocked
-- So many are off, and the next page begins behind this version. At the end: what the store has refused is tried again later.
UPDATE filestore.holds h
   SET locked_objects = h.locked_objects - %(gone)s, lock_directory = %(directory)s, lock_name = %(name)s,
       lock_problem = CASE WHEN h.lock_state <> 'unlocking' OR h.lock_name IS NULL THEN %(problem)s
                           ELSE coalesce(%(problem)s, h.lock_problem) END,
       lock_state = CASE WHEN %(at_end)s AND NOT l.waits THEN 'unlocked' ELSE 'unlocking' END,
       lock_due = CASE WHEN NOT %(at_end)s THEN now() WHEN l.waits THEN now() + make_interval(secs => %(seconds)s) END
  FROM (SELECT EXISTS (SELECT FROM filestore.object_locks o WHERE o.hold_id = %(hold)s) AS waits) l
 WHERE h.id = %(hold)s
