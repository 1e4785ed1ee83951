-- Heals: findings that wait for one, where a copy lies, and what became of a try.

-- name: due_mounts
-- Those of these mounts where a heal may go now.
SELECT m.id FROM unnest(%(mounts)s::bigint[]) AS m(id)
 WHERE EXISTS (SELECT FROM filestore.findings f
                WHERE f.mount_id = m.id AND f.state = 'waiting' AND f.due_at <= now()
                  AND (f.plan IS NULL OR f.plan = 0 OR f.decided_by IS NOT NULL) OFFSET 0)

-- name: unweighed
-- What policy alone decided since a brake was asked last: how many nodes that concerns, all of a directory that is gone.
SELECT f.id, f.action, f.shown,
       CASE WHEN f.kind = 'missing' AND n.kind = 'directory' THEN (
           SELECT 1 + r.file_count + r.directory_count FROM filestore.rollup_of(n.id) r) ELSE 1 END AS nodes
  FROM filestore.findings f
  LEFT JOIN LATERAL (SELECT k.id, k.kind FROM filestore.nodes k WHERE k.id = f.node_id OFFSET 0) n ON true
 WHERE f.mount_id = %(mount)s AND f.state = 'waiting' AND f.due_at <= now() AND f.plan IS NULL AND f.decided_by IS NULL
 ORDER BY f.due_at, f.id LIMIT %(limit)s

-- name: plan
-- These findings may go (0), or wait for the answer to this look.
UPDATE filestore.findings SET plan = %(plan)s WHERE id = ANY(%(ids)s::bigint[]) AND state = 'waiting'

-- name: answer
-- A person has answered to the plan of a look: its findings may go, or stay in the inbox.
UPDATE filestore.findings SET plan = CASE WHEN %(yes)s THEN 0 END, due_at = now(),
       state = CASE WHEN %(yes)s THEN state ELSE 'open' END
 WHERE plan = %(look)s AND plan > 0 AND ended_at IS NULL AND state = 'waiting'

-- name: end_plan
-- The look whose plan a person has allowed is over: its findings go one by one.
UPDATE filestore.looks SET state = 'concluded', ended_at = now(), released_by = %(principal)s
 WHERE id = %(look)s AND mount_id = %(mount)s AND state = 'waiting' AND reason = %(reason)s AND ended_at IS NULL

-- name: due
-- The next findings to heal, and what the record has of their nodes.
SELECT f.id, f.tenant, f.path, f.kind, f.version, f.node_id, f.node_version, f.observed, f.action, f.decided_by, f.tries,
       n.kind::text AS node_kind, n.size_bytes, n.sha256, n.observed_mode AS mode, n.target
  FROM filestore.findings f
  LEFT JOIN LATERAL (SELECT k.kind, k.size_bytes, k.sha256, k.observed_mode,
                            (SELECT t.target FROM filestore.link_targets t WHERE t.node_id = k.id) AS target
                       FROM filestore.nodes k WHERE k.id = f.node_id OFFSET 0) n ON true
 WHERE f.mount_id = %(mount)s AND f.state = 'waiting' AND f.due_at <= now() AND (f.plan = 0 OR f.decided_by IS NOT NULL)
 ORDER BY f.due_at, f.id LIMIT %(limit)s

-- name: next_due
-- In how many seconds the next heal may go.
SELECT extract(epoch FROM min(f.due_at) - now())::float8 AS seconds FROM filestore.findings f
 WHERE f.mount_id = %(mount)s AND f.state = 'waiting' AND (f.plan IS NULL OR f.plan = 0 OR f.decided_by IS NOT NULL)

-- name: copies
-- Where content with this hash lies: in a trash, or at a node that is certain. On the mount itself first.
SELECT c.mount_id, c.path, c.place, c.identity FROM (
    SELECT n.mount_id, NULL::bytea AS path, s.content_place AS place, filestore.facts_v1(s.content_identity) AS identity
      FROM filestore.snapshots s
     CROSS JOIN LATERAL (SELECT k.mount_id, k.tenant FROM filestore.nodes k WHERE k.id = s.node_id OFFSET 0) n
     WHERE s.sha256 = %(sha256)s AND s.content_place IS NOT NULL AND s.content_until > now() AND n.tenant = %(tenant)s
     UNION ALL
    SELECT n.mount_id, p.directory_path || n.name, NULL, filestore.node_identity(n)
      FROM filestore.nodes n
     CROSS JOIN LATERAL (SELECT k.directory_path FROM filestore.nodes k WHERE k.id = n.parent_id OFFSET 0) p
     WHERE n.sha256 = %(sha256)s AND n.kind = 'file' AND n.state = 'active' AND n.tenant = %(tenant)s
       AND n.id IS DISTINCT FROM %(node)s::bigint) c
 WHERE c.identity IS NOT NULL
 ORDER BY c.mount_id <> %(mount)s, c.path IS NOT NULL LIMIT %(limit)s

