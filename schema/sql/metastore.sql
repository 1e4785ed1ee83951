-- The Metastore as it follows the feed. An event says which nodes something happened to; what they are is read from the nodes. A
-- page of events may so be taken in long after later ones were written: a record is then ahead of the feed, never behind it, and
-- ends with its node, because whatever changes a node writes an event after it.
-- LATERAL with OFFSET 0: see trees.sql.

-- name: cursor
-- How far it is, what is pruned, and where the feed ends. One consumer at a time holds it. No row: another one does.
SELECT c.position, c.scanned, c.scan_last, r.events_position AS pruned, f.position AS last
  FROM filestore.metastore_cursor c CROSS JOIN filestore.retention r CROSS JOIN filestore.event_feed f
   FOR UPDATE OF c SKIP LOCKED

-- name: await_cursor
-- The same for a route that makes a record: it waits for its turn.
SELECT FROM filestore.metastore_cursor FOR UPDATE

-- name: page
-- The next events: of each node that they tell of the last one; the directories about which something is to be said of all that is
-- below; and how far they reach. What moved to another mount is another node there: `origin` is the one that it was.
WITH looked AS (
    SELECT o.position, o.mount_id, o.type, o.data, octet_length(o.data::text) AS size FROM filestore.outbox o
     WHERE o.position > %(after)s ORDER BY o.position LIMIT %(limit)s
), page AS MATERIALIZED (
    SELECT s.position, s.mount_id, s.type, s.data::jsonb AS data
      FROM (SELECT l.*, sum(l.size) OVER (ORDER BY l.position) - l.size AS before FROM looked l) s WHERE s.before < %(bytes)s
), told AS MATERIALIZED (
    SELECT p.position, p.mount_id, p.type, p.data, (p.data->>'nodeId')::bigint AS node,
           p.type NOT IN ('filestore.drift.detected', 'filestore.command.completed') AS told
      FROM page p
     WHERE p.data->>'nodeId' IS NOT NULL
       AND (p.type IN ('filestore.node.created', 'filestore.node.updated', 'filestore.node.deleted', 'filestore.node.reconciled',
                       'filestore.node.missing', 'filestore.drift.detected')
            OR p.type = 'filestore.command.completed' AND p.data->>'status' <> 'succeeded')
), departed AS (
    SELECT t.position, t.data, n.id AS node, t.node AS origin
      FROM told t CROSS JOIN LATERAL (SELECT k.id, k.mount_id FROM filestore.nodes k
                                       WHERE k.id = (t.data->>'replacedBy')::bigint OFFSET 0) n
     WHERE t.type = 'filestore.node.deleted' AND n.mount_id <> t.mount_id
), items AS (
    SELECT DISTINCT ON (a.node) a.node, a.told, a.data, max(a.origin) OVER (PARTITION BY a.node) AS origin
      FROM (SELECT position, node, told, data, NULL::bigint AS origin FROM told
             UNION ALL SELECT position, node, true, data, origin FROM departed) a
     ORDER BY a.node, a.told DESC, a.position DESC
), trees AS (
    SELECT t.position, t.node, NULL::bigint AS origin, t.data,
           CASE t.type WHEN 'filestore.node.deleted' THEN t.data->>'observedAt' END AS buried
      FROM told t
     WHERE t.data->>'kind' = 'directory' AND t.told AND NOT t.data ? 'movedFromBackendMountId'
       AND (jsonb_typeof(t.data->'tree') = 'object' OR t.type = 'filestore.node.missing'
            OR t.type = 'filestore.node.reconciled' AND t.data->>'previousState' = 'missing')
     UNION ALL
    SELECT d.position, d.node, d.origin, d.data, NULL FROM departed d WHERE jsonb_typeof(d.data->'tree') = 'object'
)
SELECT (SELECT min(position) FROM page) AS first, (SELECT max(position) FROM page) AS last,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('node', i.node, 'told', i.told, 'origin', i.origin)
            || filestore.record_facts_v1(i.data)), '[]')::text FROM items i) AS items,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('node', t.node, 'origin', t.origin, 'buried', t.buried,
            'facts', filestore.record_facts_v1(t.data)) ORDER BY t.position), '[]')::text FROM trees t) AS trees

