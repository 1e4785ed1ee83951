-- Tenants: those that something is said about.

-- name: put
-- A tenant as it is from now on. `made`: it was not known before.
INSERT INTO filestore.tenants AS t (name, display_name, suspended) VALUES (%(name)s, %(display_name)s, %(suspended)s)
ON CONFLICT (name) DO NOTHING RETURNING name

-- name: change
-- Change the columns that `changes` names, and no other.
UPDATE filestore.tenants t SET display_name = c.display_name, suspended = c.suspended, updated_at = now()
  FROM filestore.tenants o, jsonb_populate_record(o, %(changes)s::jsonb) c
 WHERE t.name = %(name)s AND o.name = t.name RETURNING t.name

-- name: list
-- The tenants by name, with what they have.
SELECT t.name, json_build_object(
    'id', t.name, 'displayName', t.display_name, 'state', CASE WHEN t.suspended IS NULL THEN 'active' ELSE 'suspended' END,
    'reads', coalesce(t.suspended, '') <> 'all', 'createdAt', t.created_at, 'updatedAt', t.updated_at,
    'mounts', (SELECT count(*) FROM filestore.backend_mounts m WHERE m.tenant = t.name AND m.removed_at IS NULL),
    'tokens', (SELECT count(*) FROM filestore.tokens k WHERE k.tenant = t.name AND k.revoked_at IS NULL))::text AS document
  FROM filestore.tenants t
 WHERE (%(only)s::text IS NULL OR t.name = %(only)s) AND (%(after)s::text IS NULL OR t.name > %(after)s)
 ORDER BY t.name LIMIT %(limit)s
