-- Changes of what records say: each is an entry of the journal, as each change of a node is, and an event.
-- LATERAL with OFFSET 0: see trees.sql.

-- name: tell
-- An entry and an event for each of these records, which were changed in this transaction: what they said before is in their
-- history.
WITH changed AS MATERIALIZED (
    SELECT x.command, x.item, r.tenant, n.id AS node, n.mount_id, n.path,
           CASE WHEN r.removed THEN 'forgetRecord' ELSE 'describeRecord' END AS name, h.said AS before,
           jsonb_build_object('namespace', r.namespace, 'tags', r.tags, 'owner', r.owner, 'metadata', r.metadata,
               'version', r.version, 'deletedAt', r.deleted_at) AS after,
           jsonb_strip_nulls(jsonb_build_object('path', n.path_text, 'path_b64', filestore.path_b64_v1(n.path, n.path_text)))
               AS payload
      FROM jsonb_to_recordset(%(records)s::jsonb) AS x(node bigint, command uuid, item integer)
     CROSS JOIN LATERAL (SELECT k.* FROM filestore.metastore_records k WHERE k.node_id = x.node OFFSET 0) r
     CROSS JOIN LATERAL (
         SELECT jsonb_build_object('namespace', k.namespace, 'tags', k.tags, 'owner', k.owner, 'metadata', k.metadata,
                    'version', k.version, 'deletedAt', k.deleted_at) AS said
           FROM filestore.metastore_history k WHERE k.node_id = x.node AND k.version = r.version - 1 OFFSET 0) h
     CROSS JOIN LATERAL (SELECT k.id, k.mount_id, k.path, k.path_text FROM filestore.node_documents k
                          WHERE k.id = x.node OFFSET 0) n
), entry AS (
    INSERT INTO filestore.journal_entries (tenant, command_id, attempt, kind, mount_id, node_id, path, principal, token_id, key,
        executor, outcome, payload, before, after, operation_id, item, request_id, correlation_id, started_at)
    SELECT c.tenant, c.command, 1, c.name, c.mount_id, c.node, c.path, %(principal)s, %(token)s, c.command::text, 'record',
           'succeeded', c.payload, c.before, c.after, %(operation)s::uuid, c.item, %(request)s, %(correlation)s, now()
      FROM changed c
    RETURNING id, command_id
)
INSERT INTO filestore.outbox (tenant, mount_id, type, data)
SELECT c.tenant, c.mount_id, 'filestore.record.updated', jsonb_build_object('backendMountId', c.mount_id, 'nodeId', c.node,
           'path', c.payload->'path', 'record', c.after, 'previous', c.before, 'journalId', e.id,
           'command', c.name, 'commandId', c.command, 'idempotencyKey', c.command::text, 'principal', %(principal)s::text,
           'observedAt', now())
       || jsonb_strip_nulls(jsonb_build_object('pathB64', c.payload->'path_b64', 'operationId', %(operation)s::uuid,
           'correlationId', %(correlation)s::text))
  FROM changed c JOIN entry e ON e.command_id = c.command