-- name: queue_trees
-- Directories whose nodes are to be taken in before the next events.
INSERT INTO filestore.metastore_trees (directory_id, origin_id, buried_at, facts)
SELECT i.node, i.origin, i.buried, i.facts
  FROM jsonb_to_recordset(%(trees)s::jsonb) AS i(node bigint, origin bigint, buried timestamptz, facts jsonb)

-- name: tree
-- The directory that is next.
SELECT id, directory_id AS directory, origin_id AS origin, buried_at AS buried, after_name AS after, facts::text AS facts
  FROM filestore.metastore_trees ORDER BY id LIMIT 1

-- name: living
-- A page of what lives in it, by name. Where it was another directory before, what each of them was there: what the same command
-- deleted.
SELECT n.id, n.kind = 'directory' AS directory, n.name,
       (SELECT o.id FROM filestore.nodes o
         WHERE o.parent_id = %(origin)s::bigint AND o.name = n.name AND o.state = 'deleted'
         ORDER BY o.deleted_at DESC LIMIT 1) AS origin
  FROM filestore.nodes n
 WHERE n.parent_id = %(directory)s AND n.state <> 'deleted' AND n.name > coalesce(%(after)s::bytea, ''::bytea)
 ORDER BY n.name LIMIT %(limit)s

-- name: buried
-- A page of what was deleted with it, by name.
SELECT n.id, n.kind = 'directory' AS directory, n.name, NULL::bigint AS origin
  FROM filestore.nodes n
 WHERE n.parent_id = %(directory)s AND n.state = 'deleted' AND n.name > coalesce(%(after)s::bytea, ''::bytea)
   AND n.deleted_at = %(buried)s
 ORDER BY n.name LIMIT %(limit)s

-- name: go_on
-- The directory is taken in up to this name.
UPDATE filestore.metastore_trees SET after_name = %(after)s WHERE id = %(id)s

-- name: done
-- All of it is.
DELETE FROM filestore.metastore_trees WHERE id = %(id)s

-- name: scan
-- A page of all nodes but the roots of mounts, by id.
SELECT n.id FROM filestore.nodes n WHERE n.id > %(after)s AND n.id <= %(last)s AND n.parent_id IS NOT NULL
 ORDER BY n.id LIMIT %(limit)s

-- name: begin_scan
-- Take in all nodes that there are, before any further event. What changes meanwhile has events behind this position.
UPDATE filestore.metastore_cursor
   SET position = (SELECT f.position FROM filestore.event_feed f), scanned = 0,
       scan_last = coalesce((SELECT n.id FROM filestore.nodes n ORDER BY n.id DESC LIMIT 1), 0)

-- name: rescan
-- Look at every node again, and go on with the events afterwards: a rule has changed.
UPDATE filestore.metastore_cursor
   SET scanned = 0, scan_last = coalesce((SELECT n.id FROM filestore.nodes n ORDER BY n.id DESC LIMIT 1), 0)

-- name: move
-- This far it is now.
UPDATE filestore.metastore_cursor
   SET position = %(position)s, scanned = %(scanned)s, records = records + %(records)s, moved_at = now(), looked_at = now(),
       problem = NULL

-- name: look
-- There was nothing to take in, or this kept it from it.
UPDATE filestore.metastore_cursor SET looked_at = now(), problem = %(problem)s

-- name: hold
-- The records of these nodes, held still until the transaction ends: clients may change them.
SELECT count(*) FROM (SELECT FROM filestore.metastore_records r WHERE r.node_id = ANY(%(nodes)s::bigint[])
                       ORDER BY r.node_id FOR UPDATE) held

