-- Notifications of buckets: when they were heard of, and whether our canaries were.

-- name: hear
-- A notification came. The answer says for how long canaries had been waited for in vain.
INSERT INTO filestore.bucket_notifications AS b (mount_id, keys, canary_heard_at)
VALUES (%(mount)s, %(keys)s, CASE WHEN %(canary)s THEN now() END)
    ON CONFLICT (mount_id) DO UPDATE SET keys = b.keys + excluded.keys, heard_at = now(),
       canary_heard_at = coalesce(excluded.canary_heard_at, b.canary_heard_at),
       canary_waits_since = CASE WHEN excluded.canary_heard_at IS NULL THEN b.canary_waits_since END

-- name: waits
-- For how many seconds a canary of a mount has been waited for; the row is held still.
SELECT extract(epoch FROM now() - canary_waits_since)::float8 AS waits FROM filestore.bucket_notifications
 WHERE mount_id = %(mount)s FOR UPDATE

-- name: put
-- A canary was written, from this time on. Its notification may have come already.
UPDATE filestore.bucket_notifications SET canary_put_at = now(),
       canary_waits_since = CASE WHEN canary_heard_at >= %(began)s THEN NULL ELSE coalesce(canary_waits_since, %(began)s) END
 WHERE mount_id = %(mount)s

-- name: due
-- The mounts that had notifications, and whose last canary is older than this. And what time it is.
SELECT mount_id, now() AS at FROM filestore.bucket_notifications
 WHERE canary_put_at IS NULL OR canary_put_at < now() - make_interval(secs => %(seconds)s)

-- name: of_mount
-- What is known of the notifications of a mount.
SELECT mount_id, keys, heard_at, coalesce(extract(epoch FROM now() - canary_waits_since)::float8, 0) AS waits
  FROM filestore.bucket_notifications WHERE mount_id = %(mount)s

-- name: every
-- The same of all mounts, with their keys.
SELECT m.tenant, m.mount_key, b.mount_id, b.keys, b.heard_at,
       coalesce(extract(epoch FROM now() - b.canary_waits_since)::float8, 0) AS waits
  FROM filestore.bucket_notifications b JOIN filestore.backend_mounts m ON m.id = b.mount_id
 WHERE m.removed_at IS NULL ORDER BY b.mount_id

-- name: on_record
-- Which of these names have this ETag on record: a command of ours wrote them.
SELECT x.path FROM unnest(%(paths)s::bytea[], %(parents)s::bytea[], %(names)s::bytea[], %(etags)s::text[])
       AS x(path, parent, name, etag)
 CROSS JOIN LATERAL (SELECT d.id FROM filestore.nodes d
       WHERE d.mount_id = %(mount)s AND d.directory_path = x.parent AND d.directory_path IS NOT NULL AND d.state <> 'deleted'
       LIMIT 1) d
 CROSS JOIN LATERAL (SELECT c.state, c.s3_etag FROM filestore.nodes c
       WHERE c.parent_id = d.id AND c.name = x.name AND c.state <> 'deleted' LIMIT 1) n
 WHERE n.state = 'active' AND n.s3_etag = x.etag
