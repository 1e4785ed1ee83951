-- Undo by selection: which changes a selection takes, and what came between them. `taken` stands wherever a query asks whether an
-- entry `j` is one of the selection's: the same words when entries are listed and when the versions of a node are looked through.

-- name: taken
-- A fragment: a change that the selection takes. Only what has changed something counts, and what machines did is not meant unless
-- the selection says so. `units`: pieces of work of which a part lies in the time that is asked for.
j.tenant = %(tenant)s AND j.outcome = 'succeeded' AND j.after IS NOT NULL AND j.id <= %(bound)s
       AND j.kind = ANY(%(kinds)s::text[])
       AND (%(principal)s::text IS NULL OR j.principal = %(principal)s)
       AND (%(token)s::bigint IS NULL OR j.token_id = %(token)s)
       AND (%(correlation)s::text IS NULL OR j.correlation_id = %(correlation)s)
       AND (%(commands)s::uuid[] IS NULL OR j.command_id = ANY(%(commands)s::uuid[]))
       AND (%(operation)s::uuid IS NULL OR j.operation_id = %(operation)s)
       AND ((%(since)s::timestamptz IS NULL OR j.recorded_at >= %(since)s)
            AND (%(until)s::timestamptz IS NULL OR j.recorded_at < %(until)s) OR j.correlation_id = ANY(%(units)s::text[]))
       AND (%(path)s::bytea IS NULL
            OR j.kind <> 'copyNode' AND (filestore.source_v1(j.payload) = %(path)s
               OR substring(filestore.source_v1(j.payload) FOR octet_length(%(path)s) + 1) = %(path)s || '\x2f'::bytea)
            OR filestore.target_v1(j.payload) = %(path)s
            OR substring(filestore.target_v1(j.payload) FOR octet_length(%(path)s) + 1) = %(path)s || '\x2f'::bytea)
       AND (%(authored)s OR j.principal <> %(machines)s AND NOT starts_with(j.principal, %(machines)s || '/'))

-- name: bound
-- The last entry that an undo looks at.
SELECT coalesce(max(id), 0) AS bound FROM filestore.journal_entries

-- name: oldest
-- The first entry of these mounts.
SELECT coalesce(min(x.id), 0) AS id FROM unnest(%(mounts)s::bigint[]) AS m(id)
 CROSS JOIN LATERAL (SELECT j.id FROM filestore.journal_entries j WHERE j.mount_id = m.id ORDER BY j.id LIMIT 1) x

-- name: recorded_before
-- Whether the first entry from here on was recorded before a time.
SELECT (SELECT j.recorded_at FROM filestore.journal_entries j WHERE j.id >= %(id)s ORDER BY j.id LIMIT 1) < %(at)s AS before

-- name: running
-- Whether a command that the selection would take began before the undo was asked for, and has not ended.
SELECT EXISTS (SELECT FROM filestore.commands c
                WHERE c.status = 'running' AND c.mount_id = ANY(%(mounts)s::bigint[]) AND c.created_at < %(asked_at)s
                  AND (%(principal)s::text IS NULL OR c.principal = %(principal)s)
                  AND (%(token)s::bigint IS NULL OR c.token_id = %(token)s)
                  AND (%(correlation)s::text IS NULL OR c.correlation_id = %(correlation)s)
                  AND (%(operation)s::uuid IS NULL OR c.operation_id = %(operation)s)
                  AND (%(commands)s::uuid[] IS NULL OR c.id = ANY(%(commands)s::uuid[]))) AS running

-- name: units
-- The pieces of work that lie partly within the time of the selection, and partly outside: they are meant as a whole.
SELECT x.correlation_id
  FROM (SELECT DISTINCT j.correlation_id FROM filestore.journal_entries j
         WHERE j.correlation_id IS NOT NULL AND j.mount_id = %(mount)s AND /* taken */ true) x
 WHERE EXISTS (SELECT FROM filestore.journal_entries k
                WHERE k.tenant = %(tenant)s AND k.correlation_id = x.correlation_id
                  AND (k.recorded_at < %(since)s::timestamptz OR k.recorded_at >= %(until)s::timestamptz) OFFSET 0)

-- name: places
-- Where the changes of a selection lie: their mounts, and for a few named commands their paths as well. `reads`: a copy came from
-- there.
SELECT DISTINCT p.mount, p.reads, CASE WHEN %(commands)s::uuid[] IS NOT NULL THEN p.path END AS path
  FROM filestore.journal_entries j
 CROSS JOIN LATERAL (VALUES (coalesce((j.payload->>'mount_id')::bigint, j.mount_id), filestore.source_v1(j.payload),
                             j.kind = 'copyNode'),
                            (j.mount_id, filestore.target_v1(j.payload), false)) AS p(mount, path, reads)
 WHERE /* taken */ true AND p.path IS NOT NULL LIMIT 2000

