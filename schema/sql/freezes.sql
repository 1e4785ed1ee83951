-- Freezes: on a mount, on all of a tenant, or everywhere nothing is changed. `begin` looks at them in its own transaction
-- (begin.sql).

-- name: create
-- A key names one freeze of its principal. No row: it is there already.
INSERT INTO filestore.freezes (tenant, mount_id, reason, principal, key, until)
VALUES (%(tenant)s, %(mount)s, %(reason)s, %(principal)s, %(key)s, %(until)s)
ON CONFLICT (tenant, principal, key) DO NOTHING
RETURNING id

-- name: of_key
-- The freeze of a key, and what was asked for under it.
SELECT id, mount_id, reason, until FROM filestore.freezes
 WHERE tenant = %(tenant)s AND principal = %(principal)s AND key = %(key)s

-- name: lift
-- It ends. No row: it had ended before.
UPDATE filestore.freezes SET lifted_at = now(), lifted_by = %(principal)s
 WHERE id = %(id)s AND tenant IS NOT DISTINCT FROM %(tenant)s::text AND lifted_at IS NULL
RETURNING id, mount_id

-- name: alone
-- A freeze waits for every change of the mount that has looked for one, and has not ended.
SELECT pg_advisory_xact_lock(%(lock)s::integer, (%(mount)s::bigint & 2147483647)::integer)

-- name: shared
-- A change of the mount: no freeze begins before it ends.
SELECT pg_advisory_xact_lock_shared(%(lock)s::integer, (%(mount)s::bigint & 2147483647)::integer)

-- name: of_mounts
-- A freeze that holds on one of these mounts now.
SELECT z.facts FROM unnest(%(mounts)s::bigint[]) WITH ORDINALITY AS m(id, place)
 CROSS JOIN LATERAL filestore.freeze_of_v1(%(tenant)s, m.id) z ORDER BY m.place LIMIT 1

-- name: mounts
-- The mounts that a freeze is about.
SELECT m.id FROM filestore.backend_mounts m
 WHERE (%(tenant)s::text IS NULL OR m.tenant = %(tenant)s) AND m.removed_at IS NULL
   AND (%(mount)s::bigint IS NULL OR m.id = %(mount)s) ORDER BY m.id

-- name: tenants
-- All of them.
SELECT t.name FROM filestore.tenants t ORDER BY t.name

-- name: listed
-- The newest first: those that hold, or all that ever were. A tenant sees its own, and those that hold everywhere. `in_flight`:
-- commands that began before, and have not ended; of the tenant that asks.
SELECT f.id, f.tenant, f.mount_id, f.reason, f.principal, f.until, f.created_at, f.lifted_at, f.lifted_by,
       f.lifted_at IS NULL AND (f.until IS NULL OR f.until > now()) AS holds,
       (SELECT count(*) FROM filestore.commands c JOIN filestore.backend_mounts m ON m.id = c.mount_id
         WHERE f.lifted_at IS NULL AND c.status = 'running' AND (f.tenant IS NULL OR m.tenant = f.tenant)
           AND (%(tenant)s::text IS NULL OR m.tenant = %(tenant)s) AND (f.mount_id IS NULL OR c.mount_id = f.mount_id)) AS in_flight
  FROM filestore.freezes f
 WHERE (%(tenant)s::text IS NULL OR f.tenant IS NULL OR f.tenant = %(tenant)s)
   AND (%(id)s::bigint IS NULL OR f.id = %(id)s) AND (%(before)s::bigint IS NULL OR f.id < %(before)s)
   AND (%(past)s OR f.lifted_at IS NULL AND (f.until IS NULL OR f.until > now()))
 ORDER BY f.id DESC LIMIT %(limit)s

-- name: waiting
-- Operations that a freeze may have kept waiting: their runners look again.
SELECT o.id::text, o.mount_id, o.turn, o.state = 'planning' AS plans FROM filestore.operations o
 WHERE o.mount_id = ANY(%(mounts)s::bigint[]) AND o.state IN ('running', 'waiting', 'rolling_back') ORDER BY o.id LIMIT 1000
