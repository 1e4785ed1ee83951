-- What is left to clear on the storage after commands have ended.
-- LATERAL with OFFSET 0, and `= ANY (ARRAY[...])` where a table is written to: see trees.sql.

-- name: cleanups
-- What is left to clear on the storage of a mount, with all that `finish` needs to know: of these commands, or what is due.
SELECT k.id, c.id::text AS command, c.status::text, c.intent, c.path, c.attempt, k.mount_id <> c.mount_id AS departs
  FROM filestore.cleanups k JOIN filestore.commands c ON c.id = k.command_id
 WHERE k.mount_id = %(mount)s AND (k.command_id = ANY(%(ids)s::uuid[]) OR %(ids)s::uuid[] IS NULL AND k.due_at <= now())
   AND c.status <> 'running'
 ORDER BY k.due_at, k.id LIMIT 1000

-- name: postpone
-- These could not be cleared. Each time the pause until the next is twice as long, up to an hour.
UPDATE filestore.cleanups k
   SET attempts = k.attempts + 1, problem = x.problem,
       due_at = now() + make_interval(secs => least(3600, 5 * 2 ^ least(k.attempts, 10)))
  FROM jsonb_to_recordset(%(items)s::jsonb) AS x(id bigint, problem text)
 WHERE k.id = ANY (ARRAY[x.id])

-- name: hasten
-- A person asks that all be tried now.
UPDATE filestore.cleanups SET due_at = now() WHERE mount_id = %(mount)s AND due_at > now()

-- name: stuck
-- By mount, how many leftovers could not be cleared when that was last tried (not counted further than `most`), since when, and
-- what is wrong with the oldest. A mount without any has no row.
SELECT m.id AS mount, s.stuck, s.since, s.problem
  FROM filestore.backend_mounts m
 CROSS JOIN LATERAL (
     SELECT count(*) AS stuck, min(o.created_at) AS since, (array_agg(o.problem ORDER BY o.id))[1] AS problem
       FROM (SELECT k.id, k.created_at, k.problem FROM filestore.cleanups k
              WHERE k.mount_id = m.id AND k.problem IS NOT NULL ORDER BY k.id LIMIT %(most)s) o) s
 WHERE s.stuck > 0

-- name: close_cleanups
-- These leftovers are cleared. Where one was a source that had to go, the claim on its name ends.
WITH closed AS (
    DELETE FROM filestore.cleanups WHERE id = ANY(%(ids)s) RETURNING mount_id, command_id
)
DELETE FROM filestore.claims k USING closed c, filestore.commands o
 WHERE k.command_id = ANY (ARRAY[c.command_id]) AND k.mount_id = c.mount_id AND o.id = c.command_id AND o.status <> 'running'

-- name: disown
-- The source of a move was changed before it could go: the file there is another program's, and its old content is not kept.
WITH RECURSIVE below AS (
    SELECT (c.intent->'departs'->>'node')::bigint AS id, convert_to(c.intent->'departs'->>'trash', 'UTF8') AS place
      FROM filestore.commands c WHERE c.id = %(command)s
     UNION ALL
    SELECT n.id, b.place || '\x2f'::bytea || n.name FROM below b CROSS JOIN LATERAL (
          SELECT k.id, k.name FROM filestore.nodes k WHERE k.parent_id = b.id AND k.state = 'deleted' OFFSET 0) n
)
UPDATE filestore.versions s SET content_until = now()
  FROM below b WHERE s.node_id = ANY (ARRAY[b.id]) AND s.content_place = b.place

-- name: live_stages
-- Which of these stages belong to a command that is still running (keep), that ended with something to clear (finish first), or
-- that was interrupted, and goes on with its operation.
SELECT DISTINCT s.stage::text FROM unnest(%(stages)s::uuid[]) AS s(stage)
 WHERE EXISTS (SELECT FROM filestore.commands c WHERE c.id = s.stage AND c.status = 'running' OFFSET 0)
    OR EXISTS (SELECT FROM filestore.commands c
                WHERE c.status = 'running' AND c.mount_id = %(mount)s AND c.intent->>'stage' = s.stage::text)
    OR EXISTS (SELECT FROM filestore.cleanups k WHERE k.stage_id = s.stage)
    OR EXISTS (SELECT FROM filestore.commands c JOIN filestore.operations o ON o.id = c.operation_id
                WHERE c.id = s.stage AND c.code = 'INTERRUPTED' AND o.ended_at IS NULL OFFSET 0)
    OR EXISTS (SELECT FROM filestore.stages t
                WHERE t.id = s.stage AND coalesce(t.upload_state, 'open') = 'open' AND t.expires_at > now())

-- name: ended_stages
-- Which of these stages, or marks, bear the name of a command that has ended.
SELECT s.stage::text FROM unnest(%(stages)s::uuid[]) AS s(stage)
 WHERE EXISTS (SELECT FROM filestore.commands c WHERE c.id = s.stage AND c.mount_id = %(mount)s AND c.status <> 'running' OFFSET 0)

-- name: forget_interrupted
-- Remove the plans of copies that were interrupted, and whose stages go now.
DELETE FROM filestore.staged_entries e USING filestore.commands c
 WHERE c.id = ANY(%(stages)s::uuid[]) AND c.code = 'INTERRUPTED' AND c.status = 'failed' AND e.command_id = ANY (ARRAY[c.id])

-- name: forget_stages
-- Remove metadata that waited for a `begin` that never came.
DELETE FROM filestore.stages WHERE mount_id = %(mount)s AND upload_state IS NULL AND expires_at < now()
