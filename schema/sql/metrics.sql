-- The numbers of the record for operators. They are read every few seconds, also under load: by index, and never beyond `most`
-- rows, because a service in trouble has many.

-- name: work
-- What is left to do in the whole installation, and for how long the oldest of each has waited.
SELECT f.position, f.position - f.published AS unsent,
       (SELECT extract(epoch FROM now() - o.created_at)::float8 FROM filestore.outbox o
         WHERE o.position > f.published ORDER BY o.position LIMIT 1) AS unsent_seconds,
       (SELECT count(*) FROM (SELECT FROM filestore.outbox WHERE position IS NULL ORDER BY id LIMIT %(most)s) o) AS unpositioned,
       (SELECT extract(epoch FROM now() - o.created_at)::float8 FROM filestore.outbox o
         WHERE o.position IS NULL ORDER BY o.id LIMIT 1) AS unpositioned_seconds,
       (SELECT coalesce(sum(p.differences), 0)::bigint FROM filestore.rollup_proofs p) AS rollup_differences,
       (SELECT count(*) FROM (SELECT FROM filestore.rollups r WHERE r.consistency_state <> 'up_to_date'
                                 AND r.consistency_state = 'invalid' ORDER BY r.directory_id LIMIT %(most)s) r) AS rollups_invalid,
       (SELECT extract(epoch FROM now() - min(p.touched_at))::float8 FROM filestore.rollup_proofs p
          JOIN filestore.backend_mounts m ON m.id = p.mount_id
         WHERE m.removed_at IS NULL AND m.state IN ('active', 'degraded')) AS rollup_proof_seconds,
       c.running, c.running_seconds, c.untouched_seconds,
       (SELECT count(*) FROM (SELECT FROM filestore.cleanups ORDER BY id LIMIT %(most)s) k) AS cleanups,
       (SELECT extract(epoch FROM now() - k.created_at)::float8 FROM filestore.cleanups k ORDER BY k.id LIMIT 1) AS cleanups_seconds
  FROM filestore.event_feed f,
       (SELECT count(*) AS running, extract(epoch FROM now() - min(r.started_at))::float8 AS running_seconds,
               extract(epoch FROM now() - min(r.touched_at))::float8 AS untouched_seconds
          FROM (SELECT started_at, touched_at FROM filestore.commands WHERE status = 'running'
                 ORDER BY mount_id, touched_at LIMIT %(most)s) r) c
