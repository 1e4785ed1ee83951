-- How commands stand: for those that wait for them, and for the sweep.

-- name: touch
-- Note that a process works on a command: the sweeper need not resume it. Whether its operation pauses, or is cancelled.
UPDATE filestore.commands c SET touched_at = now() WHERE c.id = %(id)s AND c.status = 'running'
RETURNING coalesce((SELECT o.want IS NOT NULL OR o.state = 'cancelling' FROM filestore.operations o WHERE o.id = c.operation_id),
                   false) AS interrupted

-- name: outcomes
-- How these commands stand, for callers that wait for a row that another process ends.
SELECT id::text, status::text, code, outcome::text AS body FROM filestore.commands WHERE id = ANY(%(ids)s::uuid[])

-- name: by_key
-- How the same requests stand under their key, whatever id they were opened under. Without a hash any request with the key is
-- the same. With the seconds that a request has waited only what ended under another id counts; and a failure that another
-- attempt may follow only when it is younger than the request.
SELECT i.request, c.id::text, c.status::text, c.code, c.outcome::text AS body
  FROM jsonb_to_recordset(%(items)s::jsonb) AS i(request text, tenant text, principal text, key text, hash text,
                                                 age double precision)
  JOIN LATERAL (SELECT x.* FROM filestore.commands x
                 WHERE x.tenant = i.tenant AND x.principal = i.principal AND x.key = i.key LIMIT 1) c ON true
 WHERE (i.hash IS NULL OR encode(c.request_hash, 'hex') = i.hash)
   AND (i.age IS NULL
        OR (c.id::text <> i.request AND c.status <> 'running'
            AND (NOT c.retryable OR c.ended_at > clock_timestamp() - make_interval(secs => i.age))))

-- name: overdue
-- Running commands that no process touched for a while: a sweep resumes their owner. The lock tells whether it still lives.
SELECT id::text FROM filestore.commands
 WHERE mount_id = %(mount)s AND status = 'running' AND touched_at < clock_timestamp() - make_interval(secs => %(seconds)s)
   AND atomic_id IS NULL
 ORDER BY touched_at LIMIT 1000

-- name: named
-- What a person calls these commands: kind, paths and principal, for the names of the runs that resume them.
SELECT id::text, kind, request->>'path' AS path, request->>'target' AS target, principal
  FROM filestore.commands WHERE id = ANY(%(ids)s::uuid[]) ORDER BY id

-- name: overdue_atomic
-- The same for lists of which all are recorded or none: each as a whole, once no process has touched any of it for a while.
SELECT array_agg(id::text ORDER BY item) AS ids FROM filestore.commands
 WHERE mount_id = %(mount)s AND status = 'running' AND atomic_id IS NOT NULL
 GROUP BY atomic_id HAVING max(touched_at) < clock_timestamp() - make_interval(secs => %(seconds)s)
 ORDER BY max(touched_at) LIMIT 100
