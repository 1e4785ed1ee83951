-- Bearer tokens. Only the SHA-256 of a token is stored; the token itself is shown once, to the client that made it.

-- name: find
-- What the bearer of this token may do, if it is valid now: the token itself, or the one before its rotation while that holds.
-- `state` changes with whatever it may do; grants come only where the asker does not know this state.
WITH token AS (
    SELECT t.* FROM filestore.tokens t WHERE t.hash = %(hash)s
     UNION ALL
    SELECT t.* FROM filestore.tokens t WHERE t.previous_hash = %(hash)s AND t.previous_until > now()
), stated AS (
    SELECT t.*, s.suspended, s.requests_per_second AS tenant_rate,
           t.version || coalesce('/' || s.suspended, '') || coalesce(' ' || s.requests_per_second, '') AS state
      FROM token t LEFT JOIN filestore.tenants s ON s.name = t.tenant
)
SELECT t.id, t.tenant, t.principal, t.scopes, t.requests_per_second, t.uploads_max, t.suspended, t.tenant_rate, t.state,
       CASE t.hash WHEN %(hash)s THEN t.hash ELSE t.previous_hash END AS hash,
       CASE WHEN t.state IS DISTINCT FROM %(known)s::text THEN filestore.grants_of_v1(t.id) END AS grants
  FROM stated t WHERE t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())

-- name: standing
-- How the tokens of commands stand that want to begin. Not valid: revoked, expired, or never there.
SELECT i.id, t.id IS NOT NULL AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now()) AS valid,
       t.version || coalesce('/' || s.suspended, '') AS state
  FROM unnest(%(ids)s::bigint[]) AS i(id)
  LEFT JOIN LATERAL (SELECT k.* FROM filestore.tokens k WHERE k.id = i.id OFFSET 0) t ON true
  LEFT JOIN LATERAL (SELECT k.suspended FROM filestore.tenants k WHERE k.name = t.tenant OFFSET 0) s ON true

-- name: load
-- What a token may do.
SELECT t.scopes, s.suspended, filestore.grants_of_v1(t.id) AS grants
  FROM filestore.tokens t LEFT JOIN filestore.tenants s ON s.name = t.tenant WHERE t.id = %(id)s

-- name: note_use
-- When these were last used.
UPDATE filestore.tokens SET last_used_at = now() WHERE id = ANY(%(ids)s::bigint[])

-- name: create
-- A new token.
INSERT INTO filestore.tokens (tenant, principal, hash, hint, scopes, expires_at, description, requests_per_second, uploads_max,
    created_by)
VALUES (%(tenant)s, %(principal)s, %(hash)s, %(hint)s, %(scopes)s, %(expires_at)s, %(description)s, %(requests_per_second)s,
    %(uploads_max)s, %(created_by)s)
RETURNING id

-- name: keep_issued
-- The row that stands for tokens of another issuer with the same rights: it holds as long as the last of them. No row: it is there.
INSERT INTO filestore.tokens AS t (tenant, principal, hash, hint, scopes, expires_at, description, created_by)
VALUES (%(tenant)s, %(principal)s, %(hash)s, 'oidc', %(scopes)s, to_timestamp(%(until)s), %(description)s, 'oidc')
ON CONFLICT (hash) DO UPDATE SET expires_at = greatest(t.expires_at, EXCLUDED.expires_at)
RETURNING t.id, xmax = 0 AS made

-- name: grant
-- The grants of a token. None: of the mounts that they name, one is not there.
INSERT INTO filestore.grants (token_id, mount_id, pattern, effect, scopes)
SELECT %(id)s, g.mount, g.pattern, g.effect, g.scopes
  FROM jsonb_to_recordset(%(grants)s::jsonb) AS g(mount bigint, pattern text, effect text, scopes text[])

-- name: withdraw
-- A token loses its grants, because it gets others.
DELETE FROM filestore.grants WHERE token_id = %(id)s

