-- Reasons to look at a place: what watchers and notifications say. A hint is never a fact.

-- name: hint
-- Notice places. One that waits already stays as old as it is, and covers what either of them covers.
INSERT INTO filestore.drift_hints AS h (mount_id, path, subtree, reason)
SELECT %(mount)s, x.path, x.subtree, x.reason
  FROM unnest(%(paths)s::bytea[], %(subtrees)s::boolean[], %(reasons)s::text[]) AS x(path, subtree, reason)
 ORDER BY sha256(x.path)
    ON CONFLICT (mount_id, key) DO UPDATE SET subtree = h.subtree OR excluded.subtree, reason = excluded.reason
 WHERE h.subtree IS DISTINCT FROM (h.subtree OR excluded.subtree) OR h.reason <> excluded.reason

-- name: take
-- The oldest hints of a mount, for a look that begins in this transaction.
DELETE FROM filestore.drift_hints h
 USING (SELECT k.key FROM filestore.drift_hints k WHERE k.mount_id = %(mount)s
         ORDER BY k.noticed_at, k.key LIMIT %(limit)s FOR UPDATE SKIP LOCKED) t
 WHERE h.mount_id = %(mount)s AND h.key = t.key
RETURNING h.path, h.subtree, h.reason, h.noticed_at

-- name: waiting
-- The mounts with hints, how many each has, and since when.
SELECT mount_id, count(*) AS hints, min(noticed_at) AS since FROM filestore.drift_hints GROUP BY mount_id
