-- Uploads: rows of `stages` that have a state. The bytes of resumable ones lie in a folder of the host that `request.host`
-- names; without a host they go straight to a bucket, where they wait as the stage of this id.

-- name: one_at_a_time
-- What a principal announces is counted and added by one session at a time.
SELECT pg_advisory_xact_lock(%(lock)s, hashtext(%(tenant)s || '/' || %(principal)s))

-- name: open_of
-- How many other uploads a principal has open, and the bytes they announced. An upload made of others has none of its own.
SELECT count(*) AS uploads,
       coalesce(sum(CASE WHEN parts = '[]' THEN coalesce(expected, received) ELSE 0 END), 0) AS bytes
  FROM filestore.stages
 WHERE tenant = %(tenant)s AND principal = %(principal)s AND upload_state = 'open' AND expires_at > now() AND id <> %(id)s

-- name: create
-- A new upload. One that is there already under this id stays as it is.
INSERT INTO filestore.stages (id, tenant, principal, mount_id, path, upload_state, parts, expected, request, expires_at)
VALUES (%(id)s, %(tenant)s, %(principal)s, %(mount)s, %(path)s, 'open', %(parts)s::jsonb, %(expected)s, %(request)s::jsonb,
        now() + make_interval(secs => %(keep)s))
ON CONFLICT (id) DO NOTHING

-- name: find
-- Uploads of one principal, by id.
SELECT id::text, mount_id, upload_state, parts, received, expected, request, expires_at, expires_at < now() AS expired
  FROM filestore.stages
 WHERE id = ANY(%(ids)s::uuid[]) AND tenant = %(tenant)s AND principal = %(principal)s AND upload_state IS NOT NULL

-- name: fix_length
-- Set the length that was not known at first. It can be set once.
UPDATE filestore.stages SET expected = %(expected)s
 WHERE id = %(id)s AND upload_state = 'open' AND expected IS NULL AND received <= %(expected)s
RETURNING id

-- name: advance
-- Note that more bytes are durable. Only from the offset where the writer began: two writers never count the same bytes.
UPDATE filestore.stages SET received = %(received)s, expires_at = now() + make_interval(secs => %(keep)s)
 WHERE id = %(id)s AND upload_state = 'open' AND received = %(before)s
RETURNING expires_at

-- name: end
-- It has become a file, was refused, or is given up: its bytes are not needed any longer. The row tells how it ended.
UPDATE filestore.stages
   SET upload_state = %(state)s, request = request || jsonb_build_object('ended', %(ended)s::jsonb),
       expires_at = now() + make_interval(secs => %(keep)s)
 WHERE id = ANY(%(ids)s::uuid[]) AND (upload_state = 'open' OR %(state)s = 'gone')
RETURNING id::text

-- name: expire
-- Ends an upload that no client went on with: it is gone now, and a while later forgotten.
UPDATE filestore.stages SET upload_state = 'gone', expires_at = now() + make_interval(secs => %(keep)s)
 WHERE id = %(id)s AND upload_state = 'open' AND expires_at < now()
RETURNING id

-- name: overdue
-- Open uploads of a host whose time is over, the oldest first, a page at a time: those that are in use are passed over.
SELECT id::text, expires_at FROM filestore.stages
 WHERE upload_state = 'open' AND expires_at < now() AND request->>'host' = %(host)s
   AND (expires_at, id) > (%(expired)s::timestamptz, %(after)s::uuid)
 ORDER BY expires_at, id LIMIT 500

-- name: expire_direct
-- The same for uploads that go straight to a bucket: no host holds their bytes, so any host can end them. Sweeps remove the
-- objects.
UPDATE filestore.stages SET upload_state = 'gone', expires_at = now() + make_interval(secs => %(keep)s)
 WHERE upload_state = 'open' AND expires_at < now() AND request->>'host' IS NULL AND request->>'kind' = 'direct'

-- name: forget
-- Uploads that ended long ago.
DELETE FROM filestore.stages WHERE upload_state <> 'open' AND expires_at < now()

-- name: open
-- Those of these uploads whose bytes are still needed.
SELECT id::text FROM filestore.stages WHERE id = ANY(%(ids)s::uuid[]) AND upload_state = 'open'
