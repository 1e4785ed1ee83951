-- What lies there now, for the Timestore: the record knows it, and the events only how it came to be. Each reads all files that are
-- asked about, in the lane of long reads.

-- name: files
-- The living files of a tenant that are asked about, with their paths. What is asked of them is added to this.
WITH files AS (
    SELECT n.id, n.mount_id, p.directory_path || n.name AS path, p.directory_text || n.name_text AS shown, n.size_bytes, n.sha256,
           coalesce(n.last_modified_at, n.created_at) AS modified_at, n.created_at
      FROM filestore.nodes n JOIN filestore.nodes p ON p.id = n.parent_id
     WHERE n.tenant = %(tenant)s AND n.kind = 'file' AND n.state <> 'deleted'
       AND (%(mount)s::bigint IS NULL OR n.mount_id = %(mount)s)
       AND (%(low)s::bytea IS NULL OR p.directory_path >= %(low)s AND p.directory_path < %(high)s)
)

-- name: largest
-- The largest files.
SELECT f.id AS "nodeId", f.mount_id AS "backendMountId", f.shown AS path, f.size_bytes AS "sizeBytes", f.modified_at AS "modifiedAt"
  FROM files f ORDER BY f.size_bytes DESC, f.id LIMIT %(limit)s

-- name: oldest
-- The files that were changed least recently.
SELECT f.id AS "nodeId", f.mount_id AS "backendMountId", f.shown AS path, f.size_bytes AS "sizeBytes", f.modified_at AS "modifiedAt"
  FROM files f ORDER BY f.modified_at, f.id LIMIT %(limit)s

-- name: duplicates
-- Contents that lie there more than once, those first that waste most.
SELECT encode(f.sha256, 'hex') AS "contentHash", f.size_bytes AS "sizeBytes", count(*) AS copies,
       (count(*) - 1) * f.size_bytes AS "wastedBytes", (array_agg(f.id ORDER BY f.id))[1:20] AS "nodeIds",
       (array_agg(f.shown ORDER BY f.id))[1:20] AS paths
  FROM files f WHERE f.sha256 IS NOT NULL AND f.size_bytes > 0
 GROUP BY f.sha256, f.size_bytes HAVING count(*) > 1 ORDER BY 4 DESC, 1 LIMIT %(limit)s
