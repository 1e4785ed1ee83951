-- Reading what happened: journal entries, and how commands stand.

-- name: entries
-- A fragment: entries by their own path and node. `low` and `high` bound what lies below `prefix`. Of paths the first 1000 bytes
-- are in an index, because a whole one can be too long for it.
WITH found AS (
    SELECT j.* FROM filestore.journal_entries j
     WHERE true
       AND (%(mount)s::bigint IS NULL OR j.mount_id = %(mount)s)
       AND (%(path)s::bytea IS NULL
            OR j.path = %(path)s AND substring(j.path FROM 1 FOR 1000) = substring(%(path)s::bytea FROM 1 FOR 1000))
       AND (%(prefix)s::bytea IS NULL
            OR (j.path = %(prefix)s OR j.path >= %(low)s AND j.path < %(high)s)
               AND substring(j.path FROM 1 FOR 1000) >= substring(%(prefix)s::bytea FROM 1 FOR 1000)
               AND substring(j.path FROM 1 FOR 1000) <= substring(%(high)s::bytea FROM 1 FOR 1000))
       AND (%(node)s::bigint IS NULL OR j.node_id = %(node)s)

-- name: conditions
-- A fragment: what else may be asked of an entry, wherever it was found.
       AND j.tenant = %(tenant)s
       AND (%(principal)s::text IS NULL OR j.principal = %(principal)s)
       AND (%(kinds)s::text[] IS NULL OR j.kind = ANY(%(kinds)s))
       AND (%(outcomes)s::filestore.command_status[] IS NULL OR j.outcome = ANY(%(outcomes)s::filestore.command_status[]))
       AND (%(codes)s::text[] IS NULL OR j.code = ANY(%(codes)s) AND j.outcome <> 'succeeded')
       AND (%(command)s::uuid IS NULL OR j.command_id = %(command)s)
       AND (%(operation)s::uuid IS NULL OR j.operation_id = %(operation)s)
       AND (%(atomic)s::uuid IS NULL OR j.atomic_id = %(atomic)s)
       AND (%(correlation)s::text IS NULL OR j.correlation_id = %(correlation)s)
       AND (%(since)s::timestamptz IS NULL OR j.recorded_at >= %(since)s)
       AND (%(until)s::timestamptz IS NULL OR j.recorded_at < %(until)s)
       AND (%(after)s::bigint IS NULL OR j.id > %(after)s)
       AND (%(before)s::bigint IS NULL OR j.id < %(before)s)

-- name: settled
-- Up to which id no entry is missing.
SELECT f.settled FROM filestore.event_feed f

-- name: by_place
-- A fragment: entries about names, each a beginning of `place` (its `lengths` say which). `whole`: only those of commands that
-- took all below the name along.
SELECT b.id FROM unnest(%(mounts)s::bigint[]) AS m(id) CROSS JOIN unnest(%(lengths)s::integer[]) AS l(length)
 CROSS JOIN LATERAL (SELECT substring(%(place)s::bytea FROM 1 FOR l.length) AS path OFFSET 0) p
 CROSS JOIN LATERAL (
    SELECT j.id FROM filestore.journal_entries j
     WHERE j.mount_id = m.id AND j.path = p.path AND substring(j.path FROM 1 FOR 1000) = substring(p.path FROM 1 FOR 1000)
       AND (NOT %(whole)s OR j.also ? 'tree')

-- name: by_target
-- A fragment: the same, of commands that brought something to these names.
SELECT b.id FROM unnest(%(mounts)s::bigint[]) AS m(id) CROSS JOIN unnest(%(lengths)s::integer[]) AS l(length)
 CROSS JOIN LATERAL (SELECT substring(%(place)s::bytea FROM 1 FOR l.length) AS path OFFSET 0) p
 CROSS JOIN LATERAL (
    SELECT j.id FROM filestore.journal_entries j
     WHERE j.mount_id = m.id AND j.payload->>'target' IS NOT NULL AND filestore.target_v1(j.payload) = p.path
       AND substring(filestore.target_v1(j.payload) FROM 1 FOR 1000) = substring(p.path FROM 1 FOR 1000)
       AND (NOT %(whole)s OR j.also ? 'tree')

-- name: by_departure
-- A fragment: the same, of commands that took something from these names to another mount: they are recorded where it came to.
SELECT b.id FROM unnest(%(mounts)s::bigint[]) AS m(id) CROSS JOIN unnest(%(lengths)s::integer[]) AS l(length)
 CROSS JOIN LATERAL (SELECT substring(%(place)s::bytea FROM 1 FOR l.length) AS path OFFSET 0) p
 CROSS JOIN LATERAL (
    SELECT j.id FROM filestore.journal_entries j
     WHERE j.payload->>'mount_id' = m.id::text AND j.payload->>'target_mount_id' IS NOT NULL
       AND filestore.source_v1(j.payload) = p.path
       AND substring(filestore.source_v1(j.payload) FROM 1 FOR 1000) = substring(p.path FROM 1 FOR 1000)
       AND (NOT %(whole)s OR j.also ? 'tree')

-- name: below_place
-- A fragment: entries about the prefix and all below it.
SELECT b.id FROM unnest(%(mounts)s::bigint[]) AS m(id)
 CROSS JOIN LATERAL (
    SELECT j.id FROM filestore.journal_entries j
     WHERE j.mount_id = m.id AND (j.path = %(prefix)s OR j.path >= %(low)s AND j.path < %(high)s)
       AND substring(j.path FROM 1 FOR 1000) >= substring(%(prefix)s::bytea FROM 1 FOR 1000)
       AND substring(j.path FROM 1 FOR 1000) <= substring(%(high)s::bytea FROM 1 FOR 1000)

-- name: below_target
-- A fragment: the same, of commands that brought something there.
SELECT b.id FROM unnest(%(mounts)s::bigint[]) AS m(id)
 CROSS JOIN LATERAL (
    SELECT j.id FROM filestore.journal_entries j
     WHERE j.mount_id = m.id AND j.payload->>'target' IS NOT NULL
       AND (filestore.target_v1(j.payload) = %(prefix)s
            OR filestore.target_v1(j.payload) >= %(low)s AND filestore.target_v1(j.payload) < %(high)s)
       AND substring(filestore.target_v1(j.payload) FROM 1 FOR 1000) >= substring(%(prefix)s::bytea FROM 1 FOR 1000)
       AND substring(filestore.target_v1(j.payload) FROM 1 FOR 1000) <= substring(%(high)s::bytea FROM 1 FOR 1000)

-- name: below_departure
-- A fragment: the same, of commands that took something from there to another mount.
SELECT b.id FROM unnest(%(mounts)s::bigint[]) AS m(id)
 CROSS JOIN LATERAL (
    SELECT j.id FROM filestore.journal_entries j
     WHERE j.payload->>'mount_id' = m.id::text AND j.payload->>'target_mount_id' IS NOT NULL
       AND (filestore.source_v1(j.payload) = %(prefix)s
            OR filestore.source_v1(j.payload) >= %(low)s AND filestore.source_v1(j.payload) < %(high)s)
       AND substring(filestore.source_v1(j.payload) FROM 1 FOR 1000) >= substring(%(prefix)s::bytea FROM 1 FOR 1000)
       AND substring(filestore.source_v1(j.payload) FROM 1 FOR 1000) <= substring(%(high)s::bytea FROM 1 FOR 1000)

-- name: of_nodes
-- A fragment: the entries of these nodes, under whatever name.
SELECT b.id FROM unnest(%(nodes)s::bigint[]) AS n(id)
 CROSS JOIN LATERAL (
    SELECT j.id FROM filestore.journal_entries j
     WHERE j.node_id = n.id AND (%(mount)s::bigint IS NULL OR j.mount_id = %(mount)s)

-- name: of_carriers
-- A fragment: the moves of directories while they had these nodes below them.
SELECT b.id
  FROM unnest(%(carriers)s::bigint[], %(borne_since)s::timestamptz[], %(borne_until)s::timestamptz[]) AS c(id, since, until)
 CROSS JOIN LATERAL (
    SELECT j.id FROM filestore.journal_entries j
     WHERE j.node_id = c.id AND j.kind = 'moveNode' AND j.outcome = 'succeeded'
       AND j.recorded_at >= c.since AND j.recorded_at <= c.until

-- name: of_commands
-- A fragment: the commands with which these nodes came and went, of whatever node they are.
SELECT b.id FROM unnest(%(commands)s::uuid[]) AS c(id)
 CROSS JOIN LATERAL (
    SELECT j.id FROM filestore.journal_entries j
     WHERE j.command_id = c.id AND NOT j.retryable

-- name: picked
-- A fragment: of all these the first that are wanted, each once.
), found AS (
    SELECT e.* FROM (
        SELECT j.id FROM picked j WHERE true

-- name: whole_entries
-- A fragment: and what stands in them.
    ) p CROSS JOIN LATERAL (SELECT k.* FROM filestore.journal_entries k WHERE k.id = p.id OFFSET 0) e

-- name: oldest_first
-- A fragment: a page for a client that follows. Ids are drawn before commits: up to the settled one none is missing.
       AND j.id <= (SELECT f.settled FROM filestore.event_feed f)
     ORDER BY j.id LIMIT %(limit)s + 1

-- name: newest_first
-- A fragment: a page for a client that browses, from the newest entry there is.
     ORDER BY j.id DESC LIMIT %(limit)s + 1

-- name: page
-- A fragment: the page as JSON text, one row an entry.
)
SELECT j.id, json_build_object(
    'id', j.id, 'commandId', j.command_id, 'command', j.kind, 'backendMountId', j.mount_id, 'nodeId', j.node_id,
    'path', j.payload->'path', 'targetPath', j.payload->'target', 'targetBackendMountId', j.payload->'target_mount_id',
    'principal', j.principal, 'outcome', j.outcome, 'code', j.code,
    'retryable', j.retryable, 'context', j.context, 'key', j.key,
    'requestId', j.request_id, 'traceId', j.trace_id, 'correlationId', j.correlation_id, 'attempt', j.attempt,
    'startedAt', j.started_at, 'recordedAt', j.recorded_at,
    'durationMs', round(extract(epoch FROM j.recorded_at - j.started_at) * 1000, 1),
    'workflowId', j.workflow_id, 'executor', j.executor, 'operationId', j.operation_id,
    'atomicId', j.atomic_id, 'reverses', j.reverses)::text AS document,
    filestore.exact_v1(j.payload)::text AS exact, j.before::text AS before, j.after::text AS after,
    j.executor = 'record' AND j.node_id IS NULL AS act, j.mount_id, j.path AS place, filestore.source_v1(j.payload) AS source,
    filestore.target_v1(j.payload) AS target, (j.payload->>'mount_id')::bigint AS source_mount
  FROM found j

-- name: command
-- How a command stands.
SELECT c.principal, c.status::text, json_build_object(
    'id', c.id, 'href', '/v1/commands/' || c.id, 'command', c.kind, 'status', c.status,
    'path', c.request->'path', 'targetPath', c.request->'target', 'backendMountId', c.mount_id,
    'code', c.code, 'retryable', c.retryable, 'outcome', c.outcome, 'attempt', c.attempt,
    'createdAt', c.created_at, 'startedAt', c.started_at, 'endedAt', c.ended_at)::text AS document,
    filestore.exact_v1(c.request)::text AS exact
  FROM filestore.commands c WHERE c.id = %(id)s::uuid AND c.tenant = %(tenant)s
