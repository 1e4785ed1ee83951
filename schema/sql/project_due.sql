-- What projects need that no client asked for.

-- name: due
-- Of the projects on these mounts those that have work: contents that are hot alone, contents that nothing used for too long,
-- a head that the hot store was not told of, conflicts whose time is over, a collection, jobs, what is left of deleted ones. On a
-- frozen mount nothing begins that would change it.
SELECT d.* FROM (
    SELECT p.id, p.mount_id, p.state, p.evict_after_seconds,
           p.published < p.revision AND p.state <> 'deleted' AS untold,
           z.facts IS NULL AND EXISTS (
               SELECT FROM filestore.project_objects o WHERE o.project_id = p.id AND o.tier = 'hot') AS warm,
           CASE WHEN p.state = 'deleted' OR p.evict_after_seconds IS NOT NULL THEN coalesce((
               SELECT o.last_access FROM filestore.project_objects o
                WHERE o.project_id = p.id AND o.tier = 'hot_cold' AND NOT coalesce(o.pinned_until > now(), false)
                ORDER BY o.last_access LIMIT 1) < now() - make_interval(secs => CASE WHEN p.state = 'deleted' THEN 0
                                                                                     ELSE p.evict_after_seconds END), false)
                ELSE false END AS idle,
           z.facts IS NULL AND p.state = 'deleted' AND p.updated_at < now() - make_interval(secs => p.keep_days * 86400) AS over,
           z.facts IS NULL AND p.state = 'active' AND EXISTS (
               SELECT FROM filestore.project_conflicts f WHERE f.project_id = p.id AND f.state = 'open'
                  AND f.created_at < now() - make_interval(secs => p.decide_after_seconds)) AS undecided,
           z.facts IS NULL AND %(collect)s > 0 AND p.state IN ('active', 'inactive')
               AND p.collected_at < now() - make_interval(secs => %(collect)s) AS uncollected,
           (SELECT coalesce(json_agg(json_build_object('id', j.id, 'kind', j.kind, 'options', j.options)), '[]')
              FROM filestore.project_jobs j WHERE j.project_id = p.id AND j.state = 'running') AS jobs
      FROM filestore.projects p LEFT JOIN LATERAL filestore.freeze_of_v1(p.tenant, p.mount_id) z ON true
     WHERE p.mount_id = ANY(%(mounts)s::bigint[]) AND p.purged_at IS NULL) d
 WHERE d.untold OR d.warm OR d.idle OR d.over OR d.undecided OR d.uncollected OR json_array_length(d.jobs) > 0 ORDER BY d.id

-- name: crowded
-- Of the projects that have a limit for what is hot those that are beyond it. All rows of what is hot are read for it.
SELECT p.id, p.mount_id, p.hot_max_bytes FROM filestore.projects p
 WHERE p.mount_id = ANY(%(mounts)s::bigint[]) AND p.hot_max_bytes IS NOT NULL AND p.state <> 'deleted'
   AND (SELECT coalesce(sum(o.size_bytes), 0) FROM filestore.project_objects o
         WHERE o.project_id = p.id AND o.tier IN ('hot', 'hot_cold')) > p.hot_max_bytes
