-- Objects of projects: where the content is. No state is written but by the moves of schema/sync/tiers.py: `froms` and `tos` are
-- one of them, pair by pair. Rows are taken in the order of their names, so that no two statements wait for each other.
--
-- A list of names is looked up one by one (LATERAL, OFFSET 0), and what is written is joined by both columns of the key to what
-- was looked up: a project that fills faster than statistics are taken looks as if it had a row or two, and any plan that may
-- begin with all of its rows would read them again for each name.

-- name: known
-- The rows of these contents.
SELECT o.*, encode(o.sha, 'hex') AS name FROM unnest(%(shas)s::bytea[]) n (sha)
 CROSS JOIN LATERAL (SELECT k.* FROM filestore.project_objects k
                      WHERE k.project_id = %(project)s AND k.sha = n.sha OFFSET 0) o

-- name: lease
-- For so long they are not condemned, though nothing refers to them yet.
UPDATE filestore.project_objects o SET lease_until = greatest(o.lease_until, now() + make_interval(secs => %(seconds)s))
  FROM (SELECT k.project_id, k.sha FROM (SELECT u.* FROM unnest(%(shas)s::bytea[]) u (sha) ORDER BY u.sha OFFSET 0) n
         CROSS JOIN LATERAL (SELECT h.project_id, h.sha FROM filestore.project_objects h
                              WHERE h.project_id = %(project)s AND h.sha = n.sha OFFSET 0 FOR UPDATE) k OFFSET 0) l
 WHERE o.project_id = l.project_id AND o.sha = l.sha

-- name: put
-- A content was put into a store: its row is made, or moves. No row: it is being deleted, or is where it should be already. What
-- the row of a lost content says of its cold copy holds no more.
INSERT INTO filestore.project_objects AS o (project_id, sha, size_bytes, tier, cold_key, verified_at, lease_until)
VALUES (%(project)s, %(sha)s, %(size)s, %(tier)s, %(cold_key)s, CASE WHEN %(cold_key)s::text IS NOT NULL THEN now() END,
        now() + make_interval(secs => %(lease)s))
ON CONFLICT (project_id, sha) DO UPDATE
   SET tier = (%(tos)s::text[])[array_position(%(froms)s::text[], o.tier)], cold_key = coalesce(excluded.cold_key, o.cold_key),
       verified_at = coalesce(excluded.verified_at, o.verified_at), lease_until = greatest(o.lease_until, excluded.lease_until),
       changed_at = now()
 WHERE o.tier = ANY(%(froms)s::text[])
RETURNING o.*

-- name: put_many
-- The same of many that were put into the hot store. Nothing waits for the disk here: a commit that names them does, and where the
-- row is lost before that it asks for them again.
INSERT INTO filestore.project_objects AS o (project_id, sha, size_bytes, tier, lease_until)
SELECT %(project)s, n.sha, n.size, %(tier)s, now() + make_interval(secs => %(lease)s)
  FROM (SELECT set_config('synchronous_commit', 'off', true)) q, unnest(%(shas)s::bytea[], %(sizes)s::bigint[]) n (sha, size)
 ORDER BY n.sha
ON CONFLICT (project_id, sha) DO UPDATE
   SET tier = (%(tos)s::text[])[array_position(%(froms)s::text[], o.tier)], changed_at = now(),
       lease_until = greatest(o.lease_until, excluded.lease_until)
 WHERE o.tier = ANY(%(froms)s::text[])
RETURNING o.sha

-- name: move
-- A move of many rows. A row in no state that the move begins from stays; so does one that is pinned or leased, where that matters.
-- Both are asked of the row that is written: where it changed while its lock was waited for, what it was before is held against
-- the table's constraints, too. `array_position` goes by no index.
UPDATE filestore.project_objects o
   SET tier = (%(tos)s::text[])[array_position(%(froms)s::text[], o.tier)], changed_at = now(),
       cold_key = coalesce(m.cold_key, o.cold_key), verified_at = CASE WHEN %(verified)s THEN now() ELSE o.verified_at END
  FROM (SELECT l.project_id, l.sha, n.cold_key
          FROM (SELECT u.* FROM unnest(%(shas)s::bytea[], %(cold_keys)s::text[]) u (sha, cold_key) ORDER BY u.sha OFFSET 0) n
         CROSS JOIN LATERAL (SELECT k.project_id, k.sha FROM filestore.project_objects k
                              WHERE k.project_id = %(project)s AND k.sha = n.sha OFFSET 0 FOR UPDATE) l OFFSET 0) m
 WHERE o.project_id = m.project_id AND o.sha = m.sha AND array_position(%(froms)s::text[], o.tier) IS NOT NULL
   AND NOT (%(unpinned)s AND coalesce(o.pinned_until > now(), false))
RETURNING o.*

-- name: lock
-- The rows of these contents, held until the transaction ends; always in one order.
SELECT o.sha, o.tier, o.was, o.size_bytes
  FROM (SELECT u.* FROM unnest(%(shas)s::bytea[]) u (sha) ORDER BY u.sha OFFSET 0) n
 CROSS JOIN LATERAL (SELECT k.* FROM filestore.project_objects k
                      WHERE k.project_id = %(project)s AND k.sha = n.sha OFFSET 0 FOR UPDATE) o

-- name: rescue
-- What was condemned is needed after all.
UPDATE filestore.project_objects SET tier = was, was = NULL, changed_at = now()
 WHERE project_id = %(project)s AND sha = ANY(%(shas)s::bytea[]) AND tier = 'condemned'

