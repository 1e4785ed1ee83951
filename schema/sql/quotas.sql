-- Quotas: how much there may be, and how much there is. What is used is looked for in one snapshot with what running commands
-- may still add, after the locks of the mounts, and of the quotas themselves where they are about more than one mount.

-- name: lock
-- One `begin` at a time counts on a quota of more than one mount. In the order of their ids, so that two never wait for each other.
SELECT pg_advisory_xact_lock(%(lock)s::integer, (q.id & 2147483647)::integer)
  FROM (SELECT k.id FROM filestore.quotas k WHERE k.tenant = ANY(%(tenants)s::text[]) AND k.mount_id IS NULL
         ORDER BY k.id OFFSET 0) q

-- name: room
-- The quotas for which some of these commands would make more: how much there is, how much running commands may add, and how
-- much each of these would. `n` is the number of a command in its list. What runs is looked at once for all quotas; see
-- quota_reserved_v1.
WITH claim AS MATERIALIZED (
    SELECT s.id, jsonb_object_agg(s.n, jsonb_build_array(greatest(s.bytes, 0), greatest(s.nodes, 0))) AS claims
      FROM (SELECT q.id, i.n, sum(x.bytes + CASE WHEN q.trash AND x.kept <> 0 THEN filestore.quota_keeps_v1(q, x.kept, i.intent)
                                       ELSE 0 END) AS bytes, sum(x.nodes) AS nodes
              FROM jsonb_to_recordset(%(items)s::jsonb) AS i(n integer, tenant text, mount bigint, path text, principal text,
                       intent jsonb)
             CROSS JOIN LATERAL filestore.shifts_v1(i.intent, i.mount, decode(i.path, 'hex'), i.principal) x
             CROSS JOIN LATERAL (SELECT k.* FROM filestore.quotas k WHERE k.tenant = i.tenant OFFSET 0) q
             WHERE filestore.quota_covers_v1(q, x.mount_id, x.path, x.principal)
             GROUP BY q.id, i.n) s
     WHERE s.bytes > 0 OR s.nodes > 0
     GROUP BY s.id
), quota AS MATERIALIZED (
    SELECT q.facts, c.claims
      FROM claim c CROSS JOIN LATERAL (SELECT k AS facts FROM filestore.quotas k WHERE k.id = c.id OFFSET 0) q
), running AS MATERIALIZED (
    SELECT c.id, c.intent, m.tenant, x.*
      FROM (SELECT k.id, k.tenant FROM filestore.backend_mounts k
             WHERE k.removed_at IS NULL AND EXISTS (
                   SELECT FROM quota q WHERE (q.facts).tenant = k.tenant
                      AND ((q.facts).mount_id IS NULL OR (q.facts).mount_id = k.id OR (q.facts).trash)) OFFSET 0) m
     CROSS JOIN LATERAL (SELECT c.id, c.intent, c.mount_id, c.path, c.principal FROM filestore.commands c
                          WHERE c.mount_id = m.id AND c.status = 'running' OFFSET 0) c
     CROSS JOIN LATERAL filestore.shifts_v1(c.intent, c.mount_id, c.path, c.principal) x
)
SELECT (q.facts).id, (q.facts).mount_id, (q.facts).path, (q.facts).principal, (q.facts).max_bytes, (q.facts).max_nodes,
       (q.facts).soft_bytes, (q.facts).soft_nodes, (q.facts).peak_bytes, (q.facts).peak_nodes,
       (q.facts).soft_since IS NOT NULL AS soft, q.claims, u.bytes, u.nodes, r.bytes AS reserved_bytes, r.nodes AS reserved_nodes
  FROM quota q
 CROSS JOIN LATERAL filestore.quota_use_v1(q.facts) u
 CROSS JOIN LATERAL (
     SELECT coalesce(sum(greatest(s.bytes, 0)), 0)::bigint AS bytes, coalesce(sum(greatest(s.nodes, 0)), 0)::bigint AS nodes
       FROM (SELECT sum(x.bytes + CASE WHEN (q.facts).trash AND x.kept <> 0
                                 THEN filestore.quota_keeps_v1(q.facts, x.kept, x.intent) ELSE 0 END) AS bytes,
                    sum(x.nodes) AS nodes
               FROM running x
              WHERE x.tenant = (q.facts).tenant AND filestore.quota_covers_v1(q.facts, x.mount_id, x.path, x.principal)
              GROUP BY x.id) s) r
 ORDER BY (q.facts).id

