-- Tenants: those that something is said about.

-- name: put
-- A new tenant. No row: there is, or was, one of this name.
INSERT INTO filestore.tenants AS t (name, display_name, suspended, requests_per_second)
VALUES (%(name)s, %(display_name)s, %(suspended)s, %(requests_per_second)s) ON CONFLICT (name) DO NOTHING RETURNING name

-- name: change
-- Change the columns that `changes` names, and no other.
UPDATE filestore.tenants t SET display_name = c.display_name, suspended = c.suspended,
       requests_per_second = c.requests_per_second, updated_at = now()
  FROM filestore.tenants o, jsonb_populate_record(o, %(changes)s::jsonb) c
 WHERE t.name = %(name)s AND o.name = t.name RETURNING t.name

-- name: list
-- The tenants by name, with what they have.
SELECT t.name, json_build_object(
    'id', t.name, 'displayName', t.display_name, 'state', CASE WHEN t.suspended IS NULL THEN 'active' ELSE 'suspended' END,
    'reads', coalesce(t.suspended, '') <> 'all', 'requestsPerSecond', t.requests_per_second,
    'createdAt', t.created_at, 'updatedAt', t.updated_at,
    'mounts', (SELECT count(*) FROM filestore.backend_mounts m WHERE m.tenant = t.name AND m.removed_at IS NULL),
    'tokens', (SELECT count(*) FROM filestore.tokens k WHERE k.tenant = t.name AND k.revoked_at IS NULL))::text AS document
  FROM filestore.tenants t
 WHERE t.removed_at IS NULL AND (%(only)s::text IS NULL OR t.name = %(only)s) AND (%(after)s::text IS NULL OR t.name > %(after)s)
 ORDER BY t.name LIMIT %(limit)s

-- name: lock
-- A tenant, held still until the transaction ends.
SELECT t.name FROM filestore.tenants t WHERE t.name = %(name)s AND t.removed_at IS NULL FOR UPDATE

-- name: was_removed
-- Whether there was a tenant of this name.
SELECT EXISTS (SELECT FROM filestore.tenants t WHERE t.name = %(name)s AND t.removed_at IS NOT NULL) AS was

-- name: belongings
-- What belongs to a tenant and would have no owner: of each kind so many, and at most a hundred are counted.
SELECT (SELECT count(*) FROM (SELECT FROM filestore.backend_mounts m
                               WHERE m.tenant = %(name)s AND m.removed_at IS NULL LIMIT 100) x) AS mounts,
       (SELECT count(*) FROM (SELECT FROM filestore.tokens k WHERE k.tenant = %(name)s AND k.revoked_at IS NULL
                                 AND (k.expires_at IS NULL OR k.expires_at > now()) LIMIT 100) x) AS tokens,
       (SELECT count(*) FROM (SELECT FROM filestore.projects p
                               WHERE p.tenant = %(name)s AND p.state <> 'deleted' LIMIT 100) x) AS projects,
       (SELECT count(*) FROM (SELECT FROM filestore.subscriptions s WHERE s.tenant = %(name)s LIMIT 100) x) AS webhooks,
       (SELECT count(*) FROM (SELECT FROM filestore.quotas q
                               WHERE q.tenant = %(name)s AND NOT q.operators LIMIT 100) x) AS quotas,
       (SELECT count(*) FROM (SELECT FROM filestore.approvals a
                               WHERE a.tenant = %(name)s AND a.ended_at IS NULL LIMIT 100) x) AS approvals

-- name: remove
-- A tenant that owns nothing is gone. A token that was made at that very moment is worth nothing.
UPDATE filestore.tenants SET removed_at = now(), suspended = 'all', updated_at = now() WHERE name = %(name)s

-- name: drop_quotas
-- What its operators have set for it.
DELETE FROM filestore.quotas WHERE tenant = %(name)s AND operators

-- name: export_mounts
-- The mounts of a tenant, those that were removed too, without their secrets.
SELECT m.id, json_build_object('type', 'mount', 'id', m.id, 'mountKey', m.mount_key, 'backendKind', m.backend_kind,
           'rootPath', m.root_path, 'bucket', m.bucket, 'prefix', m.prefix, 'config', m.config, 'accessMode', m.access_mode,
           'state', m.state, 'displayName', m.display_name, 'description', m.description, 'labels', m.labels,
           'createdAt', m.created_at, 'removedAt', m.removed_at)::text AS line
  FROM filestore.backend_mounts m WHERE m.tenant = %(tenant)s AND m.id > %(after)s ORDER BY m.id LIMIT %(limit)s

-- name: export_tokens
-- Its tokens and their grants. No token is told, nor its hash.
SELECT t.id, json_build_object('type', 'token', 'id', t.id, 'principal', t.principal, 'description', t.description,
           'scopes', t.scopes, 'grants', filestore.grants_of_v1(t.id), 'hint', t.hint, 'createdBy', t.created_by,
           'createdAt', t.created_at, 'expiresAt', t.expires_at, 'revokedAt', t.revoked_at)::text AS line
  FROM filestore.tokens t WHERE t.tenant = %(tenant)s AND t.id > %(after)s ORDER BY t.id LIMIT %(limit)s

-- name: export_holds
-- Its holds, those that ended too.
SELECT h.id, json_build_object('type', 'hold', 'id', h.id, 'backendMountId', h.mount_id,
           'path', encode(h.path, 'escape'), 'kind', h.kind, 'reason', h.reason, 'until', h.until, 'by', h.created_by,
           'createdAt', h.created_at, 'releasedBy', h.released_by, 'releasedAt', h.released_at)::text AS line
  FROM filestore.holds h WHERE h.tenant = %(tenant)s AND h.id > %(after)s ORDER BY h.id LIMIT %(limit)s

-- name: export_quotas
-- Its quotas, with what there is.
SELECT q.id, json_build_object('type', 'quota', 'id', q.id, 'backendMountId', q.mount_id, 'path', encode(q.path, 'escape'),
           'principal', q.principal, 'maxBytes', q.max_bytes, 'maxNodes', q.max_nodes, 'softBytes', q.soft_bytes,
           'softNodes', q.soft_nodes, 'trash', q.trash, 'usedBytes', u.bytes, 'usedNodes', u.nodes,
           'peakBytes', q.peak_bytes, 'peakNodes', q.peak_nodes)::text AS line
  FROM filestore.quotas q CROSS JOIN LATERAL filestore.quota_use_v1(q) u
 WHERE q.tenant = %(tenant)s AND q.id > %(after)s ORDER BY q.id LIMIT %(limit)s

-- name: export_nodes
-- Its nodes as clients read them, deleted ones too. A page goes through the ids, which all tenants share.
SELECT d.id, '{"type":"node",' || substring(d.document_text FROM 2) AS line
  FROM filestore.node_documents d WHERE d.tenant = %(tenant)s AND d.id > %(after)s ORDER BY d.id LIMIT %(limit)s

-- name: export_journal
-- What was done, with before and after.
SELECT j.id, json_build_object('type', 'entry', 'id', j.id, 'command', j.kind, 'commandId', j.command_id,
           'backendMountId', j.mount_id, 'nodeId', j.node_id, 'path', encode(j.path, 'escape'), 'principal', j.principal,
           'tokenId', j.token_id, 'outcome', j.outcome, 'code', j.code, 'before', j.before, 'after', j.after,
           'correlationId', j.correlation_id, 'recordedAt', j.recorded_at)::text AS line
  FROM filestore.journal_entries j WHERE j.tenant = %(tenant)s AND j.id > %(after)s ORDER BY j.id LIMIT %(limit)s
