-- The events of projects on their way into the hot store.

-- name: take
-- How far they are told. One process at a time holds it. No row: another one does.
SELECT c.position FROM filestore.project_feed c FOR UPDATE SKIP LOCKED

-- name: page
-- The next events of the feed, whatever they are about.
SELECT o.position, o.tenant, o.type, o.data, o.created_at FROM filestore.outbox o
 WHERE o.position > %(after)s ORDER BY o.position LIMIT %(limit)s

-- name: move
-- They are told up to here.
UPDATE filestore.project_feed SET position = %(position)s
