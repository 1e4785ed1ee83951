-- Keys of requests that make something and are no commands.

-- name: take
-- A key that is new. No row: it was taken before. A request under the same key waits here until the other's transaction has ended.
INSERT INTO filestore.request_keys (tenant, principal, key, hash)
VALUES (%(tenant)s, %(principal)s, %(key)s, %(hash)s)
ON CONFLICT (tenant, principal, key) DO NOTHING
RETURNING key

-- name: find
-- What was asked for under a key, and what it made.
SELECT hash, made FROM filestore.request_keys WHERE tenant = %(tenant)s AND principal = %(principal)s AND key = %(key)s

-- name: keep
-- What a request made under its key.
UPDATE filestore.request_keys SET made = %(made)s WHERE tenant = %(tenant)s AND principal = %(principal)s AND key = %(key)s

-- name: forget
-- Keys that were kept for the promised time, the oldest first.
WITH old AS (
    SELECT o.tenant, o.principal, o.key FROM filestore.request_keys o
     WHERE o.created_at < now() - make_interval(secs => %(keep)s) ORDER BY o.created_at LIMIT %(limit)s
)
DELETE FROM filestore.request_keys k USING old
 WHERE k.tenant = ANY (ARRAY[old.tenant]) AND k.principal = ANY (ARRAY[old.principal]) AND k.key = ANY (ARRAY[old.key])