-- name: sync
-- Bring the records of these nodes to what the nodes are, and keep what a record was before it changed. Closed: its node was
-- deleted. Opened again: its node lives again, and no client had closed it. A rule that corrects gives it its namespace; one that
-- refuses can not undo a move, so the record says what it lacks. `told`: the facts of an event come along.
WITH seen AS MATERIALIZED (
    SELECT i.node, coalesce(i.told, false) AS told, i.journal, i.command, i.key, i.principal, i.reason, i.previous, i.observed,
           n.tenant, n.mount_id, n.parent_id, n.kind, n.state, n.version, n.size_bytes, n.checksum, n.sha256, n.metadata,
           n.observed_at, n.consistency_checked_at, n.last_reconciled_at, n.deleted_at, l.path, l.shown,
           r.namespace AS demanded, r.mode
      FROM jsonb_to_recordset(%(items)s::jsonb) AS i(node bigint, told boolean, journal bigint, command text, key text,
               principal text, reason text, previous filestore.node_state, observed timestamptz)
     CROSS JOIN LATERAL (SELECT k.* FROM filestore.nodes k WHERE k.id = i.node AND k.parent_id IS NOT NULL OFFSET 0) n
      LEFT JOIN LATERAL (SELECT k.directory_path, k.directory_text FROM filestore.nodes k
                          WHERE k.id = n.parent_id OFFSET 0) p ON true
     CROSS JOIN LATERAL (SELECT coalesce(p.directory_path || n.name, ''::bytea) AS path,
                                coalesce(p.directory_text || n.name_text, '') AS shown OFFSET 0) l
      LEFT JOIN LATERAL (SELECT * FROM filestore.record_rule_v1(n.tenant, n.mount_id, l.path) OFFSET 0) r ON true
), judged AS MATERIALIZED (
    SELECT s.*, w.version AS was, w.state AS old_state, w.deleted_at AS closed_at,
           w.command AS old_command, w.journal_id AS old_journal, w.idempotency_key AS old_key, w.principal AS old_principal,
           w.reconciliation_reason AS old_reason, w.previous_state AS old_previous, w.observed_at AS old_observed,
           CASE WHEN s.mode = 'correct' OR w.version IS NULL THEN coalesce(s.demanded, w.namespace, %(namespace)s)
                ELSE w.namespace END AS namespace, w.namespace AS old_namespace, w.change AS old_change, w.changed_by,
           w.changed_at, CASE WHEN s.state = 'deleted' THEN coalesce(w.deleted_at, s.deleted_at)
                              WHEN w.removed THEN w.deleted_at END AS ends
      FROM seen s LEFT JOIN LATERAL (SELECT k.* FROM filestore.metastore_records k WHERE k.node_id = s.node OFFSET 0) w ON true
), said AS MATERIALIZED (
    SELECT j.*, CASE WHEN j.was IS NULL THEN 'created' WHEN j.closed_at IS NULL AND j.ends IS NOT NULL THEN 'closed'
                     WHEN j.closed_at IS NOT NULL AND j.ends IS NULL THEN 'reopened'
                     WHEN j.namespace <> j.old_namespace THEN 'corrected' END AS change
      FROM judged j
), kept AS (
    INSERT INTO filestore.metastore_history (node_id, version, change, changed_by, changed_at, path_text, namespace, tags, owner,
        metadata, schema, deleted_at)
    SELECT k.node_id, k.version, k.change, k.changed_by, k.changed_at, k.path_text, k.namespace, k.tags, k.owner, k.metadata,
           k.schema, k.deleted_at
      FROM said s CROSS JOIN LATERAL (SELECT r.* FROM filestore.metastore_records r WHERE r.node_id = s.node OFFSET 0) k
     WHERE s.was IS NOT NULL AND s.change IS NOT NULL
)
INSERT INTO filestore.metastore_records AS r (node_id, tenant, mount_id, parent_id, path, path_text, kind, state, previous_state,
    node_version, size_bytes, checksum, sha256, node_metadata, observed_at, consistency_checked_at, last_reconciled_at, journal_id,
    command, idempotency_key, principal, reconciliation_reason, namespace, violation, version, change, changed_by, changed_at,
    deleted_at)
SELECT s.node, s.tenant, s.mount_id, s.parent_id, s.path, s.shown, s.kind, s.state,
       coalesce(s.previous, CASE WHEN s.old_state <> s.state THEN s.old_state ELSE s.old_previous END), s.version, s.size_bytes,
       s.checksum, s.sha256, s.metadata, CASE WHEN s.told THEN s.observed ELSE coalesce(s.old_observed, s.observed_at) END,
       s.consistency_checked_at, s.last_reconciled_at, CASE WHEN s.told THEN s.journal ELSE s.old_journal END,
       CASE WHEN s.told THEN s.command ELSE s.old_command END, CASE WHEN s.told THEN s.key ELSE s.old_key END,
       CASE WHEN s.told THEN s.principal ELSE s.old_principal END, coalesce(s.reason, s.old_reason), s.namespace,
       nullif(s.demanded, s.namespace), coalesce(s.was, 0) + (s.change IS NOT NULL)::integer, coalesce(s.change, s.old_change),
       CASE WHEN s.change IS NULL THEN s.changed_by END, CASE WHEN s.change IS NULL THEN s.changed_at ELSE now() END, s.ends
  FROM said s