-- name: room_at
-- The quotas in whose scope a place lies that something may be put at: the same, for something that has no command yet.
SELECT q.id, q.mount_id, q.path, q.principal, q.max_bytes, q.max_nodes, q.soft_bytes, q.soft_nodes, q.peak_bytes, q.peak_nodes,
       q.soft_since IS NOT NULL AS soft, u.bytes, u.nodes, r.bytes AS reserved_bytes, r.nodes AS reserved_nodes
  FROM filestore.quotas q
 CROSS JOIN LATERAL filestore.quota_use_v1(q) u
 CROSS JOIN LATERAL filestore.quota_reserved_v1(q) r
 WHERE q.tenant = %(tenant)s
   AND (filestore.quota_covers_v1(q, %(mount)s, %(path)s, NULL) OR filestore.quota_covers_v1(q, %(mount)s, %(path)s, %(principal)s))
 ORDER BY q.id

-- name: note
-- What was seen of quotas: the most there was, and since when a soft limit is passed. Who passes one is told, once.
WITH seen AS (
    SELECT * FROM jsonb_to_recordset(%(items)s::jsonb) AS i(id bigint, bytes bigint, nodes bigint, soft boolean, mount bigint,
               path text, path_b64 text)
), noted AS (
    UPDATE filestore.quotas q
       SET peak_bytes = greatest(q.peak_bytes, i.bytes), peak_nodes = greatest(q.peak_nodes, i.nodes),
           soft_since = CASE WHEN i.soft THEN coalesce(q.soft_since, now()) WHEN NOT %(clears)s THEN q.soft_since END
      FROM seen i WHERE q.id = ANY (ARRAY[i.id])
    RETURNING q.*, i.mount, i.bytes, i.nodes, i.path AS shown, i.path_b64
)
INSERT INTO filestore.outbox (tenant, mount_id, type, data)
SELECT n.tenant, coalesce(n.mount_id, n.mount), 'filestore.quota.soft', jsonb_build_object('quotaId', n.id,
       'backendMountId', coalesce(n.mount_id, n.mount), 'path', n.shown,
       'quotaPrincipal', n.principal, 'usedBytes', n.bytes, 'usedNodes', n.nodes, 'softBytes', n.soft_bytes,
       'softNodes', n.soft_nodes, 'maxBytes', n.max_bytes, 'maxNodes', n.max_nodes, 'observedAt', now())
       || jsonb_strip_nulls(jsonb_build_object('pathB64', n.path_b64))
  FROM noted n WHERE n.soft_since = now() AND coalesce(n.mount_id, n.mount) IS NOT NULL ORDER BY n.id

-- name: uses
-- What there is for each of a page of quotas.
SELECT q.id, q.tenant, q.mount_id, q.path, q.principal, q.soft_bytes, q.soft_nodes, q.peak_bytes, q.peak_nodes,
       q.soft_since IS NOT NULL AS soft, q.max_bytes, q.max_nodes, u.bytes, u.nodes
  FROM filestore.quotas q CROSS JOIN LATERAL filestore.quota_use_v1(q) u
 WHERE q.id > %(after)s ORDER BY q.id LIMIT %(limit)s

-- name: some_mount
-- A mount of the tenant, for the event of a quota of all.
SELECT m.id FROM filestore.backend_mounts m WHERE m.tenant = %(tenant)s AND m.removed_at IS NULL ORDER BY m.id LIMIT 1

-- name: create
-- A new quota.
INSERT INTO filestore.quotas (tenant, mount_id, path, principal, max_bytes, max_nodes, soft_bytes, soft_nodes, trash, operators,
    created_by)
VALUES (%(tenant)s, %(mount)s, %(path)s, %(of)s, %(max_bytes)s, %(max_nodes)s, %(soft_bytes)s, %(soft_nodes)s, %(trash)s,
    %(operators)s, %(by)s) RETURNING id

-- name: lock_kept
-- Nothing comes into the trash, or leaves it, until the transaction ends.
LOCK TABLE filestore.quota_kept IN SHARE ROW EXCLUSIVE MODE

