-- Projects, the nodes that follow them, and their jobs.

-- name: tenants
-- Those that ever had a project.
SELECT DISTINCT p.tenant FROM filestore.projects p ORDER BY p.tenant

-- name: create
-- No row: the name is taken.
INSERT INTO filestore.projects (tenant, name, mount_id, description, conflict_rule, promotion, keep_days, evict_after_seconds,
                                hot_max_bytes, decide_after_seconds, decide_as, manifest, principal)
VALUES (%(tenant)s, %(name)s, %(mount)s, %(description)s, %(rule)s, %(promotion)s, %(keep_days)s, %(evict_after)s, %(hot_max)s,
        %(decide_after)s, %(decide_as)s, %(manifest)s, %(principal)s)
ON CONFLICT (tenant, name) WHERE state <> 'deleted' DO NOTHING
RETURNING *

-- name: find
-- One project of a tenant.
SELECT p.* FROM filestore.projects p WHERE p.tenant = %(tenant)s AND p.name = %(name)s AND p.state <> 'deleted'

-- name: of_id
-- The same by its number, whatever its state is.
SELECT p.* FROM filestore.projects p WHERE p.id = %(project)s

-- name: content_at
-- The content of the file at a path.
SELECT t.sha FROM filestore.project_paths t
 WHERE t.project_id = %(project)s AND t.key = sha256(%(path)s::bytea) AND t.kind = 'file'

-- name: listed
-- A page of a tenant's projects, by name.
SELECT p.* FROM filestore.projects p
 WHERE p.tenant = %(tenant)s AND p.state <> 'deleted' AND p.name > %(after)s ORDER BY p.name LIMIT %(limit)s

-- name: change
-- What a client changes. NULL: it stays.
UPDATE filestore.projects SET description = coalesce(%(description)s, description),
       conflict_rule = coalesce(%(rule)s, conflict_rule), promotion = coalesce(%(promotion)s, promotion),
       keep_days = coalesce(%(keep_days)s, keep_days), evict_after_seconds = coalesce(%(evict_after)s, evict_after_seconds),
       hot_max_bytes = coalesce(%(hot_max)s, hot_max_bytes), decide_as = coalesce(%(decide_as)s, decide_as),
       decide_after_seconds = coalesce(%(decide_after)s, decide_after_seconds), updated_at = now()
 WHERE id = %(project)s

-- name: set_state
-- A state follows another one, or nothing happens.
UPDATE filestore.projects SET state = %(state)s, updated_at = now() WHERE id = %(project)s AND state = ANY(%(froms)s)
RETURNING id

-- name: published
-- The hot store has been told of this revision.
UPDATE filestore.projects SET published = %(revision)s WHERE id = %(project)s AND published < %(revision)s

-- name: republish
-- The hot store has forgotten: it is told again.
UPDATE filestore.projects SET published = 0 WHERE id = %(project)s AND published > 0

-- name: attach
-- A node follows, or follows again.
INSERT INTO filestore.project_nodes AS n (project_id, name, host, folder) VALUES (%(project)s, %(name)s, %(host)s, %(folder)s)
ON CONFLICT (project_id, name) DO UPDATE SET host = excluded.host, folder = excluded.folder, state = 'attached', seen_at = now(),
       attached_at = CASE WHEN n.state = 'attached' THEN n.attached_at ELSE now() END, problem = NULL
RETURNING *

-- name: detach
-- It follows no more; what it said last stays.
UPDATE filestore.project_nodes SET state = 'detached', seen_at = now()
 WHERE project_id = %(project)s AND name = %(name)s AND state = 'attached' RETURNING name

-- name: beat
-- How far a node is, and what it still has to commit.
UPDATE filestore.project_nodes n SET revision = greatest(n.revision, %(revision)s), waiting = %(waiting)s, problem = %(problem)s,
       seen_at = now()
  FROM (SELECT b.revision AS before FROM filestore.project_nodes b
         WHERE b.project_id = %(project)s AND b.name = %(name)s AND b.state = 'attached' FOR UPDATE) b
 WHERE n.project_id = %(project)s AND n.name = %(name)s RETURNING n.revision, b.before

-- name: nodes
-- All nodes that ever followed.
SELECT n.*, p.revision - n.revision AS lag, n.seen_at > now() - interval '30 seconds' AS alive,
       extract(epoch FROM now() - n.seen_at)::double precision AS silence
  FROM filestore.project_nodes n JOIN filestore.projects p ON p.id = n.project_id WHERE n.project_id = %(project)s ORDER BY n.name

-- name: begin_job
-- No row: one of its kind runs.
INSERT INTO filestore.project_jobs (id, project_id, kind, options, principal, items_total, bytes_total)
VALUES (%(id)s, %(project)s, %(kind)s, %(options)s::jsonb, %(principal)s, %(items_total)s, %(bytes_total)s)
ON CONFLICT (project_id, kind) WHERE state = 'running' DO NOTHING RETURNING *, 0::double precision AS seconds

-- name: running_job
-- The job of this kind that runs.
SELECT j.*, extract(epoch FROM now() - j.started_at)::double precision AS seconds FROM filestore.project_jobs j
 WHERE j.project_id = %(project)s AND j.kind = %(kind)s AND j.state = 'running'

-- name: advance_job
-- How far it is, and whether it should stop.
UPDATE filestore.project_jobs SET phase = %(phase)s, items_done = items_done + %(items)s, bytes_done = bytes_done + %(bytes)s
 WHERE id = %(id)s AND state = 'running' RETURNING cancel_asked_at IS NOT NULL AS stops

-- name: is_behind
-- Whether a job of a higher rank runs on this mount. Jobs of former releases have none.
SELECT EXISTS (SELECT FROM filestore.projects p
                 JOIN filestore.project_jobs j ON j.project_id = p.id AND j.state = 'running'
                WHERE p.mount_id = %(mount)s AND coalesce((j.options->>'rank')::integer, 3) < %(rank)s) AS behind

-- name: ask_cancel
-- It stops behind what it is at now. No row: there is no such job, or it has ended.
UPDATE filestore.project_jobs SET cancel_asked_at = coalesce(cancel_asked_at, now())
 WHERE id = %(id)s AND project_id = %(project)s AND state = 'running'
RETURNING *, extract(epoch FROM now() - started_at)::double precision AS seconds

-- name: end_job
-- It has ended, and ends once.
UPDATE filestore.project_jobs SET state = %(state)s, problem = %(problem)s, phase = 'ended', ended_at = now()
 WHERE id = %(id)s AND state = 'running'

-- name: jobs
-- A page of a project's jobs, the newest first.
SELECT j.*, extract(epoch FROM now() - j.started_at)::double precision AS seconds FROM filestore.project_jobs j
 WHERE j.project_id = %(project)s AND (%(before)s::timestamptz IS NULL OR (j.started_at, j.id) < (%(before)s, %(before_id)s::uuid))
 ORDER BY j.started_at DESC, j.id DESC LIMIT %(limit)s

-- name: on_mount
-- Names of projects whose contents are cold on this mount.
SELECT p.name FROM filestore.projects p WHERE p.mount_id = %(mount)s AND p.state <> 'deleted' ORDER BY p.name LIMIT 10