-- name: count
-- How many changes a selection takes.
SELECT count(*) AS changes FROM filestore.journal_entries j WHERE j.mount_id = %(mount)s AND /* taken */ true

-- name: changes
-- The next changes that are put back, newest first. `followed`: a later version of the same node is the selection's, too;
-- `superseded`: by a change of content or metadata.
SELECT p.*, EXISTS (
           SELECT FROM filestore.snapshots s CROSS JOIN LATERAL (
               SELECT j.id FROM filestore.journal_entries j
                WHERE j.command_id = s.command_id AND NOT j.retryable AND /* taken */ true OFFSET 0) e
            WHERE s.node_id = p.node_id AND s.version > p.version OFFSET 0) AS followed,
       EXISTS (
           SELECT FROM filestore.snapshots s CROSS JOIN LATERAL (
               SELECT j.id FROM filestore.journal_entries j
                WHERE j.command_id = s.command_id AND NOT j.retryable AND j.node_id = s.node_id
                  AND (j.kind = 'updateNodeMetadata' OR j.kind IN ('uploadFile', 'copyNode', 'restoreNode')
                       AND j.before->>'state' <> 'deleted')
                  AND /* taken */ true OFFSET 0) e
            WHERE s.node_id = p.node_id AND s.version > p.version OFFSET 0) AS superseded
  FROM (SELECT j.id, j.command_id::text AS command, j.mount_id, j.kind, j.node_id, j.after->>'kind' AS node_kind,
               (j.after->>'version')::bigint AS version, (j.after->>'size')::bigint AS size, j.before, j.after, j.also,
               filestore.source_v1(j.payload) AS path, filestore.target_v1(j.payload) AS target
          FROM filestore.journal_entries j
         WHERE j.mount_id = %(mount)s AND j.id < %(below)s AND /* taken */ true
         ORDER BY j.id DESC LIMIT %(limit)s) p
 ORDER BY p.id DESC

-- name: runs
-- The versions of nodes, newest first, down to the first one that is not the selection's. `own`: the change was the node's own, and
-- no directory's, nor that of a move that took its name.
WITH RECURSIVE run AS (
    SELECT n.id AS node, n.version AS current, n.version, x.*
      FROM filestore.nodes n CROSS JOIN LATERAL (
          SELECT j.id AS entry, j.kind, j.node_id = s.node_id AS own, coalesce(j.before->>'state', 'none') AS was,
                 coalesce(/* taken */ true, false) AS mine
            FROM filestore.snapshots s LEFT JOIN filestore.journal_entries j ON j.command_id = s.command_id AND NOT j.retryable
           WHERE s.node_id = n.id AND s.version = n.version OFFSET 0) x
     WHERE n.id = ANY(%(nodes)s::bigint[])
     UNION ALL
    SELECT r.node, r.current, r.version - 1, x.*
      FROM run r CROSS JOIN LATERAL (
          SELECT j.id AS entry, j.kind, j.node_id = s.node_id AS own, coalesce(j.before->>'state', 'none') AS was,
                 coalesce(/* taken */ true, false) AS mine
            FROM filestore.snapshots s LEFT JOIN filestore.journal_entries j ON j.command_id = s.command_id AND NOT j.retryable
           WHERE s.node_id = r.node AND s.version = r.version - 1 OFFSET 0) x
     WHERE r.mine
)
SELECT r.node, r.current, r.version, r.mine, r.entry, r.kind, r.own, r.was, b.same_content, b.same_metadata
  FROM run r
  LEFT JOIN LATERAL (
      SELECT (s.sha256, s.size_bytes) IS NOT DISTINCT FROM (n.sha256, n.size_bytes) AS same_content,
             s.metadata = n.metadata AS same_metadata
        FROM filestore.snapshots s, filestore.nodes n
       WHERE NOT r.mine AND s.node_id = r.node AND s.version = r.version AND n.id = r.node OFFSET 0) b ON true
 ORDER BY r.node, r.version DESC

