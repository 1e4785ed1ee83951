-- Share links.

-- name: create
-- A link, without the key that signs it: that is bound to its id.
INSERT INTO filestore.links (tenant, token_id, principal, mount_id, path, kind, description, password, max_uses,
    requests_per_second, expires_at, project_id)
VALUES (%(tenant)s, %(token)s, %(principal)s, %(mount)s, %(path)s, %(kind)s, %(description)s, %(password)s, %(max_uses)s,
    %(rate)s, %(expires_at)s, %(project)s)
RETURNING id

-- name: keep_key
-- Its key, sealed.
UPDATE filestore.links SET key = %(key)s WHERE id = %(id)s

-- name: find
-- A link that holds, and what its maker may do now. No row: it is unknown, revoked, expired or used up, its maker's token does not
-- hold any more, or its mount or its project is gone.
SELECT l.id, l.tenant, l.token_id, l.mount_id, l.path, l.kind, l.key, l.password, l.max_uses, l.requests_per_second,
       l.expires_at, l.project_id, t.scopes, s.suspended, s.requests_per_second AS tenant_rate,
       t.version || coalesce('/' || s.suspended, '') AS state,
       filestore.grants_of_v1(t.id) AS grants
  FROM filestore.links l
  JOIN filestore.tokens t ON t.id = l.token_id AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())
  JOIN filestore.backend_mounts m ON m.id = l.mount_id AND m.removed_at IS NULL
  LEFT JOIN filestore.tenants s ON s.name = l.tenant
  LEFT JOIN filestore.projects p ON p.id = l.project_id
 WHERE l.id = %(id)s AND p.state IS DISTINCT FROM 'deleted' AND l.revoked_at IS NULL
   AND l.key <> '' AND (l.expires_at IS NULL OR l.expires_at > now())
   AND (l.max_uses IS NULL OR l.uses < l.max_uses)

-- name: use
-- Count a use. No row: it does not hold any more.
UPDATE filestore.links SET uses = uses + 1, last_used_at = now()
 WHERE id = %(id)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) AND (max_uses IS NULL OR uses < max_uses)
RETURNING uses

-- name: revoke
-- A link ends, at once and for good.
UPDATE filestore.links SET revoked_at = now() WHERE id = %(id)s AND tenant = %(tenant)s AND revoked_at IS NULL RETURNING id

-- name: list
-- A page of a tenant's links, the newest first. `only` is one of them.
SELECT l.id, l.tenant, l.mount_id, l.path, l.kind, l.key, l.max_uses, l.expires_at, l.project_id, l.principal, json_build_object(
    'project', (SELECT p.name FROM filestore.projects p WHERE p.id = l.project_id),
    'id', l.id, 'backendMountId', l.mount_id, 'kind', l.kind, 'description', l.description,
    'expiresAt', l.expires_at, 'maxUses', l.max_uses, 'uses', l.uses, 'hasPassword', l.password IS NOT NULL,
    'requestsPerSecond', l.requests_per_second, 'principal', l.principal, 'createdAt', l.created_at,
    'lastUsedAt', l.last_used_at, 'revokedAt', l.revoked_at)::text AS document
  FROM filestore.links l
 WHERE l.tenant = %(tenant)s AND (%(only)s::bigint IS NULL OR l.id = %(only)s)
   AND (%(mount)s::bigint IS NULL OR l.mount_id = %(mount)s) AND (%(before)s::bigint IS NULL OR l.id < %(before)s)
 ORDER BY l.id DESC LIMIT %(limit)s