-- name: strange_mounts
-- Which of these mounts are not the tenant's.
SELECT i.id FROM unnest(%(mounts)s::bigint[]) AS i(id)
 WHERE NOT EXISTS (SELECT FROM filestore.backend_mounts m
                    WHERE m.id = i.id AND m.tenant = %(tenant)s AND m.removed_at IS NULL)

-- name: lock
-- A token, held still until the transaction ends.
SELECT t.id, t.tenant, t.principal, t.scopes, t.revoked_at, filestore.grants_of_v1(t.id) AS grants
  FROM filestore.tokens t WHERE t.id = %(id)s AND t.tenant = %(tenant)s FOR UPDATE

-- name: change
-- Change the columns that `changes` names, and no other. Every process asks again: the version is another one.
UPDATE filestore.tokens t SET
    description = c.description, scopes = c.scopes, expires_at = c.expires_at, requests_per_second = c.requests_per_second,
    uploads_max = c.uploads_max, version = t.version + 1
  FROM filestore.tokens o, jsonb_populate_record(o, %(changes)s::jsonb) c
 WHERE t.id = %(id)s AND o.id = t.id

-- name: rotate
-- A token gets another secret. The one it had holds until then; the one before that does not hold any more.
UPDATE filestore.tokens SET hash = %(hash)s, hint = %(hint)s, version = version + 1,
       previous_hash = CASE WHEN %(seconds)s > 0 THEN hash END,
       previous_until = CASE WHEN %(seconds)s > 0 THEN now() + make_interval(secs => %(seconds)s) END
 WHERE id = %(id)s AND revoked_at IS NULL RETURNING id

-- name: renew
-- Another secret in the place of one that nobody heard. What holds besides goes on. No row: it has another secret since, or is
-- revoked.
UPDATE filestore.tokens SET hash = %(hash)s, hint = %(hint)s, version = version + 1
 WHERE id = %(id)s AND hint = %(lost)s AND revoked_at IS NULL RETURNING id

-- name: revoke
-- End a token, and what it was before its rotation. API processes hear of it within a second.
UPDATE filestore.tokens SET revoked_at = now(), previous_hash = NULL, previous_until = NULL, version = version + 1
 WHERE id = %(id)s AND tenant = %(tenant)s AND revoked_at IS NULL
RETURNING id

-- name: list
-- A page of a tenant's tokens, the newest first. `only` is one of them.
SELECT t.id, json_build_object(
    'id', t.id, 'tenant', t.tenant, 'principal', t.principal, 'description', t.description, 'scopes', t.scopes,
    'grants', filestore.grants_of_v1(t.id), 'hint', t.hint, 'requestsPerSecond', t.requests_per_second,
    'uploadsMax', t.uploads_max, 'createdBy', t.created_by, 'createdAt', t.created_at, 'expiresAt', t.expires_at,
    'lastUsedAt', t.last_used_at, 'revokedAt', t.revoked_at, 'previousUntil', t.previous_until)::text AS document
  FROM filestore.tokens t
 WHERE t.tenant = %(tenant)s AND (%(only)s::bigint IS NULL OR t.id = %(only)s)
   AND (%(before)s::bigint IS NULL OR t.id < %(before)s)
   AND (%(principal)s::text IS NULL OR t.principal = %(principal)s)
   AND (%(revoked)s OR t.revoked_at IS NULL)
 ORDER BY t.id DESC LIMIT %(limit)s

-- name: ensure_bootstrap
-- Make the token that the operator named valid, with every scope, whatever became of it since.
INSERT INTO filestore.tokens AS t (principal, hash, hint, scopes, created_by, description)
VALUES (%(principal)s, %(hash)s, %(hint)s, '{admin}', 'operator', 'named by FILESTORE_BOOTSTRAP_TOKEN')
ON CONFLICT (hash) DO UPDATE SET revoked_at = NULL, expires_at = NULL, scopes = '{admin}',
       version = CASE WHEN t.revoked_at IS NULL AND t.expires_at IS NULL AND t.scopes = '{admin}' THEN t.version
                      ELSE t.version + 1 END
RETURNING id
