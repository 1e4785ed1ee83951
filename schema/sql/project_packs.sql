-- Packs of the cold store: objects in which small contents of a project lie together. A row of a content says in which, and where.

-- name: add
-- Packs that are there. One that is known stays as it is.
INSERT INTO filestore.project_packs (project_id, key, size_bytes, live_bytes)
SELECT %(project)s, n.key, n.size, n.size FROM unnest(%(keys)s::text[], %(sizes)s::bigint[]) n (key, size)
 WHERE n.size > 0 ORDER BY n.key
ON CONFLICT (project_id, key) DO NOTHING

-- name: measure
-- The next packs that were not written anew, and how many of their bytes are needed by now. What is hot alone, or missing, has no
-- copy in a pack that counts. `entry`: what the index of a pack has of each content.
UPDATE filestore.project_packs k SET live_bytes = least(k.size_bytes, m.live)
  FROM (SELECT g.key, (SELECT coalesce(sum(o.size_bytes + %(entry)s), 0) FROM filestore.project_objects o
                        WHERE o.project_id = %(project)s AND o.cold_key ~ '#[0-9]+$'
                          AND regexp_replace(o.cold_key, '#[0-9]+$', '') = g.key
                          AND o.tier NOT IN ('hot', 'missing', 'deleting')) AS live
          FROM (SELECT p.key FROM filestore.project_packs p
                 WHERE p.project_id = %(project)s AND p.replaced_at IS NULL AND p.key > %(after)s
                 ORDER BY p.key LIMIT %(limit)s FOR UPDATE) g) m
 WHERE k.project_id = %(project)s AND k.key = m.key
RETURNING k.key, k.size_bytes, k.live_bytes

-- name: members
-- What lies in these packs.
SELECT o.* FROM filestore.project_objects o
 WHERE o.project_id = %(project)s AND o.cold_key ~ '#[0-9]+$'
   AND regexp_replace(o.cold_key, '#[0-9]+$', '') = ANY(%(keys)s::text[]) AND o.tier NOT IN ('hot', 'missing', 'deleting')

-- name: switch
-- Contents lie in another pack from now on: those whose rows still say what they said when they were read.
UPDATE filestore.project_objects o SET cold_key = m.new, verified_at = now()
  FROM (SELECT l.sha, n.old, n.new FROM unnest(%(shas)s::bytea[], %(olds)s::text[], %(news)s::text[]) n (sha, old, new)
          JOIN filestore.project_objects l ON l.project_id = %(project)s AND l.sha = n.sha ORDER BY l.sha FOR UPDATE OF l) m
 WHERE o.project_id = %(project)s AND o.sha = m.sha AND o.cold_key = m.old AND o.tier NOT IN ('hot', 'missing', 'deleting')
RETURNING o.*

-- name: replaced
-- These packs are not written anew once more. How many were not before.
UPDATE filestore.project_packs SET replaced_at = now(), live_bytes = 0
 WHERE project_id = %(project)s AND key = ANY(%(keys)s::text[]) AND replaced_at IS NULL

-- name: needed
-- Of these packs those that a row names a part of, and those that were written anew a short while ago: they are read still.
SELECT DISTINCT regexp_replace(o.cold_key, '#[0-9]+$', '') AS pack FROM filestore.project_objects o
 WHERE o.project_id = %(project)s AND o.cold_key ~ '#[0-9]+$' AND regexp_replace(o.cold_key, '#[0-9]+$', '') = ANY(%(keys)s)
 UNION
SELECT k.key FROM filestore.project_packs k
 WHERE k.project_id = %(project)s AND k.key = ANY(%(keys)s) AND k.replaced_at > now() - make_interval(secs => %(grace)s)

-- name: gone
-- These packs are not there any more.
DELETE FROM filestore.project_packs WHERE project_id = %(project)s AND key = ANY(%(keys)s::text[])
