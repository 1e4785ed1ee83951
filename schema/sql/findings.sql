-- The inbox: findings as people read them, and what they decide.

-- name: standing
-- A page of findings that stand, by id, beside any number that are over.
SELECT f.id FROM filestore.findings f
 WHERE f.tenant = %(tenant)s AND f.ended_at IS NULL AND f.id > %(after)s
   AND (%(mount)s::bigint IS NULL OR f.mount_id = %(mount)s)
   AND (%(kinds)s::text[] IS NULL OR f.kind = ANY(%(kinds)s)) AND f.state::text = ANY(%(states)s::text[])
   AND (%(path)s::bytea IS NULL OR f.path = %(path)s
        OR substring(f.path FROM 1 FOR octet_length(%(path)s) + 1) = %(path)s || '\x2f'::bytea)
 ORDER BY f.id LIMIT %(limit)s

-- name: documents
-- A page of findings by id, as people read them.
SELECT f.id, f.mount_id, f.path, jsonb_build_object('id', f.id, 'kind', f.kind, 'backendMountId', f.mount_id,
           'nodeId', f.node_id, 'path', f.shown, 'believed', f.believed, 'observed', f.observed, 'firstSeen', f.first_seen,
           'lastSeen', f.last_seen, 'state', f.state, 'action', f.action, 'by', f.decided_by, 'version', f.version,
           'until', f.until, 'problem', f.problem, 'endedAt', f.ended_at, 'lookId', f.look_id)
       || jsonb_strip_nulls(jsonb_build_object('pathB64', filestore.path_b64_v1(f.path, f.shown))) AS document
  FROM filestore.findings f
 WHERE f.tenant = %(tenant)s AND f.id > %(after)s
   AND (%(ids)s::bigint[] IS NULL OR f.id = ANY(%(ids)s)) AND (%(mount)s::bigint IS NULL OR f.mount_id = %(mount)s)
   AND (%(kinds)s::text[] IS NULL OR f.kind = ANY(%(kinds)s)) AND (%(states)s::text[] IS NULL OR f.state::text = ANY(%(states)s))
   AND (%(path)s::bytea IS NULL OR f.path = %(path)s
        OR substring(f.path FROM 1 FOR octet_length(%(path)s) + 1) = %(path)s || '\x2f'::bytea)
 ORDER BY f.id LIMIT %(limit)s

-- name: lock
-- Findings that are decided on: they hold still until that is written.
SELECT f.id, f.tenant, f.mount_id, f.path, f.kind, f.state::text, f.version, f.node_id, f.node_version, f.observed, f.shown
  FROM filestore.findings f WHERE f.id = ANY(%(ids)s::bigint[]) ORDER BY f.id FOR UPDATE

-- name: claimed
-- Which of these places a command claims, or a tree above or below it.
SELECT x.path FROM unnest(%(paths)s::bytea[]) AS x(path)
 WHERE EXISTS (SELECT FROM filestore.claims k WHERE k.mount_id = %(mount)s
                  AND (k.path = x.path OR substring(x.path FROM 1 FOR octet_length(k.path) + 1) = k.path || '\x2f'::bytea
                       OR substring(k.path FROM 1 FOR octet_length(x.path) + 1) = x.path || '\x2f'::bytea) OFFSET 0)

-- name: decide
-- What was decided. A finding that ends says when.
UPDATE filestore.findings SET state = %(state)s::filestore.finding_state, action = %(action)s, decided_by = %(principal)s,
       until = %(until)s, version = version + 1, problem = NULL, tries = 0, due_at = now(),
       ended_at = CASE WHEN %(state)s IN ('open', 'waiting', 'ignored') THEN NULL ELSE now() END
 WHERE id = ANY(%(ids)s::bigint[])
