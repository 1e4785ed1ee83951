-- What is removed from the trash for good. It is marked first: from then on no plan counts on it, and no command takes it.

-- name: share
-- A plan counts on what the trash keeps: nothing is marked until the transaction ends.
SELECT pg_advisory_xact_lock_shared(%(lock)s)

-- name: alone
-- What is marked now, no plan has counted on.
SELECT pg_advisory_xact_lock(%(lock)s)

-- name: places
-- Where what these items name lies in the trash, and what put it there. NULL: it does not lie there any more.
SELECT i.item, i.path, i.node_id AS node, s.content_place AS place, e.command_id::text AS command
  FROM filestore.operation_items i
  LEFT JOIN filestore.versions s ON s.node_id = i.node_id AND s.version = i.version
  LEFT JOIN filestore.versions e ON e.node_id = i.node_id AND e.version = i.version + 1
 WHERE i.operation_id = %(id)s AND i.item = ANY(%(items)s::integer[]) ORDER BY i.item

-- name: below
-- A fragment: these places with all that lies in them.
WITH RECURSIVE top AS MATERIALIZED (
    SELECT x.item, x.node, decode(x.place, 'hex') AS place, x.command
      FROM jsonb_to_recordset(%(places)s::jsonb) AS x(item integer, node bigint, place text, command uuid)
), inside AS (
    SELECT t.item, t.node AS id, t.place FROM top t
     UNION ALL
    SELECT b.item, n.id, b.place || '\x2f'::bytea || n.name
      FROM inside b CROSS JOIN LATERAL (
          SELECT k.id, k.name FROM filestore.nodes k WHERE k.parent_id = b.id AND k.state = 'deleted' OFFSET 0) n
), below AS MATERIALIZED (
    SELECT b.item, b.id, b.place FROM inside b
     WHERE EXISTS (SELECT FROM filestore.versions s WHERE s.node_id = b.id AND s.content_place = b.place OFFSET 0)
)

-- name: counted_on
-- Those that stay: an operation that has not ended put them there, or wants to bring them back, or a command is at it.
SELECT DISTINCT ON (x.item) x.item, x.operation FROM (
    SELECT b.item, o.id::text AS operation
      FROM below b
     CROSS JOIN LATERAL (SELECT k.operation_id FROM filestore.operation_items k
                          WHERE k.node_id = b.id AND k.kind = 'restore' AND k.state IN ('pending', 'running') OFFSET 0) i
     CROSS JOIN LATERAL (SELECT k.id FROM filestore.operations k
                          WHERE k.id = i.operation_id AND k.ended_at IS NULL OFFSET 0) o
     UNION ALL
    SELECT t.item, o.id::text
      FROM top t
     CROSS JOIN LATERAL (SELECT k.operation_id FROM filestore.journal_entries k WHERE k.command_id = t.command OFFSET 0) j
     CROSS JOIN LATERAL (SELECT k.id FROM filestore.operations k
                          WHERE k.id = j.operation_id AND k.ended_at IS NULL OFFSET 0) o
     UNION ALL
    SELECT t.item, NULL FROM top t WHERE EXISTS (SELECT FROM filestore.cleanups k WHERE k.command_id = t.command OFFSET 0)
     UNION ALL
    SELECT b.item, NULL
      FROM filestore.commands c
     CROSS JOIN LATERAL (SELECT k.item FROM below k WHERE k.id = (c.intent->>'node')::bigint) b
     WHERE c.mount_id = %(mount)s AND c.status = 'running') x
 ORDER BY x.item, x.operation NULLS LAST

-- name: mark
-- From now on they are kept no longer.
UPDATE filestore.versions s SET content_until = least(s.content_until, now())
  FROM below b WHERE s.node_id = ANY (ARRAY[b.id]) AND s.content_place = ANY (ARRAY[b.place])

-- name: deep
-- Those that lie so deep in a deleted tree that a store may have given them another name.
SELECT b.item, b.place FROM below b WHERE octet_length(b.place) > 700

-- name: clear
-- They lie there no longer.
UPDATE filestore.versions s SET content_place = NULL, content_identity = NULL
  FROM below b WHERE s.node_id = ANY (ARRAY[b.id]) AND s.content_place = ANY (ARRAY[b.place])

-- name: expired
-- Which of these restores find nothing: of a deleted node what it was, of a living one the content of a version.
SELECT x.item
  FROM jsonb_to_recordset(%(items)s::jsonb) AS x(item integer, node bigint, version bigint)
 WHERE NOT EXISTS (SELECT FROM filestore.versions s WHERE s.node_id = x.node AND s.version = x.version
                      AND s.content_place IS NOT NULL AND s.content_until > now() OFFSET 0)

-- name: policies
-- Mounts whose trash keeps less than the service does.
SELECT m.id, m.tenant, m.retention FROM filestore.backend_mounts m WHERE m.id = %(mount)s AND m.removed_at IS NULL
