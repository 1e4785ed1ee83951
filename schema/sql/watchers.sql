-- The watches of local mounts: a row each, written by the watcher process of its host. And what it asks of the record.

-- name: beat
-- How the watches of a process are. The answer says since when Postgres runs: hints do not outlive a crash of it.
WITH written AS (
    INSERT INTO filestore.watchers AS w (mount_id, host_id, process, phase, cause, lag_seconds, directories, unwatched, events,
           lost, hints, own)
    SELECT x.mount, %(host)s, %(process)s, x.phase, x.cause, x.lag, x.directories, x.unwatched, x.events, x.lost, x.hints, x.own
      FROM jsonb_to_recordset(%(watches)s::jsonb) AS x(mount bigint, phase text, cause text, lag double precision,
           directories bigint, unwatched bigint, events bigint, lost bigint, hints bigint, own bigint)
     ORDER BY x.mount
        ON CONFLICT (mount_id) DO UPDATE SET host_id = excluded.host_id, process = excluded.process, phase = excluded.phase,
           cause = excluded.cause, lag_seconds = excluded.lag_seconds, directories = excluded.directories,
           unwatched = excluded.unwatched, events = excluded.events, lost = excluded.lost, hints = excluded.hints,
           own = excluded.own, seen_at = now(), since = CASE WHEN w.process = excluded.process THEN w.since ELSE now() END
)
SELECT extract(epoch FROM pg_postmaster_start_time())::float8 AS postgres_since

-- name: leave
-- Of mounts that this process does not watch any more.
DELETE FROM filestore.watchers WHERE process = %(process)s AND mount_id <> ALL(%(mounts)s::bigint[])

-- name: of_mount
-- How the watch of a mount is, as it was heard of last.
SELECT mount_id, phase, cause, lag_seconds, directories, unwatched, events, lost, hints, own, since,
       extract(epoch FROM now() - seen_at)::float8 AS silent_seconds
  FROM filestore.watchers WHERE mount_id = %(mount)s

-- name: every
-- The same of all mounts, with their keys.
SELECT m.tenant, m.mount_key, w.mount_id, w.phase, w.cause, w.lag_seconds, w.directories, w.unwatched, w.events, w.lost, w.hints,
       w.own, w.since, extract(epoch FROM now() - w.seen_at)::float8 AS silent_seconds
  FROM filestore.watchers w JOIN filestore.backend_mounts m ON m.id = w.mount_id
 WHERE m.removed_at IS NULL ORDER BY w.mount_id

-- name: latest
-- The watcher of a host that was heard of last, and how many seconds ago.
SELECT extract(epoch FROM now() - max(seen_at))::float8 AS silent_seconds FROM filestore.watchers WHERE host_id = %(host)s

-- name: recorded
-- What the record says of these names, and whether a command works at them. A name without a node has no identity.
SELECT x.n, n.device, n.inode, n.birth_ns, n.observed_size, n.observed_mtime_ns, n.observed_ctime_ns, n.observed_mode,
       n.kind = 'directory' AS directory, n.state = 'active' AS active,
       coalesce(k.claimed, false) AS claimed
  FROM unnest(%(paths)s::bytea[], %(parents)s::bytea[], %(names)s::bytea[])
       WITH ORDINALITY AS x(path, parent, name, n)
  LEFT JOIN LATERAL (SELECT d.id FROM filestore.nodes d
       WHERE d.mount_id = %(mount)s AND d.directory_path = x.parent AND d.directory_path IS NOT NULL AND d.state <> 'deleted'
       LIMIT 1) d ON true
  LEFT JOIN LATERAL (SELECT c.* FROM filestore.nodes c
       WHERE c.parent_id = d.id AND c.name = x.name AND c.state <> 'deleted' LIMIT 1) n ON true
  LEFT JOIN LATERAL (SELECT true AS claimed FROM filestore.claims k
       WHERE k.mount_id = %(mount)s AND k.path = x.path LIMIT 1) k ON true
 ORDER BY x.n
