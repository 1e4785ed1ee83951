-- Folding appended rollup deltas into the rollups they belong to.

-- name: lock_fold
-- One folder at a time: two could deadlock on each other's directories.
SELECT pg_try_advisory_xact_lock(%(lock)s) AS mine

-- name: hold_fold
-- The same for what else writes to many rollups: it waits for the one that folds.
SELECT pg_advisory_xact_lock(%(lock)s)

-- name: fold
-- Readers add deltas to the folded row within one snapshot, so their sums are exact before, during and after this.
WITH taken AS (
    DELETE FROM filestore.rollup_deltas WHERE id IN (SELECT id FROM filestore.rollup_deltas ORDER BY id LIMIT %(limit)s)
    RETURNING directory_id, size_bytes, file_count, directory_count, child_count
), sums AS (
    SELECT directory_id, sum(size_bytes) AS size_bytes, sum(file_count) AS file_count,
           sum(directory_count) AS directory_count, sum(child_count) AS child_count, count(*) AS rows
      FROM taken GROUP BY directory_id
), folded AS (
    INSERT INTO filestore.rollups AS r (directory_id, size_bytes, file_count, directory_count, child_count)
    SELECT directory_id, size_bytes, file_count, directory_count, child_count FROM sums
    ON CONFLICT (directory_id) DO UPDATE SET size_bytes = r.size_bytes + excluded.size_bytes,
        file_count = r.file_count + excluded.file_count, directory_count = r.directory_count + excluded.directory_count,
        child_count = r.child_count + excluded.child_count, last_calculated_at = now()
)
SELECT coalesce(sum(rows), 0)::bigint AS folded FROM sums

-- name: fold_charges
-- The same of what principals have, and of what the trash of a mount keeps.
WITH taken AS (
    DELETE FROM filestore.charge_deltas WHERE id IN (SELECT id FROM filestore.charge_deltas ORDER BY id LIMIT %(limit)s)
    RETURNING mount_id, principal, quota_id, size_bytes, node_count
), sums AS (
    SELECT mount_id, principal, quota_id, sum(size_bytes) AS size_bytes, sum(node_count) AS node_count, count(*) AS rows
      FROM taken GROUP BY mount_id, principal, quota_id
), folded AS (
    INSERT INTO filestore.charges AS c (mount_id, principal, quota_id, size_bytes, node_count)
    SELECT mount_id, principal, quota_id, size_bytes, node_count FROM sums
    ON CONFLICT (mount_id, principal, quota_id) DO UPDATE
       SET size_bytes = c.size_bytes + excluded.size_bytes, node_count = c.node_count + excluded.node_count
)
SELECT coalesce(sum(rows), 0)::bigint AS folded FROM sums
