-- The event feed: positions in commit order, then Redis.

-- name: lock_feed
-- One publisher at a time; the lock belongs to the session, so no transaction is open while Redis is spoken to.
SELECT pg_try_advisory_lock(720002) AS mine

-- name: unlock_feed
-- Let the next publisher in.
SELECT pg_advisory_unlock(720002)

-- name: give_positions
-- Events of transactions below the horizon can not be joined by earlier ones any more: they get the next positions.
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

-- name: unpublished
-- The next events Redis has not had, in order.
SELECT o.position, o.type, o.data::text AS data FROM filestore.outbox o, filestore.event_feed f
 WHERE o.position > f.published ORDER BY o.position LIMIT %(limit)s

-- name: published
-- Redis has everything up to here.
UPDATE filestore.event_feed SET published = %(position)s WHERE published < %(position)s

-- name: lag
-- Events without a position and since when the oldest waits; positioned events Redis has not had.
SELECT (SELECT count(*) FROM filestore.outbox WHERE position IS NULL) AS unpositioned,
       (SELECT extract(epoch FROM now() - min(created_at))::float8 FROM filestore.outbox WHERE position IS NULL) AS oldest_seconds,
       position - published AS unpublished, position FROM filestore.event_feed

-- name: after
-- Positioned events after a cursor, for consumers that pull.
SELECT position, type, data::text AS data, created_at FROM filestore.outbox
 WHERE position > %(after)s ORDER BY position LIMIT %(limit)s
