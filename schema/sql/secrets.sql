-- Stored secrets, of every kind: which key they are sealed with, and sealing them anew.

-- name: of_mounts
-- Secrets of mounts that another key sealed, or none; held still until the transaction ends. References have no key.
SELECT s.mount_id, s.name, s.value FROM filestore.mount_secrets s
 WHERE s.value !~ '^(env:|file:/)' AND CASE WHEN %(plain)s THEN s.key_id IS NULL ELSE s.key_id IS DISTINCT FROM %(key)s END
 ORDER BY s.mount_id, s.name LIMIT 100 FOR UPDATE

-- name: keep_of_mount
-- The same secret, sealed with another key.
UPDATE filestore.mount_secrets SET value = %(value)s WHERE mount_id = %(mount)s AND name = %(name)s

-- name: of_subscriptions
-- The same of subscriptions.
SELECT s.id::text, s.secret, s.previous_secret FROM filestore.subscriptions s
 WHERE CASE WHEN %(plain)s THEN s.secret !~ '^sealed:' OR s.previous_secret !~ '^sealed:'
            ELSE s.secret !~ %(sealed)s OR s.previous_secret !~ %(sealed)s END
 ORDER BY s.id LIMIT 100 FOR UPDATE

-- name: keep_of_subscription
-- The same secrets, sealed with another key.
UPDATE filestore.subscriptions SET secret = %(secret)s, previous_secret = %(previous)s WHERE id = %(id)s::uuid

-- name: of_links
-- The keys that sign links.
SELECT l.id, l.key FROM filestore.links l WHERE NOT %(plain)s AND l.key <> '' AND l.key !~ %(sealed)s
 ORDER BY l.id LIMIT 100 FOR UPDATE

-- name: keep_of_link
-- The same key, sealed with another one.
UPDATE filestore.links SET key = %(key)s WHERE id = %(id)s

-- name: keys
-- How many secrets each key has sealed. Without a key: they were stored by a release that did not seal; references are left out.
SELECT k.key, count(*) AS number FROM (
    SELECT s.key_id AS key FROM filestore.mount_secrets s WHERE s.value !~ '^(env:|file:/)'
     UNION ALL
    SELECT substring(l.key FROM '^sealed:([^:]+):') FROM filestore.links l WHERE l.key <> ''
     UNION ALL
    SELECT substring(t.text FROM '^sealed:([^:]+):') FROM filestore.subscriptions s
     CROSS JOIN LATERAL (VALUES (s.secret), (s.previous_secret)) t(text) WHERE t.text IS NOT NULL) k
 GROUP BY k.key ORDER BY k.key NULLS FIRST
