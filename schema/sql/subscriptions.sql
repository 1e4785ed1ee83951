-- Webhooks: subscriptions to the feed, and what became of their deliveries.

-- name: create
-- From now on: behind the last event that has a position.
INSERT INTO filestore.subscriptions (id, tenant, token_id, principal, description, url, secret, filter, position)
SELECT %(id)s, %(tenant)s, %(token)s, %(principal)s, %(description)s, %(url)s, %(secret)s, %(filter)s::jsonb, f.position
  FROM filestore.event_feed f
RETURNING position

-- name: count
-- How many a tenant has, up to one more than it may.
SELECT count(*) AS number FROM (SELECT FROM filestore.subscriptions WHERE tenant = %(tenant)s LIMIT %(most)s) s

-- name: find
-- One subscription of a tenant, as clients read it.
SELECT s.*, f.position AS last FROM filestore.subscriptions s, filestore.event_feed f
 WHERE s.id = %(id)s::uuid AND s.tenant = %(tenant)s

-- name: listed
-- A page of a tenant's subscriptions, the newest first.
SELECT s.*, f.position AS last FROM filestore.subscriptions s, filestore.event_feed f
 WHERE s.tenant = %(tenant)s AND (%(before)s::timestamptz IS NULL OR (s.created_at, s.id) < (%(before)s, %(before_id)s::uuid))
 ORDER BY s.created_at DESC, s.id DESC LIMIT %(limit)s

-- name: change
-- What a client changes. A subscription that is made active begins its attempts anew.
UPDATE filestore.subscriptions s
   SET url = coalesce(%(url)s, url), description = coalesce(%(description)s, description),
       filter = coalesce(%(filter)s::jsonb, filter), state = coalesce(%(state)s, state), updated_at = now(),
       reason = CASE WHEN %(state)s IS NULL THEN reason END,
       failures = CASE WHEN %(state)s IS NULL THEN failures ELSE 0 END,
       failing_since = CASE WHEN %(state)s IS NULL THEN failing_since END,
       next_attempt_at = CASE WHEN %(state)s IS NULL THEN next_attempt_at END
 WHERE s.id = %(id)s::uuid AND s.tenant = %(tenant)s

-- name: rotate
-- Another secret; messages are signed with both for a while.
UPDATE filestore.subscriptions
   SET previous_secret = secret, previous_until = now() + make_interval(secs => %(seconds)s), secret = %(secret)s,
       updated_at = now()
 WHERE id = %(id)s::uuid AND tenant = %(tenant)s

-- name: remove
-- It ends, with its deliveries.
DELETE FROM filestore.subscriptions WHERE id = %(id)s::uuid AND tenant = %(tenant)s

-- name: replay
-- Go on behind another position. A delivery that is under way counts for nothing then: `replays` has changed.
UPDATE filestore.subscriptions
   SET position = %(after)s, replays = replays + 1, failures = 0, failing_since = NULL, next_attempt_at = NULL, reason = NULL,
       state = CASE state WHEN 'broken' THEN 'active' ELSE state END, updated_at = now()
 WHERE id = %(id)s::uuid AND tenant = %(tenant)s

-- name: redrive
-- Dead letters are to be sent once more: all of them, or those that are named.
UPDATE filestore.deliveries d SET state = 'redrive' FROM filestore.subscriptions s
 WHERE s.id = %(id)s::uuid AND s.tenant = %(tenant)s AND d.subscription_id = s.id AND d.state = 'dead'
   AND (%(positions)s::bigint[] IS NULL OR d.position = ANY(%(positions)s))

-- name: deliveries
-- A page of deliveries, the newest first.
SELECT d.* FROM filestore.deliveries d JOIN filestore.subscriptions s ON s.id = d.subscription_id
 WHERE s.id = %(id)s::uuid AND s.tenant = %(tenant)s AND (%(before)s::bigint IS NULL OR d.position < %(before)s)
   AND (%(states)s::text[] IS NULL OR d.state = ANY(%(states)s))
 ORDER BY d.position DESC LIMIT %(limit)s

-- name: active
-- The subscriptions that something has to deliver for.
SELECT id::text AS id FROM filestore.subscriptions WHERE state = 'active' ORDER BY id

