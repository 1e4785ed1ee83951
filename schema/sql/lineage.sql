-- Which nodes had a name, and which commands took a node along: of the versions in `snapshots`, which say in which directory a
-- node lay, under which name, and until when. Times are those of the transactions that recorded them. Commands on one tree
-- wait for each other, so what came later has a later time; what one transaction recorded has one time.

-- name: mounts
-- The mounts of a tenant, or one of them.
SELECT m.id FROM filestore.backend_mounts m WHERE m.tenant = %(tenant)s AND (%(mount)s::bigint IS NULL OR m.id = %(mount)s)

-- name: named
-- The nodes that a path has named, those that were there last first: from the root down by each name, and only while the
-- directory that lay there was the same. A node that left a directory and came back counts as there in between.
WITH RECURSIVE down AS (
    SELECT n.id, 0 AS level, '-infinity'::timestamptz AS since, 'infinity'::timestamptz AS until
      FROM filestore.nodes n
     WHERE n.mount_id = ANY(%(mounts)s::bigint[]) AND n.directory_path = ''::bytea AND n.state <> 'deleted'
     UNION ALL
    SELECT s.node_id, d.level + 1, greatest(d.since, s.since), least(d.until, s.until)
      FROM down d CROSS JOIN LATERAL (
          SELECT k.node_id, min(k.valid_from) AS since, max(coalesce(k.valid_to, 'infinity')) AS until
            FROM filestore.snapshots k
           WHERE k.parent_id = d.id AND k.name = (%(names)s::bytea[])[d.level + 1]
             AND k.kind = ANY(CASE WHEN d.level + 1 < cardinality(%(names)s::bytea[]) THEN '{directory}'
                                   ELSE enum_range(NULL::filestore.node_kind) END)
             AND k.state <> 'deleted'
           GROUP BY k.node_id OFFSET 0) s
     WHERE d.level < cardinality(%(names)s::bytea[]) AND s.since <= d.until AND s.until >= d.since
)
SELECT d.id FROM down d WHERE d.level = cardinality(%(names)s::bytea[])
 GROUP BY d.id ORDER BY max(d.until) DESC, d.id DESC LIMIT %(most)s

-- name: carriers
-- The directories above nodes, each with the time for which they lay below it: a move of it took them along. Level 0 are the
-- nodes themselves.
WITH RECURSIVE up AS (
    SELECT n.id, '-infinity'::timestamptz AS since, 'infinity'::timestamptz AS until, 0 AS level
      FROM filestore.nodes n
     WHERE n.id = ANY(%(nodes)s::bigint[]) AND n.tenant = %(tenant)s AND n.mount_id = ANY(%(mounts)s::bigint[])
     UNION
    SELECT s.parent_id, greatest(u.since, s.since), least(u.until, s.until), u.level + 1
      FROM up u CROSS JOIN LATERAL (
          SELECT r.parent_id, min(r.valid_from) AS since, max(coalesce(r.valid_to, 'infinity')) AS until
            FROM (SELECT v.*, count(*) FILTER (WHERE v.turned) OVER (ORDER BY v.version) AS stay
                    FROM (SELECT k.version, k.parent_id, k.state, k.valid_from, k.valid_to,
                                 (k.parent_id, k.state = 'deleted') IS DISTINCT FROM
                                     lag((k.parent_id, k.state = 'deleted')) OVER (ORDER BY k.version) AS turned
                            FROM filestore.snapshots k WHERE k.node_id = u.id) v) r
           WHERE r.state <> 'deleted' AND r.parent_id IS NOT NULL
           GROUP BY r.stay, r.parent_id OFFSET 0) s
     WHERE s.since <= u.until AND s.until >= u.since
)
SELECT u.id, u.since::text AS since, u.until::text AS until, u.level FROM up u ORDER BY u.until DESC, u.level LIMIT %(most)s

-- name: turns
-- The commands with which nodes came, went, or changed their directory: of a whole tree it may be the command of another node.
SELECT t.command_id::text AS command
  FROM unnest(%(nodes)s::bigint[]) AS asked(node)
 CROSS JOIN LATERAL (
     SELECT k.command_id, k.valid_from, (k.parent_id, k.state = 'deleted') IS DISTINCT FROM
                lag((k.parent_id, k.state = 'deleted')) OVER (ORDER BY k.version) AS turned
       FROM filestore.snapshots k
      WHERE k.node_id = asked.node OFFSET 0) t
 WHERE t.turned ORDER BY t.valid_from DESC LIMIT %(most)s
