-- The numbers of projects for operators, read every few seconds: by index, and never beyond `most` rows of a kind.

-- name: activity
-- What was committed in the last minute, as far back as it is looked; what it took to make contents hot the last time.
SELECT coalesce(c.commits, 0) AS commits, coalesce(c.changes, 0)::bigint AS changes, j.items_done AS objects,
       j.bytes_done AS bytes, extract(epoch FROM j.ended_at - j.started_at)::double precision AS seconds
  FROM filestore.projects p
  LEFT JOIN LATERAL (
       SELECT count(*) AS commits, sum(t.changes) AS changes FROM filestore.project_commits t
        WHERE t.project_id = p.id AND t.revision > p.revision - %(most)s AND t.created_at > now() - interval '1 minute') c ON true
  LEFT JOIN LATERAL (
       SELECT d.* FROM filestore.project_jobs d
        WHERE d.project_id = p.id AND d.kind IN ('promote', 'reactivate') AND d.state = 'succeeded' AND d.items_done > 0
        ORDER BY d.started_at DESC LIMIT 1) j ON true
 WHERE p.id = %(project)s

-- name: numbers
-- Of each project: its head and what the hot store was not told of, what waits on its nodes, what waits for a decision, a cold copy
-- or a node that has it.
SELECT p.tenant, p.name, p.revision, p.revision - p.published AS untold, p.files, p.size_bytes AS bytes,
       (SELECT count(*) FROM (SELECT FROM filestore.project_conflicts f
                               WHERE f.project_id = p.id AND f.state = 'open' ORDER BY f.id LIMIT %(most)s) f) AS conflicts,
       (SELECT count(*) FROM (SELECT FROM filestore.project_objects o
                               WHERE o.project_id = p.id AND o.tier = 'hot'
                               ORDER BY o.last_access LIMIT %(most)s) o) AS unarchived,
       (SELECT count(*) FROM (SELECT FROM filestore.project_objects o
                               WHERE o.project_id = p.id AND o.tier = 'missing'
                               ORDER BY o.last_access LIMIT %(most)s) o) AS lost,
       coalesce(n.lag, 0) AS lag, coalesce(n.waiting, 0)::bigint AS waiting, coalesce(n.silent, 0) AS silent,
       (SELECT coalesce(sum(k.size_bytes - k.live_bytes), 0)::bigint FROM (
               SELECT g.size_bytes, g.live_bytes FROM filestore.project_packs g
                WHERE g.project_id = p.id ORDER BY g.key LIMIT %(most)s) k) AS dead_bytes
  FROM filestore.projects p
  LEFT JOIN LATERAL (
       SELECT max(p.revision - n.revision) AS lag, sum(n.waiting) AS waiting,
              count(*) FILTER (WHERE n.seen_at < now() - interval '30 seconds') AS silent
         FROM filestore.project_nodes n WHERE n.project_id = p.id AND n.state = 'attached') n ON true
 WHERE p.state <> 'deleted' ORDER BY p.id LIMIT %(projects)s
