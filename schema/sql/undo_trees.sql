-- Undo by selection: what keeps directories, and what one command made below them. `taken` is the condition of undo.sql.

-- name: strangers
-- What lies in these directories and was changed last by something outside of the selection: it keeps them. `foreign`: the
-- selection has never changed it.
SELECT n.parent_id AS directory, n.id AS node, n.kind::text, n.version, n.size_bytes AS size, p.mount_id,
       p.directory_path || n.name AS path,
       NOT EXISTS (SELECT FROM filestore.snapshots s CROSS JOIN LATERAL (
               SELECT j.id FROM filestore.journal_entries j
                WHERE j.command_id = s.command_id AND NOT j.retryable AND /* taken */ true OFFSET 0) e
            WHERE s.node_id = n.id OFFSET 0) AS foreign
  FROM unnest(%(directories)s::bigint[]) AS d(id)
 CROSS JOIN LATERAL (SELECT k.id, k.mount_id, k.directory_path FROM filestore.nodes k
                      WHERE k.id = d.id AND k.state <> 'deleted' OFFSET 0) p
 CROSS JOIN LATERAL (SELECT k.* FROM filestore.nodes k WHERE k.parent_id = p.id AND k.state <> 'deleted' OFFSET 0) n
 WHERE NOT EXISTS (SELECT FROM filestore.snapshots s CROSS JOIN LATERAL (
               SELECT j.id FROM filestore.journal_entries j
                WHERE j.command_id = s.command_id AND NOT j.retryable AND /* taken */ true OFFSET 0) e
            WHERE s.node_id = n.id AND s.version = n.version OFFSET 0)
 ORDER BY n.parent_id, n.name LIMIT %(limit)s

-- name: above
-- The directories above these.
WITH RECURSIVE up AS (
    SELECT u.id FROM unnest(%(directories)s::bigint[]) AS u(id)
     UNION
    SELECT n.parent_id FROM up u CROSS JOIN LATERAL (SELECT k.parent_id FROM filestore.nodes k WHERE k.id = u.id OFFSET 0) n
     WHERE n.parent_id IS NOT NULL
)
SELECT id FROM up

-- name: made_in
-- What one command made, or brought back, in a directory that it made or brought back as well: by kind and name, from behind one
-- on.
SELECT s.node_id AS node, s.kind::text, s.version, s.name, s.size_bytes AS size, n.state = 'deleted' AS gone
  FROM (SELECT k.* FROM filestore.snapshots k
         WHERE k.parent_id = %(directory)s AND (k.kind, k.name) > (%(kind)s::filestore.node_kind, %(name)s::bytea)
           AND k.command_id = %(command)s::uuid ORDER BY k.kind, k.name LIMIT %(limit)s) s
 CROSS JOIN LATERAL (SELECT k.state FROM filestore.nodes k WHERE k.id = s.node_id OFFSET 0) n
 ORDER BY s.kind, s.name