-- name: load
-- What the next delivery needs to know. `seconds`: until the next attempt is due; `failing`: since when nothing was taken.
SELECT s.tenant, s.token_id, s.url, s.secret, s.filter, s.position, s.replays, s.failures, f.position AS last,
       CASE WHEN s.previous_until > now() THEN s.previous_secret END AS previous_secret,
       EXISTS (SELECT FROM filestore.deliveries d WHERE d.subscription_id = s.id AND d.state = 'redrive') AS redrive,
       greatest(0, extract(epoch FROM s.next_attempt_at - now()))::float8 AS seconds,
       coalesce(extract(epoch FROM now() - s.failing_since), 0)::float8 AS failing
  FROM filestore.subscriptions s, filestore.event_feed f WHERE s.id = %(id)s::uuid AND s.state = 'active'

-- name: to_redrive
-- The next dead letter that is to be sent once more, with its event where that is kept.
SELECT d.position, d.type, d.attempts, o.data::text AS data FROM filestore.deliveries d
  LEFT JOIN filestore.outbox o ON o.position = d.position
 WHERE d.subscription_id = %(id)s::uuid AND d.state = 'redrive' ORDER BY d.position LIMIT 1

-- name: delivered
-- The target has it; the next one is due.
WITH moved AS (
    UPDATE filestore.subscriptions SET position = %(position)s, failures = 0, failing_since = NULL, next_attempt_at = NULL
     WHERE id = %(id)s::uuid AND replays = %(replays)s AND position < %(position)s RETURNING id
)
INSERT INTO filestore.deliveries (subscription_id, position, type, state, attempts, status, milliseconds)
SELECT id, %(position)s, %(type)s, 'delivered', %(attempts)s, %(status)s, %(milliseconds)s FROM moved
ON CONFLICT (subscription_id, position)
DO UPDATE SET state = 'delivered', attempts = EXCLUDED.attempts, status = EXCLUDED.status, error = NULL,
       milliseconds = EXCLUDED.milliseconds, attempted_at = now()

-- name: failed
-- The target has not taken it: the same again at its time, or the next one where this is given up.
WITH moved AS (
    UPDATE filestore.subscriptions
       SET failures = CASE WHEN %(dead)s THEN 0 ELSE failures + 1 END, failing_since = coalesce(failing_since, now()),
           next_attempt_at = CASE WHEN %(dead)s THEN NULL ELSE now() + make_interval(secs => %(seconds)s) END,
           position = CASE WHEN %(dead)s THEN %(position)s ELSE position END, reason = %(error)s
     WHERE id = %(id)s::uuid AND replays = %(replays)s AND position < %(position)s RETURNING id
)
INSERT INTO filestore.deliveries (subscription_id, position, type, state, attempts, status, error, milliseconds)
SELECT id, %(position)s, %(type)s, CASE WHEN %(dead)s THEN 'dead' ELSE 'waiting' END, %(attempts)s, %(status)s, %(error)s,
       %(milliseconds)s FROM moved
ON CONFLICT (subscription_id, position)
DO UPDATE SET state = EXCLUDED.state, attempts = EXCLUDED.attempts, status = EXCLUDED.status, error = EXCLUDED.error,
       milliseconds = EXCLUDED.milliseconds, attempted_at = now()

-- name: redriven
-- What became of a dead letter that was sent once more.
UPDATE filestore.deliveries
   SET state = CASE WHEN %(succeeded)s THEN 'delivered' ELSE 'dead' END, attempts = attempts + 1, status = %(status)s,
       error = %(error)s, milliseconds = %(milliseconds)s, attempted_at = now()
 WHERE subscription_id = %(id)s::uuid AND position = %(position)s AND state = 'redrive'

-- name: advance
-- Up to here there was nothing that was asked for.
UPDATE filestore.subscriptions SET position = %(position)s
 WHERE id = %(id)s::uuid AND replays = %(replays)s AND position < %(position)s

-- name: break
-- Nothing is sent any more until a client makes it active.
UPDATE filestore.subscriptions SET state = 'broken', reason = %(reason)s, next_attempt_at = NULL, updated_at = now()
 WHERE id = %(id)s::uuid AND state = 'active'

-- name: forget
-- Deliveries that are old enough: what was taken after a day, what is dead with the events of its time.
DELETE FROM filestore.deliveries d
 WHERE d.subscription_id = %(id)s::uuid AND d.position = ANY(ARRAY(
       SELECT o.position FROM filestore.deliveries o
        WHERE o.subscription_id = %(id)s::uuid AND o.attempted_at < now() - make_interval(secs => %(delivered_seconds)s)
          AND (o.state = 'delivered' OR o.attempted_at < now() - make_interval(secs => %(dead_seconds)s))
        ORDER BY o.attempted_at LIMIT 1000))
