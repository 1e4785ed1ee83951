-- Reading what overwrites and deletions have kept.

-- name: kept
-- Versions whose content is kept, those for longest first, of a mount and below a path. Of a deleted tree the top alone: the
-- rest has its place inside of it. Several versions can share one content: it is told of the last of them. Who did it stands in the
-- journal, which is kept for longer than commands are. So many versions are looked at, of whatever mount: `last_` is the last.
-- `least`: what is kept no longer is seen, too, down to there.
WITH looked AS MATERIALIZED (
    SELECT s.* FROM filestore.versions s
     WHERE s.content_place IS NOT NULL AND position('\x2f'::bytea IN substring(s.content_place FROM 12)) = 0
       AND s.content_until > coalesce(%(least)s::timestamptz, now())
       AND (s.content_until, s.node_id, s.version)
           < (%(before_until)s::timestamptz, %(before_id)s::bigint, %(before_version)s::bigint)
     ORDER BY s.content_until DESC, s.node_id DESC, s.version DESC LIMIT %(scan)s
), seen AS (
    SELECT k.*, row_number() OVER (ORDER BY k.content_until DESC, k.node_id DESC, k.version DESC) AS scanned FROM looked k
), entries AS (
    SELECT s.node_id, s.version, s.kind, s.size_bytes, s.sha256, s.name, s.content_until, x.command_id, x.valid_from AS ended,
           n.state <> 'deleted' AS lives, n.version AS newest, s.scanned,
           coalesce(filestore.path_below_v1(s.parent_id, %(root)s, s.valid_to - interval '1 microsecond'),
                    filestore.path_below_v1(s.parent_id, %(root)s, s.valid_from)) AS directory
      FROM seen s
     CROSS JOIN LATERAL (SELECT k.state, k.version FROM filestore.nodes k
                          WHERE k.id = s.node_id AND k.mount_id = %(mount)s OFFSET 0) n
     CROSS JOIN LATERAL (SELECT k.command_id, k.valid_from FROM filestore.snapshots k
                          WHERE k.node_id = s.node_id AND k.version = s.version + 1
                            AND k.content_place IS DISTINCT FROM s.content_place OFFSET 0) x
), placed AS (
    SELECT e.*, CASE WHEN e.directory <> '' THEN e.directory || '\x2f'::bytea || e.name ELSE e.name END AS path FROM entries e
)
SELECT p.node_id, p.version, p.kind::text, p.path, p.content_until, p.ended, p.lives, p.newest, p.command_id::text, p.sha256,
       coalesce(r.size_bytes, p.size_bytes) AS size, r.file_count AS files, r.directory_count AS directories,
       j.id AS entry, j.kind AS command, j.principal, p.scanned, l.scanned AS looked,
       l.content_until AS last_until, l.node_id AS last_id, l.version AS last_version, l.full
  FROM (SELECT z.*, (SELECT count(*) FROM seen) = %(scan)s AS full FROM seen z
         ORDER BY z.content_until, z.node_id, z.version LIMIT 1) l
  LEFT JOIN LATERAL (
      SELECT * FROM placed e
       WHERE %(path)s::bytea = '' OR e.path = %(path)s
          OR substring(e.path FOR octet_length(%(path)s) + 1) = %(path)s || '\x2f'::bytea
       ORDER BY e.content_until DESC, e.node_id DESC, e.version DESC LIMIT %(limit)s) p ON true
  LEFT JOIN LATERAL (SELECT k.* FROM filestore.rollup_of(p.node_id) k WHERE p.kind = 'directory') r ON true
  LEFT JOIN LATERAL (SELECT k.id, k.kind, k.principal FROM filestore.journal_entries k
                      WHERE k.command_id = p.command_id AND NOT k.retryable LIMIT 1) j ON true
 ORDER BY p.content_until DESC, p.node_id DESC, p.version DESC

-- name: count_kept
-- How many versions a walk through the trash looks at, of whatever mount.
SELECT count(*) AS kept FROM (
    SELECT FROM filestore.versions s
     WHERE s.content_place IS NOT NULL AND position('\x2f'::bytea IN substring(s.content_place FROM 12)) = 0
       AND s.content_until > coalesce(%(least)s::timestamptz, now()) LIMIT 1000000) x
