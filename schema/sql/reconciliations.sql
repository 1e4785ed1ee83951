-- Reconciliations by hand, as clients of /v1 know them.

-- name: ask
-- A job is queued, and its event is written.
WITH job AS (
    INSERT INTO filestore.reconciliation_jobs (tenant, principal, mount_id, node_id, path, reason, detect_children, requested_hash,
        shown)
    VALUES (%(tenant)s, %(principal)s, %(mount)s, %(node)s, %(path)s, %(reason)s, %(detect_children)s, %(requested_hash)s,
        %(shown)s)
    RETURNING *
)
SELECT id FROM job

-- name: start
-- The workflow of a job has begun, or begins once more.
UPDATE filestore.reconciliation_jobs SET status = 'running', started_at = coalesce(started_at, now()), updated_at = now()
 WHERE id = %(job)s AND completed_at IS NULL
RETURNING mount_id, path, reason, principal, detect_children, requested_hash

-- name: finish
-- How a job ended. Once.
UPDATE filestore.reconciliation_jobs SET status = %(status)s::filestore.job_status, result = %(result)s::jsonb,
       error = %(error)s::jsonb, completed_at = now(), updated_at = now(),
       node_id = coalesce(node_id, %(node)s)
 WHERE id = %(job)s AND completed_at IS NULL
RETURNING id

-- name: documents
-- Jobs as clients read them, the newest first.
SELECT j.id, j.mount_id, j.path, (jsonb_build_object('id', j.id, 'jobKey', 'reconcile:' || j.mount_id || ':' || j.id,
       'backendMountId', j.mount_id, 'nodeId', j.node_id, 'path', j.shown, 'reason', j.reason,
       'status', j.status, 'detectChildren', j.detect_children, 'requestedHash', j.requested_hash, 'attempt', j.attempt,
       'result', j.result, 'error', j.error, 'enqueuedAt', j.enqueued_at, 'startedAt', j.started_at,
       'completedAt', j.completed_at,
       'durationMs', round(extract(epoch FROM j.completed_at - j.started_at) * 1000),
       'updatedAt', j.updated_at)
       || jsonb_strip_nulls(jsonb_build_object('pathB64', filestore.path_b64_v1(j.path, j.shown))))::text AS document
  FROM filestore.reconciliation_jobs j
 WHERE j.tenant = %(tenant)s AND (%(job)s::bigint IS NULL OR j.id = %(job)s)
   AND (%(mount)s::bigint IS NULL OR j.mount_id = %(mount)s)
   AND (%(prefix)s::bytea IS NULL OR j.path = %(prefix)s
        OR substring(j.path FROM 1 FOR octet_length(%(prefix)s) + 1) = %(prefix)s || '\x2f'::bytea)
   AND (%(statuses)s::text[] IS NULL OR j.status::text = ANY(%(statuses)s))
   AND (%(mounts)s::bigint[] IS NULL
        OR (j.mount_id, j.path) IN (SELECT * FROM unnest(%(mounts)s::bigint[], %(paths)s::bytea[])))
 ORDER BY j.id DESC LIMIT %(limit)s OFFSET %(offset)s

-- name: count
-- How many jobs there are that a list would show.
SELECT count(*) AS total FROM filestore.reconciliation_jobs j
 WHERE j.tenant = %(tenant)s AND (%(mount)s::bigint IS NULL OR j.mount_id = %(mount)s)
   AND (%(prefix)s::bytea IS NULL OR j.path = %(prefix)s
        OR substring(j.path FROM 1 FOR octet_length(%(prefix)s) + 1) = %(prefix)s || '\x2f'::bytea)
   AND (%(statuses)s::text[] IS NULL OR j.status::text = ANY(%(statuses)s))
   AND (%(mounts)s::bigint[] IS NULL
        OR (j.mount_id, j.path) IN (SELECT * FROM unnest(%(mounts)s::bigint[], %(paths)s::bytea[])))

-- name: places
-- Where the jobs of a list look: the client may not read all of these places.
SELECT DISTINCT j.mount_id, j.path FROM filestore.reconciliation_jobs j
 WHERE j.tenant = %(tenant)s AND (%(mount)s::bigint IS NULL OR j.mount_id = %(mount)s)

-- name: tell
-- The event of a job: all of it.
INSERT INTO filestore.outbox (tenant, mount_id, type, data)
SELECT j.tenant, j.mount_id, %(type)s, %(document)s::json
  FROM filestore.reconciliation_jobs j WHERE j.id = %(job)s

-- name: due
-- Jobs of a mount that were not heard of for a while.
SELECT id, tenant FROM filestore.reconciliation_jobs
 WHERE mount_id = %(mount)s AND completed_at IS NULL AND updated_at < now() - make_interval(secs => %(silent)s)
 ORDER BY id LIMIT 100

-- name: node_at
-- What the record has at a path.
SELECT d.id, d.state::text, d.version
  FROM filestore.nodes p
 CROSS JOIN LATERAL (SELECT k.id, k.state, k.version FROM filestore.nodes k
                      WHERE k.parent_id = p.id AND k.name = %(name)s AND k.state <> 'deleted' OFFSET 0) d
 WHERE p.mount_id = %(mount)s AND p.directory_path = %(directory)s AND p.directory_path IS NOT NULL AND p.state <> 'deleted'
