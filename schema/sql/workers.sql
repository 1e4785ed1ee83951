-- Signs of life of the worker processes: a row each, and no more rows than there were workers in a day.

-- name: beat
-- Note that this process lives, and whether it is connected to Temporal.
INSERT INTO filestore.workers (process, host_id, connected) VALUES (%(process)s, %(host)s, %(connected)s)
ON CONFLICT (process) DO UPDATE SET seen_at = now(), connected = excluded.connected

-- name: clear
-- Forget workers that ended long ago without saying so.
DELETE FROM filestore.workers WHERE seen_at < now() - interval '1 day'

-- name: leave
-- This process ends.
DELETE FROM filestore.workers WHERE process = %(process)s

-- name: latest
-- The worker of a host that was heard of last, and how many seconds ago.
SELECT extract(epoch FROM now() - seen_at)::float8 AS silent_seconds, connected
  FROM filestore.workers WHERE host_id = %(host)s
 ORDER BY seen_at DESC LIMIT 1
