-- What is done to projects, as the journal has it, on its way into the audit stream of the hot store.

-- name: take
-- Up to which entry of the journal they are there. One process at a time holds it. No row: another one does.
SELECT f.audited FROM filestore.project_feed f FOR UPDATE SKIP LOCKED

-- name: told
-- The same, for a look.
SELECT f.audited FROM filestore.project_feed f

-- name: settled
-- Up to which entry of the journal none is missing.
SELECT f.settled FROM filestore.event_feed f

-- name: page
-- The next entries about projects, up to the settled one: behind that another may still come between them.
SELECT j.id, j.tenant, j.kind, j.principal, j.payload, j.request_id, j.recorded_at FROM filestore.journal_entries j
 WHERE j.id > %(after)s AND j.id <= %(settled)s
   AND filestore.is_project_act_v1(j.kind) ORDER BY j.id LIMIT %(limit)s

-- name: of_tenant
-- The same of one tenant, of a part of the journal.
SELECT j.id, j.tenant, j.kind, j.principal, j.payload, j.request_id, j.recorded_at FROM filestore.journal_entries j
 WHERE j.id > %(after)s AND j.id <= %(last)s AND j.tenant = %(tenant)s
   AND filestore.is_project_act_v1(j.kind) ORDER BY j.id LIMIT %(limit)s

-- name: move
-- They are there up to this entry.
UPDATE filestore.project_feed SET audited = %(entry)s
