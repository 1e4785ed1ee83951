-- Reading versions: what a node was, and where the bytes of an older version are now.

-- name: page_of
-- A fragment: the versions of a node before one of them, newest first.
WITH picked AS (
    SELECT * FROM filestore.snapshots
     WHERE node_id = %(node)s AND (%(before)s::bigint IS NULL OR version < %(before)s)
     ORDER BY version DESC LIMIT %(limit)s
)
SELECT s.version, s.command_id::text, s.parent_id, s.name, s.kind::text, s.state::text, s.size_bytes, s.sha256,
       s.metadata::text, s.valid_from, s.valid_to, k.live OR k.place IS NOT NULL AS available,
       coalesce(k.until, s.content_until) AS until,
       (SELECT max(j.id) FROM filestore.journal_entries j WHERE j.command_id = s.command_id AND j.outcome = 'succeeded') AS entry

-- name: one_of
-- A fragment: one version, as it is needed to send its bytes. The type and the checksum are those its content came with.
WITH picked AS (
    SELECT * FROM filestore.snapshots WHERE node_id = %(node)s AND version = %(version)s
)
SELECT s.name, s.state::text, s.size_bytes, s.sha256, k.live, k.place,
       coalesce(k.until, s.content_until) AS until,
       coalesce(u.mime_type, CASE WHEN n.sha256 = s.sha256 THEN n.mime_type END) AS mime_type,
       coalesce(u.checksum, CASE WHEN n.sha256 = s.sha256 THEN n.checksum END) AS checksum,
       coalesce((SELECT min(f.valid_from) FROM filestore.snapshots f
                  WHERE f.node_id = s.node_id AND f.version <= s.version AND f.version > coalesce(
                        (SELECT max(d.version) FROM filestore.snapshots d WHERE d.node_id = s.node_id
                            AND d.version < s.version AND d.sha256 IS DISTINCT FROM s.sha256), 0)), s.valid_from) AS since,
       filestore.facts_v1(h.content_identity) AS identity,
       EXISTS (SELECT FROM filestore.cleanups q WHERE q.command_id = x.command_id)
           OR EXISTS (SELECT FROM filestore.commands c WHERE c.mount_id = n.mount_id AND c.status = 'running'
                         AND (c.intent->>'step' = 'restore' OR (c.intent->>'node')::bigint = n.id)) AS moving

-- name: where_kept
-- A fragment: where the bytes of a version are. A version whose content went on unchanged into the next ones has no place of
-- its own: the hash says with which later version its bytes are kept, or that the node has them now (`live`).
  FROM picked s
  JOIN filestore.nodes n ON n.id = s.node_id
  LEFT JOIN LATERAL (
      SELECT h.version, h.content_place, h.content_until, h.content_identity FROM filestore.snapshots h
       WHERE s.kind = 'file' AND s.state <> 'deleted' AND h.node_id = s.node_id AND h.version >= s.version
         AND (h.version = s.version OR h.sha256 = s.sha256) AND h.content_place IS NOT NULL AND h.content_until > now()
       ORDER BY h.version LIMIT 1) h ON true
 CROSS JOIN LATERAL (
      SELECT s.kind = 'file' AND s.state <> 'deleted' AND n.state IN ('active', 'inconsistent')
             AND (s.valid_to IS NULL OR coalesce(n.sha256 = s.sha256, false)) AS live,
             h.content_place AS place, h.content_until AS until) k

-- name: newest_first
-- A fragment: the order of a page.
 ORDER BY s.version DESC

-- name: what_ended_it
-- A fragment: the version after the last one whose bytes are kept there, and the upload the content came with: of the journal,
-- which is kept for longer than commands are.
  LEFT JOIN LATERAL (
      SELECT z.version, z.command_id FROM filestore.snapshots z
       WHERE z.node_id = s.node_id AND z.version > coalesce((SELECT max(y.version) FROM filestore.snapshots y
                                   WHERE y.node_id = s.node_id AND y.content_place = h.content_place), s.version)
       ORDER BY z.version LIMIT 1) x ON true
  LEFT JOIN LATERAL (
      SELECT j.payload->>'mime_type' AS mime_type, j.payload->>'checksum' AS checksum
        FROM filestore.snapshots w JOIN filestore.journal_entries j ON j.command_id = w.command_id AND NOT j.retryable
       WHERE w.node_id = s.node_id AND w.version <= s.version AND w.sha256 = s.sha256 AND j.kind = 'uploadFile'
       ORDER BY w.version DESC LIMIT 1) u ON true
