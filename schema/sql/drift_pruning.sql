-- What drift leaves behind and is kept no longer. Each statement takes a page and is a transaction.

-- name: prune_looks
-- Looks that ended first, but for the last one at all of a mount: that is when it was audited.
WITH old AS (
    SELECT l.id FROM filestore.looks l
     WHERE l.ended_at < now() - make_interval(secs => %(keep)s)
       AND NOT EXISTS (SELECT FROM filestore.drift_mounts d WHERE d.mount_id = l.mount_id AND d.audit = l.id OFFSET 0)
     ORDER BY l.ended_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
DELETE FROM filestore.looks l USING old WHERE l.id = ANY (ARRAY[old.id])

-- name: prune_findings
-- Findings that were closed first.
WITH old AS (
    SELECT f.id FROM filestore.findings f
     WHERE f.ended_at < now() - make_interval(secs => %(keep)s) ORDER BY f.ended_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
DELETE FROM filestore.findings f USING old WHERE f.id = ANY (ARRAY[old.id])

-- name: prune_jobs
-- Reconciliations by hand that ended first.
WITH old AS (
    SELECT j.id FROM filestore.reconciliation_jobs j
     WHERE j.completed_at < now() - make_interval(secs => %(keep)s) ORDER BY j.completed_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
DELETE FROM filestore.reconciliation_jobs j USING old WHERE j.id = ANY (ARRAY[old.id])

-- name: give_up_looks
-- Looks that began long ago and never ended: their workflow is gone.
WITH lost AS (
    SELECT l.id FROM filestore.looks l
     WHERE l.ended_at IS NULL AND l.started_at < now() - make_interval(secs => %(keep)s) ORDER BY l.id LIMIT %(limit)s
       FOR UPDATE SKIP LOCKED
)
UPDATE filestore.looks l SET state = 'failed', problem = 'It was not heard of any more.', ended_at = now()
  FROM lost WHERE l.id = ANY (ARRAY[lost.id])

-- name: readings
-- The looks of which something is kept that lives only as long as they do. Each is found by one step in the index.
WITH RECURSIVE entries AS (
    SELECT min(e.look_id) AS look FROM filestore.look_entries e
     UNION ALL
    SELECT (SELECT min(e.look_id) FROM filestore.look_entries e WHERE e.look_id > k.look) FROM entries k WHERE k.look IS NOT NULL
), pages AS (
    SELECT min(p.look_id) AS look FROM filestore.look_pages p
     UNION ALL
    SELECT (SELECT min(p.look_id) FROM filestore.look_pages p WHERE p.look_id > k.look) FROM pages k WHERE k.look IS NOT NULL
)
SELECT x.look FROM (SELECT look FROM entries UNION SELECT look FROM pages) x
 WHERE x.look IS NOT NULL
   AND NOT EXISTS (SELECT FROM filestore.looks l WHERE l.id = x.look AND l.ended_at IS NULL OFFSET 0)
 ORDER BY x.look