ON CONFLICT (node_id) DO UPDATE SET (mount_id, parent_id, path, path_text, state, previous_state, node_version, size_bytes,
    checksum, sha256, node_metadata, observed_at, consistency_checked_at, last_reconciled_at, journal_id, command,
    idempotency_key, principal, reconciliation_reason, namespace, violation, version, change, changed_by, changed_at, deleted_at,
    updated_at)
  = (EXCLUDED.mount_id, EXCLUDED.parent_id, EXCLUDED.path, EXCLUDED.path_text, EXCLUDED.state, EXCLUDED.previous_state,
    EXCLUDED.node_version, EXCLUDED.size_bytes, EXCLUDED.checksum, EXCLUDED.sha256, EXCLUDED.node_metadata, EXCLUDED.observed_at,
    EXCLUDED.consistency_checked_at, EXCLUDED.last_reconciled_at, EXCLUDED.journal_id, EXCLUDED.command, EXCLUDED.idempotency_key,
    EXCLUDED.principal, EXCLUDED.reconciliation_reason, EXCLUDED.namespace, EXCLUDED.violation, EXCLUDED.version, EXCLUDED.change,
    EXCLUDED.changed_by, EXCLUDED.changed_at, EXCLUDED.deleted_at, now())

-- name: carry
-- Records of nodes that were other nodes on another mount: what was said of those goes along, unless something is said already.
WITH carried AS MATERIALIZED (
    SELECT i.node, o.tags, o.owner, o.metadata, o.schema,
           CASE WHEN n.violation IS NULL AND r.namespace IS NOT NULL THEN n.namespace ELSE o.namespace END AS namespace, n.version,
           n.change, n.changed_by, n.changed_at, n.path_text, n.namespace AS old_namespace, n.deleted_at, r.namespace AS demanded
      FROM jsonb_to_recordset(%(items)s::jsonb) AS i(node bigint, origin bigint)
     CROSS JOIN LATERAL (SELECT k.* FROM filestore.metastore_records k WHERE k.node_id = i.node OFFSET 0) n
     CROSS JOIN LATERAL (SELECT k.* FROM filestore.metastore_records k WHERE k.node_id = i.origin OFFSET 0) o
      LEFT JOIN LATERAL (SELECT * FROM filestore.record_rule_v1(n.tenant, n.mount_id, n.path) OFFSET 0) r ON true
     WHERE n.version = 1 AND (o.tags <> '{}' OR o.owner IS NOT NULL OR o.metadata <> '{}' OR o.namespace <> n.namespace)
), kept AS (
    INSERT INTO filestore.metastore_history (node_id, version, change, changed_by, changed_at, path_text, namespace, tags, owner,
        metadata, schema, deleted_at)
    SELECT c.node, c.version, c.change, c.changed_by, c.changed_at, c.path_text, c.old_namespace, '{}', NULL, '{}', NULL,
           c.deleted_at
      FROM carried c
)
UPDATE filestore.metastore_records r
   SET tags = c.tags, owner = c.owner, metadata = c.metadata, schema = c.schema, namespace = c.namespace,
       violation = nullif(c.demanded, c.namespace), version = c.version + 1, change = 'carried', changed_by = NULL,
       changed_at = now(), updated_at = now()
  FROM carried c WHERE r.node_id = ANY (ARRAY[c.node])
RETURNING r.node_id AS node

-- name: state
-- How far it is, and how much waits.
SELECT c.position, f.position AS last, c.records, c.moved_at, c.looked_at, c.problem,
       c.scanned IS NOT NULL OR EXISTS (SELECT FROM filestore.metastore_trees) AS loading,
       extract(epoch FROM now() - c.moved_at)::float8 AS idle_seconds,
       (SELECT extract(epoch FROM now() - o.created_at)::float8 FROM filestore.outbox o
         WHERE o.position > c.position ORDER BY o.position LIMIT 1) AS lag_seconds
  FROM filestore.metastore_cursor c CROSS JOIN filestore.event_feed f
