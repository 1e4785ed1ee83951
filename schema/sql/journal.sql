-- Reading what happened: journal entries, and how commands stand.

-- name: entries
-- A fragment: what clients may ask of the journal.
WITH found AS (
    SELECT j.* FROM filestore.journal_entries j
     WHERE j.tenant = %(tenant)s
       AND (%(mount)s::bigint IS NULL OR j.mount_id = %(mount)s)
       AND (%(path)s::bytea IS NULL OR j.path = %(path)s)
       AND (%(node)s::bigint IS NULL OR j.node_id = %(node)s)
       AND (%(principal)s::text IS NULL OR j.principal = %(principal)s)
       AND (%(kinds)s::text[] IS NULL OR j.kind = ANY(%(kinds)s))
       AND (%(outcomes)s::text[] IS NULL OR j.outcome::text = ANY(%(outcomes)s))
       AND (%(command)s::uuid IS NULL OR j.command_id = %(command)s)

-- name: oldest_first
-- A fragment: the page after an entry, going forward.
       AND (%(after)s::bigint IS NULL OR j.id > %(after)s)
     ORDER BY j.id LIMIT %(limit)s

-- name: newest_first
-- A fragment: the page after an entry, going back in time.
       AND (%(after)s::bigint IS NULL OR j.id < %(after)s)
     ORDER BY j.id DESC LIMIT %(limit)s

-- name: page
-- A fragment: the page as JSON text, one row an entry.
)
SELECT j.id, json_build_object(
    'id', j.id, 'commandId', j.command_id, 'command', j.kind, 'backendMountId', j.mount_id, 'nodeId', j.node_id,
    'path', j.payload->'path', 'pathB64', j.payload->'path_b64', 'principal', j.principal, 'outcome', j.outcome, 'code', j.code,
    'retryable', j.retryable, 'context', j.context, 'before', j.before, 'after', j.after, 'key', j.key,
    'requestId', j.request_id, 'traceId', j.trace_id, 'attempt', j.attempt, 'startedAt', j.started_at,
    'recordedAt', j.recorded_at, 'durationMs', round(extract(epoch FROM j.recorded_at - j.started_at) * 1000, 1),
    'workflowId', j.workflow_id, 'executor', j.executor, 'operationId', j.operation_id, 'reverses', j.reverses)::text AS document
  FROM found j

-- name: command
-- How a command stands.
SELECT c.principal, c.status::text, json_build_object(
    'id', c.id, 'href', '/v1/commands/' || c.id, 'command', c.kind, 'status', c.status,
    'path', c.request->'path', 'pathB64', c.request->'path_b64',
    'targetPath', c.request->'target', 'targetPathB64', c.request->'target_b64', 'backendMountId', c.mount_id, 'code', c.code, 'retryable', c.retryable, 'outcome', c.outcome, 'attempt', c.attempt,
    'createdAt', c.created_at, 'startedAt', c.started_at, 'endedAt', c.ended_at)::text AS document
  FROM filestore.commands c WHERE c.id = %(id)s::uuid AND c.tenant = %(tenant)s
