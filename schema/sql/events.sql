-- The event feed: positions in commit order, readers, then Redis.

-- name: lock
-- One process at a time gives positions, and one speaks to Redis, each under a lock of its own: a Redis that hangs must not
-- hold up positions. The lock belongs to the session, because each statement has to see the last one's rows.
SELECT pg_try_advisory_lock(%(lock)s) AS mine

-- name: unlock
-- Give the lock back, so that another process can take it.
SELECT pg_advisory_unlock(%(lock)s)

-- name: give_positions
-- Give the next positions to events of transactions below the horizon: no earlier event can appear any more.
WITH ready AS (
    SELECT id, row_number() OVER (ORDER BY transaction, id) AS rank
      FROM (SELECT id, transaction FROM filestore.outbox
             WHERE position IS NULL AND transaction < pg_snapshot_xmin(pg_current_snapshot())
             ORDER BY transaction, id LIMIT %(limit)s) o
), feed AS (
    UPDATE filestore.event_feed SET position = position + (SELECT count(*) FROM ready)
    RETURNING position - (SELECT count(*) FROM ready) AS before
)
UPDATE filestore.outbox o SET position = feed.before + ready.rank FROM ready, feed WHERE o.id = ready.id

-- name: waiting
-- The work that is left: events without a position, entries of the journal that are not settled, events Redis has not had.
SELECT EXISTS (SELECT FROM filestore.outbox WHERE position IS NULL) AS unpositioned,
       (SELECT CASE WHEN s.is_called THEN s.last_value ELSE 0 END FROM filestore.journal_entries_id_seq s) AS drawn,
       settled, awaited, position > published AS unpublished FROM filestore.event_feed

-- name: await_entries
-- A transaction that drew an id of the journal up to this one is older than the one this statement takes.
-- `drawn` was read by an earlier statement: the other way round an id could be drawn in between.
UPDATE filestore.event_feed SET awaited = %(drawn)s, awaited_before = pg_current_xact_id() WHERE awaited IS NULL

-- name: settle_entries
-- All transactions older than that one have ended: no entry up to the awaited id can appear any more.
-- A number from the future was written by another cluster, before a dump: what it waited for is in the dump.
UPDATE filestore.event_feed SET settled = awaited, awaited = NULL, awaited_before = NULL
 WHERE awaited_before <= pg_snapshot_xmin(pg_current_snapshot()) OR awaited_before >= pg_snapshot_xmax(pg_current_snapshot())

-- name: unpublished
-- The next events Redis has not had, in order; large ones make a page shorter: Redis has to take it within its time. The watermark
-- is a scalar: in a join it would be a filter on the whole outbox.
WITH looked AS (
    SELECT o.position, o.type, o.data, octet_length(o.data::text) AS size FROM filestore.outbox o
     WHERE o.position > (SELECT f.published FROM filestore.event_feed f) ORDER BY o.position LIMIT %(limit)s
)
SELECT s.position, s.type, s.data::text AS data, s.looked
  FROM (SELECT l.*, sum(l.size) OVER (ORDER BY l.position) - l.size AS before, count(*) OVER () AS looked FROM looked l) s
 WHERE s.before < %(bytes)s ORDER BY s.position

-- name: published
-- Redis has everything up to here.
UPDATE filestore.event_feed SET published = %(position)s WHERE published < %(position)s

-- name: lag
-- Events without a position and since when the oldest waits; positioned events Redis has not had.
SELECT (SELECT count(*) FROM filestore.outbox WHERE position IS NULL) AS unpositioned,
       (SELECT extract(epoch FROM now() - min(created_at))::float8 FROM filestore.outbox WHERE position IS NULL) AS oldest_seconds,
       position - published AS unpublished, position FROM filestore.event_feed

-- name: bounds
-- The last position that was given, and the lowest that is still kept.
SELECT f.position AS last, coalesce((SELECT o.position FROM filestore.outbox o
                                      WHERE o.position > (SELECT r.events_position FROM filestore.retention r)
                                      ORDER BY o.position LIMIT 1), f.position + 1) AS first
  FROM filestore.event_feed f

-- name: page
-- Positioned events after a cursor. So many rows are looked at, whatever is asked for: a page costs the same for every
-- filter, and tells how far it reaches though nothing in it was wanted. Large events make it shorter. Where a node came from is a
-- text; events of earlier days have an object there, with all that is told of it. `whole`: what happened to a directory
-- happened to all that lies below it.
WITH looked AS (
    SELECT position, tenant, mount_id, type, data, octet_length(data::text) AS size FROM filestore.outbox
     WHERE position > %(after)s ORDER BY position LIMIT %(limit)s
), page AS MATERIALIZED (
    SELECT * FROM (SELECT l.*, sum(l.size) OVER (ORDER BY l.position) - l.size AS before FROM looked l) s WHERE before < %(bytes)s
)
SELECT b.first, b.last, e.position, e.tenant, e.mount_id, e.type, e.data::text AS data, e.data->>'path' AS path,
       e.data->>'pathB64' AS path_b64, coalesce(e.data->'movedFrom'->>'path', e.data->>'movedFrom') AS moved_from,
       coalesce(e.data->'movedFrom'->>'pathB64', e.data->>'movedFromB64') AS moved_from_b64,
       coalesce(e.data->'movedFrom'->>'backendMountId', e.data->>'movedFromBackendMountId')::bigint AS moved_from_mount,
       coalesce(e.data->'copiedFrom'->>'path', e.data->>'copiedFrom') AS copied_from,
       coalesce(e.data->'copiedFrom'->>'pathB64', e.data->>'copiedFromB64') AS copied_from_b64,
       coalesce(e.data->'copiedFrom'->>'backendMountId', e.data->>'copiedFromBackendMountId')::bigint AS copied_from_mount,
       coalesce(e.data->>'tree' IS NOT NULL OR e.type = 'filestore.node.missing'
           OR e.type = 'filestore.command.completed' AND e.data->'result'->>'kind' = 'directory'
              AND e.data->>'command' IN ('moveNode', 'copyNode', 'deleteNode', 'restoreNode'), false) AS whole
  FROM (SELECT min(position) AS first, max(position) AS last FROM page) b
  LEFT JOIN page e ON (%(tenant)s::text IS NULL OR e.tenant = %(tenant)s)
       AND (%(mount)s::bigint IS NULL OR e.mount_id = %(mount)s) AND (%(types)s::text[] IS NULL OR e.type = ANY(%(types)s))
 ORDER BY e.position
