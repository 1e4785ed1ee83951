-- Scrub: which contents are read next, and how far that is.

-- name: scrubbed
-- The policies of these mounts that ask for a scrub.
SELECT mount_id, policy FROM filestore.drift_mounts
 WHERE mount_id = ANY(%(mounts)s::bigint[]) AND policy->'scrub' IS NOT NULL AND jsonb_typeof(policy->'scrub') = 'object'

-- name: progress
-- How far the scrub of a mount is, and how many bytes the mount has.
SELECT d.scrub, r.size_bytes AS total
  FROM filestore.nodes n
 CROSS JOIN LATERAL filestore.rollup_of(n.id) r
  LEFT JOIN filestore.drift_mounts d ON d.mount_id = n.mount_id
 WHERE n.mount_id = %(mount)s AND n.directory_path = '' AND n.directory_path IS NOT NULL AND n.state <> 'deleted'

-- name: every
-- How far the scrub of each mount is that has one.
SELECT m.tenant, m.mount_key, d.policy, d.scrub, r.size_bytes AS total
  FROM filestore.drift_mounts d
  JOIN filestore.backend_mounts m ON m.id = d.mount_id AND m.removed_at IS NULL
 CROSS JOIN LATERAL (SELECT k.id FROM filestore.nodes k WHERE k.mount_id = d.mount_id AND k.directory_path = ''
                        AND k.directory_path IS NOT NULL AND k.state <> 'deleted' OFFSET 0) n
 CROSS JOIN LATERAL filestore.rollup_of(n.id) r
 WHERE jsonb_typeof(d.policy->'scrub') = 'object'

-- name: keep
-- How far it is now.
INSERT INTO filestore.drift_mounts AS d (mount_id, scrub) VALUES (%(mount)s, %(scrub)s::jsonb)
    ON CONFLICT (mount_id) DO UPDATE SET scrub = excluded.scrub

-- name: count_damaged
-- One more content is damaged: known as soon as its finding is, so that a page that is read once more does not lose it.
UPDATE filestore.drift_mounts d
   SET scrub = jsonb_set(d.scrub, '{now,damaged}', to_jsonb((d.scrub->'now'->>'damaged')::bigint + 1))
 WHERE d.mount_id = %(mount)s AND jsonb_typeof(d.scrub->'now') = 'object'

-- name: page
-- The next files behind a name, by directory, and by name in it. Those that were read since the round began are left out later.
SELECT d.directory_path AS directory, n.* FROM (
    SELECT k.id, k.directory_path FROM filestore.nodes k
     WHERE k.mount_id = %(mount)s AND k.directory_path >= %(directory)s AND k.directory_path IS NOT NULL AND k.state <> 'deleted'
     ORDER BY k.directory_path LIMIT 200) d
 CROSS JOIN LATERAL (
    SELECT x.id, x.name, x.version, x.state::text, x.sha256, x.size_bytes, x.consistency_checked_at AS checked,
           filestore.node_identity(x) AS identity
      FROM filestore.nodes x
     WHERE x.parent_id = d.id AND x.state <> 'deleted' AND x.kind = 'file'
       AND x.name > CASE WHEN d.directory_path = %(directory)s THEN %(name)s::bytea ELSE ''::bytea END
     ORDER BY x.name LIMIT %(limit)s) n
 ORDER BY d.directory_path, n.name LIMIT %(limit)s

-- name: behind
-- The last of those 200 directories. No row: there is none behind them.
SELECT k.directory_path FROM filestore.nodes k
 WHERE k.mount_id = %(mount)s AND k.directory_path > %(directory)s AND k.directory_path IS NOT NULL AND k.state <> 'deleted'
 ORDER BY k.directory_path OFFSET 198 LIMIT 1

-- name: seen_damaged
-- The node knows when its damage came, so that no look takes the other bytes for a change that a program has made.
UPDATE filestore.nodes SET observed_ctime_ns = %(ctime)s, observed_by = NULL
 WHERE id = %(node)s AND version = %(version)s
