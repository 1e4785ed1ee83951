-- Approvals: asked for, answered, carried out, over.

-- name: ask
-- It is asked for. No row: the same was asked for before and waits.
INSERT INTO filestore.approvals (tenant, act, subject, version, mount_id, path, shown, request, reason, requester, token_id,
    approvers, needed, expires_at, remind_seconds)
VALUES (%(tenant)s, %(act)s, %(subject)s, %(version)s, %(mount)s, %(path)s, %(shown)s, %(request)s, %(reason)s, %(requester)s,
    %(token)s, %(approvers)s, %(needed)s, now() + make_interval(secs => %(expires)s), %(remind)s)
ON CONFLICT (tenant, requester, act, subject, version) WHERE ended_at IS NULL DO NOTHING RETURNING id

-- name: open
-- What the same requester has asked for already, held still. One whose time is over does not count.
SELECT a.id, a.state FROM filestore.approvals a
 WHERE a.tenant = %(tenant)s AND a.requester = %(requester)s AND a.act = %(act)s AND a.subject = %(subject)s
   AND a.version = %(version)s AND a.ended_at IS NULL AND a.expires_at > now() FOR UPDATE

-- name: lock
-- One of them, held still, with those that have said yes.
SELECT a.id, a.tenant, a.act, a.subject, a.version, a.mount_id, a.path, a.request, a.requester, a.token_id, a.approvers, a.needed,
       a.state, a.code, a.expires_at <= now() AS over,
       ARRAY(SELECT v.principal FROM filestore.approval_votes v WHERE v.approval_id = a.id AND v.yes) AS yes
  FROM filestore.approvals a WHERE a.id = %(id)s AND a.tenant = %(tenant)s FOR UPDATE

-- name: tenant
-- Whose one is.
SELECT a.tenant FROM filestore.approvals a WHERE a.id = %(id)s

-- name: agreed
-- Those that are agreed to and not done. One whose requester's token does not hold any more waits for that person.
SELECT a.id FROM filestore.approvals a
  JOIN filestore.tokens k ON k.id = a.token_id
 WHERE a.ended_at IS NULL AND a.state = 'approved' AND a.expires_at > now()
   AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
 ORDER BY a.id LIMIT 1000

-- name: made_by
-- Who made a token.
SELECT k.created_by FROM filestore.tokens k WHERE k.id = %(token)s

-- name: vote
-- Somebody has said yes or no. The last word of each counts.
INSERT INTO filestore.approval_votes AS v (approval_id, principal, token_id, yes, reason)
VALUES (%(id)s, %(principal)s, %(token)s, %(yes)s, %(reason)s)
ON CONFLICT (approval_id, principal) DO UPDATE
   SET yes = excluded.yes, reason = excluded.reason, token_id = excluded.token_id, voted_at = now()

-- name: become
-- It stands otherwise.
UPDATE filestore.approvals a
   SET state = %(state)s, code = %(code)s, ended_at = CASE WHEN %(state)s NOT IN ('waiting', 'approved') THEN now() END
 WHERE a.id = %(id)s AND a.ended_at IS NULL

-- name: expire
-- Its time is over, and nothing was done.
UPDATE filestore.approvals a SET state = 'expired', ended_at = now()
 WHERE a.id = %(id)s AND a.ended_at IS NULL AND a.expires_at <= now()

-- name: remind
-- It waits for long: for a yes, or, agreed to, for being done.
UPDATE filestore.approvals a SET reminded_at = now()
 WHERE a.id = %(id)s AND a.ended_at IS NULL AND a.expires_at > now()
   AND coalesce(a.reminded_at, a.created_at) + make_interval(secs => a.remind_seconds) <= now()

-- name: moment
-- How one stands, and in how many seconds the time does something to it.
SELECT a.state, a.ended_at IS NOT NULL AS over,
       extract(epoch FROM least(a.expires_at, coalesce(a.reminded_at, a.created_at) + make_interval(secs => a.remind_seconds))
               - now())::double precision AS seconds
  FROM filestore.approvals a WHERE a.id = %(id)s

-- name: overdue
-- Those that the time should have done something to so many seconds ago.
SELECT a.id FROM filestore.approvals a
 WHERE a.ended_at IS NULL
   AND least(a.expires_at, coalesce(a.reminded_at, a.created_at) + make_interval(secs => a.remind_seconds))
       <= now() - make_interval(secs => %(seconds)s)
 ORDER BY a.id LIMIT 1000

-- name: tell
-- An event of one. One about no mount stands under a mount of its tenant; a tenant without mounts has no feed.
INSERT INTO filestore.outbox (tenant, mount_id, type, data)
SELECT a.tenant, m.id, %(type)s, jsonb_build_object('approvalId', a.id, 'act', a.act, 'state', a.state, 'backendMountId', m.id,
       'path', %(shown)s::text, 'principal', a.requester, 'reason', a.reason, 'approvers', to_jsonb(a.approvers),
       'needed', a.needed, 'expiresAt', a.expires_at, 'observedAt', now())
  FROM filestore.approvals a
 CROSS JOIN LATERAL (SELECT k.id FROM filestore.backend_mounts k
                      WHERE k.id = a.mount_id OR a.mount_id IS NULL AND k.tenant = a.tenant AND k.removed_at IS NULL
                      ORDER BY k.id LIMIT 1) m
 WHERE a.id = %(id)s

-- name: list
-- A page of them, the newest first. `only` is one of them.
SELECT a.*, (SELECT coalesce(jsonb_agg(jsonb_build_object('by', v.principal, 'yes', v.yes, 'reason', v.reason, 'at', v.voted_at)
               ORDER BY v.voted_at), '[]') FROM filestore.approval_votes v WHERE v.approval_id = a.id) AS votes
  FROM filestore.approvals a
 WHERE a.tenant = %(tenant)s AND (%(only)s::bigint IS NULL OR a.id = %(only)s) AND (%(before)s::bigint IS NULL OR a.id < %(before)s)
   AND (%(state)s::text IS NULL OR a.state = %(state)s)
 ORDER BY a.id DESC LIMIT %(limit)s
