-- What is kept no longer: old commands with their keys, and old events. Each statement takes a page and is a transaction.
-- `= ANY (ARRAY[...])` where a table is written to: see trees.sql.

-- name: prune_events
-- The oldest events, whole positions from the first: only what Redis has had, and nothing beyond one that is still to be kept.
WITH looked AS (
    SELECT o.id, o.position, o.created_at FROM filestore.outbox o
     WHERE o.position > (SELECT r.events_position FROM filestore.retention r)
       AND o.position <= (SELECT f.published FROM filestore.event_feed f)
     ORDER BY o.position LIMIT %(limit)s
), old AS (
    SELECT id, position, created_at FROM looked
     WHERE position < coalesce((SELECT min(k.position) FROM looked k
                                 WHERE k.created_at >= now() - make_interval(secs => %(keep)s)), position + 1)
), gone AS (
    DELETE FROM filestore.outbox o USING old WHERE o.id = ANY (ARRAY[old.id])
), told AS (
    UPDATE filestore.retention r
       SET events_position = greatest(r.events_position, x.position), events_until = greatest(r.events_until, x.until)
      FROM (SELECT max(position) AS position, max(created_at) AS until FROM old) x WHERE x.position IS NOT NULL
)
SELECT count(*) AS gone FROM old

-- name: prune_commands
-- Delete commands whose keys were kept for the promised time: a page of ids, which rise with time. Commands that run, or have
-- left something to clear, stay.
WITH looked AS (
    SELECT c.id FROM filestore.commands c
     WHERE c.id > %(after)s::uuid AND c.id < %(below)s::uuid ORDER BY c.id LIMIT %(limit)s
), gone AS (
    DELETE FROM filestore.commands c USING looked l
     WHERE c.id = ANY (ARRAY[l.id]) AND c.ended_at < now() - make_interval(secs => %(keep)s)
       AND NOT EXISTS (SELECT FROM filestore.cleanups k WHERE k.command_id = c.id OFFSET 0)
       AND NOT EXISTS (SELECT FROM filestore.claims k WHERE k.command_id = c.id OFFSET 0)
       AND NOT EXISTS (SELECT FROM filestore.staged_entries k WHERE k.command_id = c.id OFFSET 0)
    RETURNING c.ended_at
), told AS (
    UPDATE filestore.retention r SET commands_until = greatest(r.commands_until, x.until)
      FROM (SELECT max(ended_at) AS until FROM gone) x WHERE x.until IS NOT NULL
)
SELECT (SELECT count(*) FROM gone) AS gone, (SELECT count(*) FROM looked) AS looked,
       (SELECT l.id::text FROM looked l ORDER BY l.id DESC LIMIT 1) AS last

-- name: prune_operations
-- A page of the items of the operation that ended first, and with the last of them the operation itself.
WITH old AS (
    SELECT o.id FROM filestore.operations o
     WHERE o.ended_at < now() - make_interval(secs => %(keep)s)
       AND NOT EXISTS (SELECT FROM filestore.operations u WHERE u.undoes = o.id AND u.ended_at IS NULL OFFSET 0)
     ORDER BY o.ended_at LIMIT 1 FOR UPDATE SKIP LOCKED
), looked AS (
    SELECT x.operation_id, x.item
      FROM old CROSS JOIN LATERAL (SELECT i.operation_id, i.item FROM filestore.operation_items i
                                    WHERE i.operation_id = old.id ORDER BY i.item LIMIT %(limit)s) x
), gone AS (
    DELETE FROM filestore.operation_items i USING looked l
     WHERE i.operation_id = ANY (ARRAY[l.operation_id]) AND i.item = ANY (ARRAY[l.item])
), whole AS (
    SELECT old.id FROM old WHERE (SELECT count(*) FROM looked) < %(limit)s
), asked AS (
    DELETE FROM filestore.operation_controls c USING whole w WHERE c.operation_id = ANY (ARRAY[w.id])
), ended AS (
    DELETE FROM filestore.operations o USING whole w WHERE o.id = ANY (ARRAY[w.id])
)
SELECT (SELECT count(*) FROM looked) + (SELECT count(*) FROM whole) AS gone