-- name: in_tier
-- A page of a project's objects in a state; `idle`: those that nothing has read or written for so long, the oldest first.
SELECT o.*, encode(o.sha, 'hex') AS name FROM filestore.project_objects o
 WHERE o.project_id = %(project)s AND o.tier = %(tier)s AND o.last_access < now() - make_interval(secs => %(idle)s)
   AND NOT (%(unpinned)s AND coalesce(o.pinned_until > now(), false))
   AND (o.last_access, o.sha) > (%(after)s::timestamptz, %(after_sha)s::bytea)
 ORDER BY o.last_access, o.sha LIMIT %(limit)s

-- name: below
-- A page of what is in a state, of these paths and of all below them.
WITH RECURSIVE below AS (
    SELECT t.path, t.kind, t.sha FROM filestore.project_paths t
     WHERE t.project_id = %(project)s AND t.key = ANY(SELECT sha256(p) FROM unnest(%(paths)s::bytea[]) p)
    UNION ALL
    SELECT t.path, t.kind, t.sha FROM below b
      JOIN filestore.project_paths t ON t.project_id = %(project)s AND t.parent = sha256(b.path) WHERE b.kind = 'directory'
)
SELECT o.*, encode(o.sha, 'hex') AS name FROM filestore.project_objects o
 WHERE o.project_id = %(project)s AND o.tier = %(tier)s AND o.sha IN (SELECT b.sha FROM below b WHERE b.sha IS NOT NULL)
 LIMIT %(limit)s

-- name: after
-- A page of all objects of a project, by name.
SELECT o.* FROM filestore.project_objects o
 WHERE o.project_id = %(project)s AND o.sha > %(after)s ORDER BY o.sha LIMIT %(limit)s

-- name: touch
-- They were read. What was read a minute ago is not written again.
UPDATE filestore.project_objects o SET last_access = now()
  FROM (SELECT k.project_id, k.sha FROM (SELECT u.* FROM unnest(%(shas)s::bytea[]) u (sha) ORDER BY u.sha OFFSET 0) n
         CROSS JOIN LATERAL (SELECT h.project_id, h.sha FROM filestore.project_objects h
                              WHERE h.project_id = %(project)s AND h.sha = n.sha AND h.last_access < now() - interval '1 minute'
                             OFFSET 0 FOR UPDATE) k OFFSET 0) l
 WHERE o.project_id = l.project_id AND o.sha = l.sha

-- name: pin
-- Hot until then. NULL: not any more.
UPDATE filestore.project_objects SET pinned_until = %(until)s
 WHERE project_id = %(project)s AND (%(shas)s::bytea[] IS NULL OR sha = ANY(%(shas)s::bytea[]))
   AND pinned_until IS DISTINCT FROM %(until)s

-- name: totals
-- Objects and bytes by state.
SELECT o.tier, count(*) AS objects, coalesce(sum(o.size_bytes), 0)::bigint AS bytes FROM filestore.project_objects o
 WHERE o.project_id = %(project)s GROUP BY o.tier

-- name: unreferenced
-- A page of objects that nothing refers to: not the tree, nor a former one that is kept, nor an open conflict, nor a lease. Only
-- candidates: each is looked at again under its lock.
SELECT o.sha FROM filestore.project_objects o JOIN filestore.projects p ON p.id = o.project_id
 WHERE o.project_id = %(project)s AND o.sha > %(after)s AND o.tier = ANY(%(froms)s::text[])
   AND (o.lease_until IS NULL OR o.lease_until < now()) AND NOT coalesce(o.pinned_until > now(), false)
   AND NOT filestore.object_is_referenced_v1(p.id, o.sha, p.keep_days)
 ORDER BY o.sha LIMIT %(limit)s

-- name: condemn
-- Under the lock of their rows, in a statement of its own: it sees all that was committed before the lock was had.
UPDATE filestore.project_objects o SET tier = 'condemned', was = o.tier, changed_at = now()
  FROM filestore.projects p
 WHERE p.id = o.project_id AND o.project_id = %(project)s AND o.sha = ANY(%(shas)s::bytea[]) AND o.tier = ANY(%(froms)s::text[])
   AND (o.lease_until IS NULL OR o.lease_until < now()) AND NOT coalesce(o.pinned_until > now(), false)
   AND NOT filestore.object_is_referenced_v1(p.id, o.sha, p.keep_days)
RETURNING o.sha

-- name: begin_delete
-- Condemned for long enough, and still not needed.
UPDATE filestore.project_objects o SET tier = 'deleting', was = NULL, changed_at = now()
  FROM filestore.projects p
 WHERE p.id = o.project_id AND o.project_id = %(project)s AND o.sha = ANY(%(shas)s::bytea[]) AND o.tier = 'condemned'
   AND o.changed_at < now() - make_interval(secs => %(grace)s)
   AND NOT filestore.object_is_referenced_v1(p.id, o.sha, p.keep_days)
RETURNING o.sha

-- name: condemned
-- A page of those whose grace time is over.
SELECT o.sha FROM filestore.project_objects o
 WHERE o.project_id = %(project)s AND o.tier = 'condemned' AND o.changed_at < now() - make_interval(secs => %(grace)s)
   AND o.sha > %(after)s ORDER BY o.sha LIMIT %(limit)s

-- name: forget
-- Their copies are gone.
DELETE FROM filestore.project_objects
 WHERE project_id = %(project)s AND sha = ANY(%(shas)s::bytea[]) AND tier = 'deleting' RETURNING sha
