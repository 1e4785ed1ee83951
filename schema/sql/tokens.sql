-- Bearer tokens. Only the SHA-256 of a token is stored; the token itself is shown once, to the client that made it.

-- name: find
-- The principal of this token, if it is valid now. Notes its use, at most once a minute.
WITH noted AS (
    UPDATE filestore.tokens SET last_used_at = now()
     WHERE hash = %(hash)s AND revoked_at IS NULL
       AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
)
SELECT id, tenant, principal, scopes FROM filestore.tokens
 WHERE hash = %(hash)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())

-- name: create
-- A new token.
INSERT INTO filestore.tokens (tenant, principal, hash, hint, scopes, expires_at)
VALUES (%(tenant)s, %(principal)s, %(hash)s, %(hint)s, %(scopes)s, %(expires_at)s)
RETURNING id

-- name: revoke
-- End a token. API processes hear of it within five seconds.
UPDATE filestore.tokens SET revoked_at = now() WHERE id = %(id)s AND tenant = %(tenant)s AND revoked_at IS NULL
RETURNING id

-- name: ensure_bootstrap
-- Make the token that the operator named valid, with every scope, whatever became of it since.
INSERT INTO filestore.tokens (principal, hash, hint, scopes) VALUES (%(principal)s, %(hash)s, %(hint)s, '{admin}')
ON CONFLICT (hash) DO UPDATE SET revoked_at = NULL, expires_at = NULL, scopes = '{admin}'
