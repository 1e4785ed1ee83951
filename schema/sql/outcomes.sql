-- How commands stand: for those that wait for them, and for the sweep.

-- name: touch
-- These commands are in good hands: the sweeper need not resume them.
UPDATE filestore.commands SET touched_at = now() WHERE id = ANY(%(ids)s::uuid[]) AND status = 'running'

-- name: outcomes
-- How these commands stand, for callers that wait for a row somebody else ends.
SELECT id::text, status::text, code, outcome::text AS body FROM filestore.commands WHERE id = ANY(%(ids)s::uuid[])

-- name: outcome_by_key
-- How the command with this key stands, for whoever comes back to it later.
SELECT id::text, status::text, code, outcome::text AS body FROM filestore.commands
 WHERE tenant = %(tenant)s AND principal = %(principal)s AND key = %(key)s

-- name: outcomes_by_key
-- How the same requests stand under an earlier id: where another process opened them. A failure that another attempt may
-- follow counts only when it is younger than the request that waits.
SELECT i.request, c.id::text, c.status::text, c.code, c.outcome::text AS body
  FROM jsonb_to_recordset(%(items)s::jsonb) AS i(request text, tenant text, principal text, key text, hash text,
                                                 age double precision)
  JOIN LATERAL (SELECT x.* FROM filestore.commands x
                 WHERE x.tenant = i.tenant AND x.principal = i.principal AND x.key = i.key LIMIT 1) c ON true
 WHERE c.id::text <> i.request AND encode(c.request_hash, 'hex') = i.hash AND c.status <> 'running'
   AND (NOT c.retryable OR c.ended_at > clock_timestamp() - make_interval(secs => i.age))

-- name: rows_by_key
-- The commands that the same requests have opened before, under whatever id and however they stand.
SELECT i.request, c.id::text
  FROM jsonb_to_recordset(%(items)s::jsonb) AS i(request text, tenant text, principal text, key text, hash text)
  JOIN LATERAL (SELECT x.id, x.request_hash FROM filestore.commands x
                 WHERE x.tenant = i.tenant AND x.principal = i.principal AND x.key = i.key LIMIT 1) c ON true
 WHERE encode(c.request_hash, 'hex') = i.hash

-- name: overdue
-- Running commands that nobody touched for a while: their owner is to be resumed. The lock tells whether it still lives.
SELECT id::text FROM filestore.commands
 WHERE mount_id = %(mount)s AND status = 'running' AND touched_at < clock_timestamp() - make_interval(secs => %(seconds)s)
   AND atomic_id IS NULL
 ORDER BY touched_at LIMIT 1000

-- name: overdue_atomic
-- The same for lists of which all are recorded or none: each as a whole, once nobody has touched any of it for a while.
SELECT array_agg(id::text ORDER BY item) AS ids FROM filestore.commands
 WHERE mount_id = %(mount)s AND status = 'running' AND atomic_id IS NOT NULL
 GROUP BY atomic_id HAVING max(touched_at) < clock_timestamp() - make_interval(secs => %(seconds)s)
 ORDER BY max(touched_at) LIMIT 100