-- name: keep
-- What the trash keeps already counts for a new quota of a path or a principal: where it was deleted or replaced, and for the
-- one that had put it there, as far as the journal tells.
WITH contents AS MATERIALIZED (
    SELECT s.node_id, s.content_place, max(s.size_bytes) AS size_bytes, min(s.version) AS first, max(s.version) AS last
      FROM filestore.versions s WHERE s.content_place IS NOT NULL AND s.kind = 'file' GROUP BY s.node_id, s.content_place
), placed AS (
    SELECT c.*, n.mount_id,
           CASE WHEN q.path IS NULL THEN ''::bytea
                ELSE coalesce(filestore.path_below_v1(v.parent_id, d.id, v.valid_to - interval '1 microsecond'),
                              filestore.path_below_v1(v.parent_id, d.id, v.valid_from)) END AS directory, v.name,
           CASE WHEN q.principal IS NULL THEN NULL WHEN n.state = 'deleted' AND n.version = c.last + 1 THEN n.charged_to
                ELSE (SELECT j.principal FROM filestore.journal_entries j
                       WHERE j.command_id = f.command_id AND NOT j.retryable LIMIT 1) END AS principal
      FROM filestore.quotas q
     CROSS JOIN contents c
     CROSS JOIN LATERAL (SELECT k.mount_id, k.state, k.version, k.charged_to FROM filestore.nodes k
                          WHERE k.id = c.node_id AND k.tenant = q.tenant OFFSET 0) n
     CROSS JOIN LATERAL (SELECT k.id FROM filestore.nodes k
                          WHERE k.mount_id = n.mount_id AND k.directory_path = '' AND k.parent_id IS NULL OFFSET 0) d
     CROSS JOIN LATERAL (SELECT k.* FROM filestore.versions k WHERE k.node_id = c.node_id AND k.version = c.last OFFSET 0) v
     CROSS JOIN LATERAL (SELECT k.command_id FROM filestore.versions k
                          WHERE k.node_id = c.node_id AND k.version = c.first OFFSET 0) f
     WHERE q.id = %(id)s AND (q.mount_id IS NULL OR q.mount_id = n.mount_id)
), kept AS (
    INSERT INTO filestore.quota_kept (quota_id, content_place, node_id, size_bytes)
    SELECT q.id, p.content_place, p.node_id, p.size_bytes
      FROM placed p JOIN filestore.quotas q ON q.id = %(id)s
       AND filestore.quota_covers_v1(q, p.mount_id, CASE WHEN p.directory <> '' THEN p.directory || '\x2f'::bytea || p.name
                                                         ELSE p.name END, p.principal)
    RETURNING node_id, size_bytes
)
INSERT INTO filestore.charge_deltas (mount_id, quota_id, size_bytes, node_count)
SELECT n.mount_id, %(id)s, sum(k.size_bytes), count(*)
  FROM kept k CROSS JOIN LATERAL (SELECT o.mount_id FROM filestore.nodes o WHERE o.id = k.node_id OFFSET 0) n
 GROUP BY n.mount_id

-- name: lock_one
-- A quota, held still until the transaction ends.
SELECT id, tenant, mount_id, path, principal, max_bytes, max_nodes, soft_bytes, soft_nodes, trash, operators, version
  FROM filestore.quotas WHERE id = %(id)s AND tenant = %(tenant)s FOR UPDATE

-- name: change
-- Other limits.
UPDATE filestore.quotas SET max_bytes = %(max_bytes)s, max_nodes = %(max_nodes)s, soft_bytes = %(soft_bytes)s,
       soft_nodes = %(soft_nodes)s, version = version + 1, updated_at = now() WHERE id = %(id)s

-- name: remove
-- There is no quota any more, and nothing is counted for it.
WITH kept AS (
    DELETE FROM filestore.quota_kept WHERE quota_id = %(id)s
), deltas AS (
    DELETE FROM filestore.charge_deltas WHERE quota_id = %(id)s
), charged AS (
    DELETE FROM filestore.charges WHERE quota_id = %(id)s
)
DELETE FROM filestore.quotas WHERE id = %(id)s

-- name: list
-- A page of quotas, the newest first, with what there is. `only` is one of them.
SELECT q.id, q.tenant, q.mount_id, q.path, q.principal, q.max_bytes, q.max_nodes, q.soft_bytes, q.soft_nodes, q.trash, q.operators,
       greatest(q.peak_bytes, u.bytes) AS peak_bytes, greatest(q.peak_nodes, u.nodes) AS peak_nodes, q.soft_since, q.version,
       q.created_by, q.created_at, q.updated_at, u.bytes, u.nodes, r.bytes AS reserved_bytes, r.nodes AS reserved_nodes
  FROM (SELECT k.* FROM filestore.quotas k
         WHERE k.tenant = %(tenant)s AND (%(only)s::bigint IS NULL OR k.id = %(only)s)
           AND (%(mount)s::bigint IS NULL OR k.mount_id = %(mount)s) AND (%(before)s::bigint IS NULL OR k.id < %(before)s)
         ORDER BY k.id DESC LIMIT %(limit)s) k
 CROSS JOIN LATERAL (SELECT x.* FROM filestore.quotas x WHERE x.id = k.id OFFSET 0) q
 CROSS JOIN LATERAL filestore.quota_use_v1(q) u
 CROSS JOIN LATERAL filestore.quota_reserved_v1(q) r
 ORDER BY q.id DESC

-- name: size_at
-- How large the file at a path is, where one lives there: what takes its place adds only the difference.
SELECT n.size_bytes
  FROM (SELECT p.id FROM filestore.nodes p WHERE p.mount_id = %(mount)s AND p.directory_path = %(parent)s
           AND p.directory_path IS NOT NULL AND p.state <> 'deleted' OFFSET 0) p
 CROSS JOIN LATERAL (SELECT k.size_bytes FROM filestore.nodes k
                      WHERE k.parent_id = p.id AND k.name = %(name)s AND k.state <> 'deleted' OFFSET 0) n

-- name: planned
-- What an operation has planned to do, all together.
SELECT o.bytes, o.nodes FROM filestore.operations o WHERE o.id = %(id)s
