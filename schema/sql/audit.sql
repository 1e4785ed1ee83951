-- The chain of seals over the journal.

-- name: line
-- A fragment: an entry as the text that is sealed, format 1. It depends on no setting of the session. A new column of the journal
-- needs a new format beside this one.
SELECT j.id, sha256(convert_to(json_build_array(
           j.id, j.tenant, j.command_id, j.attempt, j.kind, j.mount_id, j.node_id, encode(j.path, 'hex'), j.principal, j.token_id,
           j.key, j.executor, j.outcome, j.code, j.retryable, j.context, j.payload, j.before, j.after, j.also, j.trash,
           j.workflow_id, j.operation_id, j.item, j.reverses, j.request_id, j.trace_id, extract(epoch FROM j.started_at),
           extract(epoch FROM j.recorded_at), j.atomic_id, j.correlation_id)::text, 'UTF8')) AS leaf
  FROM filestore.journal_entries j

-- name: sums
-- A fragment: what is made of the leaves of entries.
SELECT count(*)::integer AS entries, coalesce(max(e.id), 0) AS last,
       sha256(coalesce(string_agg(int8send(e.id) || e.leaf, ''::bytea ORDER BY e.id), '')) AS root,
       coalesce(string_agg(int8send(e.id) || substring(e.leaf FOR 8), ''::bytea ORDER BY e.id), '') AS leaves

-- name: lock_head
-- The last seal, held still; no row: another process seals at this moment. `settled`: up to which entry none is missing.
SELECT h.number, h.hash, h.last_id AS last, h.moved_id AS moved, f.settled
  FROM filestore.audit_head h, filestore.event_feed f FOR UPDATE OF h SKIP LOCKED

-- name: head
-- The last seal as it is remembered, and what the journal has behind it.
SELECT h.number, h.hash, h.last_id AS last, h.moved_id AS moved,
       (SELECT count(*) FROM (SELECT FROM filestore.journal_entries j WHERE j.id > h.last_id LIMIT 100000) u) AS unsealed,
       (SELECT j.recorded_at FROM filestore.journal_entries j WHERE j.id > h.last_id ORDER BY j.id LIMIT 1) AS unsealed_since
  FROM filestore.audit_head h

-- name: behind
-- A fragment: the next entries that are to be sealed.
 WHERE j.id > %(after)s AND j.id <= %(settled)s ORDER BY j.id LIMIT %(limit)s

-- name: add
-- A seal behind the last one.
INSERT INTO filestore.audit_seals (number, format, after_id, last_id, entries, root, leaves, previous, hash, sealed_at)
VALUES (%(number)s, %(format)s, %(after)s, %(last)s, %(entries)s, %(root)s, %(leaves)s, %(previous)s, %(hash)s, %(sealed_at)s)

-- name: remember
-- It is the last one.
UPDATE filestore.audit_head SET number = %(number)s, hash = %(hash)s, last_id = %(last)s

-- name: seals
-- A page of seals.
SELECT s.number, s.format, s.after_id AS after, s.last_id AS last, s.entries, s.root, s.leaves, s.previous, s.hash, s.sealed_at
  FROM filestore.audit_seals s WHERE s.number > %(after)s ORDER BY s.number LIMIT %(limit)s

-- name: of_ranges
-- A fragment: the entries of seals, as they are now: those behind `after` up to `last`, for each number.
SELECT r.number, found.* FROM unnest(%(numbers)s::bigint[], %(after)s::bigint[], %(last)s::bigint[]) AS r(number, after, last)
 CROSS JOIN LATERAL (

-- name: in_range
-- A fragment: of one of them.
 WHERE j.id > r.after AND j.id <= r.last OFFSET 0) e) found

-- name: hashes
-- The hashes of these seals.
SELECT s.number, s.hash FROM filestore.audit_seals s WHERE s.number = ANY(%(numbers)s::bigint[])

-- name: hashes_behind
-- The seals that are to be copied to another place.
SELECT s.number, s.hash, s.last_id AS last, s.entries, s.previous, s.sealed_at
  FROM filestore.audit_seals s WHERE s.number > %(after)s ORDER BY s.number LIMIT %(limit)s

-- name: newest
-- The last seal that is there.
SELECT s.number, s.hash, s.last_id AS last, s.entries, s.previous, s.sealed_at
  FROM filestore.audit_seals s ORDER BY s.number DESC LIMIT 1
