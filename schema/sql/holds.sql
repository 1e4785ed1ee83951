-- Holds on paths: set, found by what they hold, released.

-- name: create
-- A new hold.
INSERT INTO filestore.holds (tenant, mount_id, path, kind, reason, until, created_by)
VALUES (%(tenant)s, %(mount)s, %(path)s, %(kind)s, %(reason)s, %(until)s, %(by)s) RETURNING id

-- name: in_the_way
-- Which commands would take something away that is held: at the path, below it (of a `tree`), or above it. Of several holds the
-- one with the longest path. `above`: of all paths over it, how many bytes of this one they are.
SELECT i.n, h.id, h.kind, h.reason, h.until, h.created_by, h.path
  FROM jsonb_to_recordset(%(items)s::jsonb) AS i(n integer, mount bigint, path text, above jsonb, tree boolean)
 CROSS JOIN LATERAL (SELECT decode(i.path, 'hex') AS path OFFSET 0) q
 CROSS JOIN LATERAL (
     SELECT k.* FROM (
         SELECT x.* FROM filestore.holds x WHERE x.mount_id = i.mount AND x.path = q.path AND x.released_at IS NULL
          UNION ALL
         SELECT x.* FROM jsonb_array_elements_text(i.above) a
          CROSS JOIN LATERAL (SELECT y.* FROM filestore.holds y
                               WHERE y.mount_id = i.mount AND y.path = substring(q.path FOR a::integer)
                                 AND y.released_at IS NULL OFFSET 0) x
          UNION ALL
         SELECT x.* FROM filestore.holds x
          WHERE i.tree AND x.mount_id = i.mount AND x.path > q.path || '\x2f'::bytea AND x.path < q.path || '\x30'::bytea
            AND x.released_at IS NULL) k
      WHERE k.until IS NULL OR k.until > now()
      ORDER BY octet_length(k.path) DESC LIMIT 1) h

-- name: taken_now
-- Whether a command that runs, or a purge, may take something at a path, above it or below it: then it is too late to hold that.
SELECT EXISTS (
    SELECT FROM filestore.operations o
     CROSS JOIN LATERAL (SELECT FROM filestore.operation_items i
                          WHERE i.operation_id = o.id AND i.state = 'running' AND i.kind = 'purge'
                            AND (i.path = %(path)s OR i.path = ANY(%(above)s::bytea[])
                                 OR i.path > %(low)s AND i.path < %(high)s) OFFSET 0) i
     WHERE o.mount_id = %(mount)s AND o.state IN ('planning', 'running', 'waiting', 'cancelling', 'rolling_back')
       AND o.kind = 'purge'
) OR EXISTS (
    SELECT FROM filestore.claims c
      JOIN filestore.commands k ON k.id = c.command_id AND k.intent->>'step' <> 'create'
     WHERE c.mount_id = %(mount)s AND NOT c.shared
       AND (c.path = %(path)s OR c.path = ANY(%(above)s::bytea[]) AND c.kind = 'subtree'
            OR c.path > %(low)s AND c.path < %(high)s)) AS taken

-- name: on_mount
-- Whether anything on a mount is held, or an object of its bucket is locked still.
SELECT EXISTS (SELECT FROM filestore.holds h WHERE h.mount_id = %(mount)s AND h.released_at IS NULL
                  AND (h.until IS NULL OR h.until > now()))
    OR EXISTS (SELECT FROM filestore.holds h WHERE h.mount_id = %(mount)s AND h.lock_due IS NOT NULL) AS held

-- name: lock
-- A hold, held still until the transaction ends.
SELECT id, mount_id, path, kind, until, released_at, lock_state, until IS NULL OR until > now() AS runs
  FROM filestore.holds WHERE id = %(id)s AND tenant = %(tenant)s FOR UPDATE

-- name: release
-- A hold ends.
UPDATE filestore.holds SET released_at = now(), released_by = %(by)s WHERE id = %(id)s AND released_at IS NULL

-- name: extend
-- A hold holds for longer.
UPDATE filestore.holds SET until = %(until)s WHERE id = %(id)s

-- name: list
-- A page of holds, the newest first. `only` is one of them.
SELECT h.id, h.mount_id, h.path, json_build_object(
    'id', h.id, 'backendMountId', h.mount_id, 'kind', h.kind, 'reason', h.reason,
    'until', h.until, 'by', h.created_by, 'createdAt', h.created_at, 'releasedBy', h.released_by,
    'releasedAt', h.released_at, 'inForce', h.released_at IS NULL AND (h.until IS NULL OR h.until > now()),
    'objectLock', CASE WHEN h.lock_state IS NOT NULL THEN json_build_object('state', h.lock_state, 'objects', h.locked_objects,
        'problem', h.lock_problem) END)::text AS document
  FROM filestore.holds h
 WHERE h.tenant = %(tenant)s AND (%(only)s::bigint IS NULL OR h.id = %(only)s)
   AND (%(mount)s::bigint IS NULL OR h.mount_id = %(mount)s)
   AND (%(before)s::bigint IS NULL OR h.id < %(before)s)
   AND (%(ended)s OR h.released_at IS NULL AND (h.until IS NULL OR h.until > now()))
 ORDER BY h.id DESC LIMIT %(limit)s
