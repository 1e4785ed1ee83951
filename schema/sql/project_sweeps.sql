-- What nobody needs any more of projects: pages of former manifests, and all of what was deleted.

-- name: kept_from
-- The last revision behind the time for which former trees are kept: what no tree from there on has can go.
SELECT c.revision, encode(c.manifest, 'hex') AS manifest_sha FROM filestore.project_commits c
  JOIN filestore.projects p ON p.id = c.project_id
 WHERE c.project_id = %(project)s AND c.created_at <= now() - make_interval(secs => p.keep_days * 86400)
 ORDER BY c.revision DESC LIMIT 1

-- name: old_pages
-- Pages that no later commit wrote, in their order.
SELECT g.sha FROM filestore.project_pages g
 WHERE g.project_id = %(project)s AND g.sha > %(after)s AND g.revision <= %(revision)s ORDER BY g.sha LIMIT %(limit)s

-- name: collected
-- What nothing needs was collected.
UPDATE filestore.projects SET collected_at = now() WHERE id = %(project)s

-- name: drop_pages
-- Unless a commit wrote them meanwhile.
DELETE FROM filestore.project_pages
 WHERE project_id = %(project)s AND sha = ANY(%(shas)s::bytea[]) AND revision <= %(revision)s

-- name: due_for_purge
-- A deleted project whose time is over.
SELECT p.id FROM filestore.projects p
 WHERE p.id = %(project)s AND p.state = 'deleted' AND p.purged_at IS NULL
   AND p.updated_at < now() - make_interval(secs => p.keep_days * 86400)

-- name: purge_paths
-- A part of what a deleted project had: its tree. Nothing else writes to it any more.
DELETE FROM filestore.project_paths t WHERE t.project_id = %(project)s AND t.ctid = ANY(ARRAY(
       SELECT r.ctid FROM filestore.project_paths r
        WHERE r.project_id = %(project)s ORDER BY r.key LIMIT %(limit)s))

-- name: purge_changes
-- The same of its log; its commits stay.
DELETE FROM filestore.project_changes t WHERE t.project_id = %(project)s AND t.ctid = ANY(ARRAY(
       SELECT r.ctid FROM filestore.project_changes r
        WHERE r.project_id = %(project)s ORDER BY r.revision, r.ordinal LIMIT %(limit)s))

-- name: purge_pages
-- The same of its manifests.
DELETE FROM filestore.project_pages t WHERE t.project_id = %(project)s AND t.ctid = ANY(ARRAY(
       SELECT r.ctid FROM filestore.project_pages r
        WHERE r.project_id = %(project)s ORDER BY r.sha LIMIT %(limit)s))

-- name: purge_conflicts
-- The same of its inbox.
DELETE FROM filestore.project_conflicts t WHERE t.project_id = %(project)s AND t.ctid = ANY(ARRAY(
       SELECT r.ctid FROM filestore.project_conflicts r
        WHERE r.project_id = %(project)s ORDER BY r.state, r.id LIMIT %(limit)s))

-- name: purge_objects
-- The same of its contents, whose copies are gone.
DELETE FROM filestore.project_objects t WHERE t.project_id = %(project)s AND t.ctid = ANY(ARRAY(
       SELECT r.ctid FROM filestore.project_objects r
        WHERE r.project_id = %(project)s ORDER BY r.sha LIMIT %(limit)s))

-- name: purge_packs
-- The same of the packs they lay in.
DELETE FROM filestore.project_packs t WHERE t.project_id = %(project)s AND t.key = ANY(ARRAY(
       SELECT r.key FROM filestore.project_packs r
        WHERE r.project_id = %(project)s ORDER BY r.key LIMIT %(limit)s))

-- name: purged
-- Nothing is left of it but its history.
UPDATE filestore.projects SET purged_at = now() WHERE id = %(project)s AND state = 'deleted' AND purged_at IS NULL

-- name: said_elsewhere
-- Of these contents those that another project of the tenant has.
SELECT DISTINCT encode(o.sha, 'hex') AS sha FROM filestore.projects p
  JOIN filestore.project_objects o ON o.project_id = p.id AND o.sha = ANY(%(shas)s::bytea[])
 WHERE p.tenant = %(tenant)s AND p.purged_at IS NULL AND p.id <> %(project)s