-- name: record_runs
-- What the Metastore says of nodes: the version of the record, the one before its latest unbroken run of the selection's changes,
-- and the newest of those changes. What closes a record and opens it again with its node says nothing else, and is passed over.
WITH RECURSIVE entries AS MATERIALIZED (
    SELECT j.id, j.node_id, (j.after->>'version')::bigint AS version FROM filestore.journal_entries j
     WHERE j.node_id = ANY(%(nodes)s::bigint[]) AND j.executor = 'record' AND /* taken */ true
), passed AS MATERIALIZED (
    SELECT e.node_id, e.version FROM entries e
     UNION
    SELECT r.node_id, r.version FROM filestore.metastore_records r
     WHERE r.node_id = ANY(%(nodes)s::bigint[]) AND r.change IN ('closed', 'reopened')
     UNION
    SELECT h.node_id, h.version FROM filestore.metastore_history h
     WHERE h.node_id = ANY(%(nodes)s::bigint[]) AND h.change IN ('closed', 'reopened')
), run AS (
    SELECT r.node_id, r.version FROM filestore.metastore_records r WHERE r.node_id = ANY(%(nodes)s::bigint[])
     UNION ALL
    SELECT r.node_id, r.version - 1 FROM run r JOIN passed p ON (p.node_id, p.version) = (r.node_id, r.version)
)
SELECT r.node_id AS node, max(r.version) AS current, min(r.version) AS before, x.last, n.kind::text AS kind
  FROM run r
 CROSS JOIN LATERAL (SELECT k.kind FROM filestore.nodes k WHERE k.id = r.node_id OFFSET 0) n
  JOIN (SELECT e.node_id, max(e.id) AS last FROM entries e GROUP BY e.node_id) x ON x.node_id = r.node_id
 GROUP BY r.node_id, x.last, n.kind

-- name: taken_places
-- Which of these names somebody outside of the selection has used for another node since.
SELECT x.item
  FROM jsonb_to_recordset(%(places)s::jsonb) AS x(item integer, parent bigint, name text, node bigint, entry bigint)
 WHERE EXISTS (
     SELECT FROM filestore.snapshots s CROSS JOIN LATERAL (
         SELECT j.id FROM filestore.journal_entries j
          WHERE j.command_id = s.command_id AND NOT j.retryable AND j.id > x.entry
            AND NOT coalesce(/* taken */ true, false) OFFSET 0) e
      WHERE s.parent_id = x.parent AND s.kind = ANY(enum_range(NULL::filestore.node_kind)) AND s.name = decode(x.name, 'hex')
        AND s.node_id <> x.node OFFSET 0)

-- name: changed_below
-- Below which of these directories something outside of the selection has changed since. A copy only reads where it comes from.
SELECT x.entry
  FROM jsonb_to_recordset(%(trees)s::jsonb) AS x(path text, entry bigint, mount bigint)
 CROSS JOIN LATERAL (SELECT decode(x.path || '2f', 'hex') AS low, decode(x.path || '30', 'hex') AS high OFFSET 0) p
 WHERE EXISTS (
     SELECT FROM filestore.journal_entries j
      WHERE j.mount_id = x.mount AND j.kind <> 'copyNode' AND j.executor <> 'record' AND j.path >= p.low AND j.path < p.high
        AND substring(j.path FROM 1 FOR 1000) >= substring(p.low FROM 1 FOR 1000)
        AND substring(j.path FROM 1 FOR 1000) <= substring(p.high FROM 1 FOR 1000)
        AND j.id > x.entry AND j.outcome = 'succeeded' AND j.after IS NOT NULL AND NOT coalesce(/* taken */ true, false) OFFSET 0)
    OR EXISTS (
     SELECT FROM filestore.journal_entries j
      WHERE j.mount_id = x.mount AND j.payload->>'target' IS NOT NULL
        AND filestore.target_v1(j.payload) >= p.low AND filestore.target_v1(j.payload) < p.high
        AND substring(filestore.target_v1(j.payload) FROM 1 FOR 1000) >= substring(p.low FROM 1 FOR 1000)
        AND substring(filestore.target_v1(j.payload) FROM 1 FOR 1000) <= substring(p.high FROM 1 FOR 1000)
        AND j.id > x.entry AND j.outcome = 'succeeded' AND j.after IS NOT NULL AND NOT coalesce(/* taken */ true, false) OFFSET 0)

-- name: expired
-- For which of these items what they need is not kept any more.
SELECT x.item
  FROM jsonb_to_recordset(%(contents)s::jsonb) AS x(item integer, node bigint, version bigint)
 CROSS JOIN LATERAL (SELECT s.content_until FROM filestore.snapshots s
                      WHERE s.node_id = x.node AND s.version = x.version OFFSET 0) s
 WHERE s.content_until <= now()

-- name: own_versions
-- Which version the nodes of these items have now, where nothing but this operation has changed them since the items did.
SELECT x.item, n.version
  FROM jsonb_to_recordset(%(items)s::jsonb) AS x(item integer, node bigint, version bigint)
 CROSS JOIN LATERAL (SELECT k.version FROM filestore.nodes k WHERE k.id = x.node OFFSET 0) n
 WHERE NOT EXISTS (
     SELECT FROM filestore.snapshots s
       LEFT JOIN filestore.journal_entries j ON j.command_id = s.command_id AND NOT j.retryable
      WHERE s.node_id = x.node AND s.version > x.version AND j.operation_id IS DISTINCT FROM %(id)s::uuid OFFSET 0)
