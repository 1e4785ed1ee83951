-- Administrative acts in the journal, beside the commands.

-- name: record
-- One act. It is written with the change that it tells of, in one transaction.
INSERT INTO filestore.journal_entries (tenant, command_id, attempt, kind, mount_id, path, principal, token_id, key, executor,
    outcome, payload, before, after, request_id, correlation_id, started_at)
VALUES (%(tenant)s, %(id)s::text::uuid, 1, %(kind)s, %(mount)s, '', %(principal)s, %(token)s, %(id)s::text, 'record',
    'succeeded', %(payload)s, %(before)s, %(after)s, %(request_id)s, %(correlation_id)s, now())