-- name: known
-- Findings as they are when their heals begin.
SELECT f.id, f.path, f.kind, f.state = 'waiting' AS waits, f.version, f.node_id, f.node_version, f.observed
  FROM filestore.findings f WHERE f.id = ANY(%(ids)s::bigint[])

-- name: healing
-- Of commands that have healed: what each was to heal, and which node it worked on.
SELECT c.id::text, c.path, c.mount_id, (c.intent->>'node')::bigint AS node, c.intent->'heal' AS heal
  FROM filestore.commands c WHERE c.id = ANY(%(ids)s::uuid[]) AND c.status = 'succeeded' AND c.intent ? 'heal'

-- name: tried
-- How tries ended: what did not work now is tried again, later and later, and `patient` says that this is never too often. What can
-- not work waits for a person.
UPDATE filestore.findings f SET problem = i.problem, tries = f.tries + 1,
       state = CASE WHEN i.final OR f.tries >= %(most)s AND NOT i.patient THEN 'open' ELSE f.state END,
       plan = CASE WHEN i.final OR f.tries >= %(most)s AND NOT i.patient THEN NULL ELSE f.plan END,
       due_at = now() + least(300, 2 ^ least(f.tries, 10)) * interval '1 second'
  FROM jsonb_to_recordset(%(tries)s::jsonb) AS i(finding bigint, version bigint, final boolean, patient boolean, problem jsonb)
 WHERE f.id = ANY (ARRAY[i.finding]) AND f.version = i.version AND f.state = 'waiting' AND f.ended_at IS NULL

-- name: ends
-- How the commands of heals ended. No row: they did not begin.
SELECT c.id::text, c.status::text, c.code, c.retryable, c.outcome->'error'->>'message' AS message
  FROM filestore.commands c WHERE c.id = ANY(%(ids)s::uuid[])

-- name: leave
-- Places that the policy ignores, and for no longer than it does: the finding itself ignores nothing.
UPDATE filestore.findings SET state = 'ignored', plan = NULL, until = now()
 WHERE id = ANY(%(ids)s::bigint[]) AND state = 'waiting'

-- name: open_below
-- A directory is there again: what it held is missing still, and comes back after it, also where a look has asked about it since.
INSERT INTO filestore.findings AS o (tenant, mount_id, path, shown, kind, state, node_id, node_version, believed, observed, action,
       look_id, decided_by, plan)
SELECT d.tenant, d.mount_id, d.directory_path || n.name, d.directory_text || n.name_text, 'missing', 'waiting', n.id, n.version,
       jsonb_build_object('kind', n.kind, 'state', n.state, 'version', n.version, 'sizeBytes', n.size_bytes,
           'contentHash', encode(n.sha256, 'hex')), '{}', 'restore', f.look_id, f.decided_by, 0
  FROM filestore.findings f
 CROSS JOIN LATERAL (SELECT k.* FROM filestore.nodes k WHERE k.id = f.node_id AND k.kind = 'directory' OFFSET 0) d
 CROSS JOIN LATERAL (SELECT k.* FROM filestore.nodes k WHERE k.mount_id = d.mount_id AND k.parent_id = d.id
                        AND k.state = 'missing' AND position('\x00'::bytea IN k.name) = 0 OFFSET 0) n
 WHERE f.id = ANY(%(findings)s::bigint[]) AND f.kind = 'missing' AND f.state = 'healed'
    ON CONFLICT (mount_id, key) WHERE ended_at IS NULL DO UPDATE SET state = 'waiting', action = 'restore', plan = 0, tries = 0,
       due_at = now(), problem = NULL, decided_by = excluded.decided_by, version = o.version + 1
 WHERE o.state = 'open' AND o.kind = 'missing' AND o.node_id = excluded.node_id AND o.node_version = excluded.node_version
