-- Mounts: where files lie. Secrets are in a table of their own; only executors are given them.

-- name: find
-- What executors and commands need to know about one mount.
SELECT id, tenant, mount_key, mount_uuid::text, backend_kind, root_path, bucket, prefix, access_mode, state, host_id, epoch,
       config, (SELECT coalesce(json_object_agg(s.name, s.value), '{}')
                  FROM filestore.mount_secrets s WHERE s.mount_id = m.id) AS secrets,
       (SELECT z.facts FROM filestore.freeze_of_v1(m.tenant, m.id) z) AS freeze
  FROM filestore.backend_mounts m WHERE id = %(id)s AND tenant = %(tenant)s AND removed_at IS NULL

-- name: all
-- Every mount of every tenant, for the processes that serve them.
SELECT id, tenant, mount_key, mount_uuid::text, backend_kind, root_path, bucket, prefix, access_mode, state, host_id, epoch,
       config, (SELECT coalesce(json_object_agg(s.name, s.value), '{}')
                  FROM filestore.mount_secrets s WHERE s.mount_id = m.id) AS secrets
  FROM filestore.backend_mounts m WHERE removed_at IS NULL ORDER BY id

-- name: others
-- The mounts that this one must not meet: all that are finished, of any tenant, and those whose registration began before its own.
SELECT id, tenant, mount_key, mount_uuid::text, backend_kind, root_path, bucket, prefix, access_mode, state, host_id, epoch,
       config, (SELECT coalesce(json_object_agg(s.name, s.value), '{}')
                  FROM filestore.mount_secrets s WHERE s.mount_id = m.id) AS secrets
  FROM filestore.backend_mounts m
 WHERE m.id <> %(id)s AND m.removed_at IS NULL
   AND (m.id < %(id)s OR EXISTS (SELECT FROM filestore.nodes r
                                  WHERE r.mount_id = m.id AND r.directory_path = '' AND r.state <> 'deleted'))
 ORDER BY m.id

-- name: resting
-- Mounts that are switched off and have nothing under way, or removed: no worker has to sweep them, or to carry anything on.
SELECT m.id FROM filestore.backend_mounts m
 WHERE m.removed_at IS NOT NULL OR m.state = 'inactive'
   AND NOT EXISTS (SELECT FROM filestore.commands c WHERE c.mount_id = m.id AND c.status = 'running')
   AND NOT EXISTS (SELECT FROM filestore.cleanups k WHERE k.mount_id = m.id)

-- name: list
-- Mounts as clients read them: one page as JSON, and how many there are in all. With an id: that mount alone. One with leftovers
-- that could not be cleared is degraded for as long as it has them. (They are counted up to 1000.)
WITH found AS (
    SELECT m.id, m.tenant, m.mount_key, m.mount_uuid, m.backend_kind, m.root_path, m.bucket, m.prefix, m.config, m.access_mode,
           CASE WHEN m.state = 'active' AND s.stuck > 0 THEN 'degraded' ELSE m.state END AS state, m.state_reason,
           m.display_name, m.description, m.contact, m.labels, m.retention, m.host_id, m.epoch, m.created_at, m.updated_at,
           CASE WHEN s.stuck > 0 THEN json_build_object('stuck', s.stuck, 'since', s.since, 'problem', s.problem) END AS leftovers
      FROM filestore.backend_mounts m
     CROSS JOIN LATERAL (
         SELECT count(*) AS stuck, min(o.created_at) AS since, (array_agg(o.problem ORDER BY o.id))[1] AS problem
           FROM (SELECT k.id, k.created_at, k.problem FROM filestore.cleanups k
                  WHERE k.mount_id = m.id AND k.problem IS NOT NULL ORDER BY k.id LIMIT 1000) o) s
     WHERE m.tenant = %(tenant)s AND m.removed_at IS NULL
       AND (%(id)s::bigint IS NULL OR m.id = %(id)s) AND (%(ids)s::bigint[] IS NULL OR m.id = ANY(%(ids)s::bigint[]))
       AND m.id <> ALL (%(without)s::bigint[])
       AND (%(kinds)s::text[] IS NULL OR m.backend_kind = ANY(%(kinds)s))
       AND (%(states)s::text[] IS NULL
            OR CASE WHEN m.state = 'active' AND s.stuck > 0 THEN 'degraded' ELSE m.state END = ANY(%(states)s))
       AND (%(access_modes)s::text[] IS NULL OR m.access_mode = ANY(%(access_modes)s))
       AND (%(search)s::text IS NULL OR strpos(
                casefold(concat_ws(chr(10), m.mount_key, m.display_name, m.description, m.contact) COLLATE "pg_unicode_fast"),
                casefold(%(search)s::text COLLATE "pg_unicode_fast")) > 0)
), page AS (
    SELECT * FROM found ORDER BY id LIMIT %(limit)s OFFSET %(offset)s
)
SELECT (SELECT count(*) FROM found) AS total, (
    SELECT string_agg(json_build_object(
        'id', m.id, 'mountKey', m.mount_key, 'backendKind', m.backend_kind, 'accessMode', m.access_mode,
        'state', m.state, 'stateReason', m.state_reason, 'rootPath', m.root_path, 'bucket', m.bucket, 'prefix', m.prefix,
        'config', m.config, 'displayName', m.display_name, 'description', m.description, 'contact', m.contact,
        'labels', m.labels, 'lastHealthCheckAt', NULL, 'lastHealthStatus', NULL,
        'mountUuid', m.mount_uuid, 'hostId', m.host_id, 'epoch', m.epoch,
        'leftovers', m.leftovers,
        'objectLock', (SELECT json_build_object('enabled', p.enabled, 'legalHold', p.legal_hold, 'retention', p.retention,
                              'defaultMode', p.default_mode, 'defaultDays', p.default_days, 'problem', p.problem,
                              'provedAt', p.proved_at, 'lostAt', p.lost_at)
                         FROM filestore.object_lock_proofs p WHERE p.mount_id = m.id),
        'retention', json_build_object('olderThan', m.retention->'older_than', 'keepBytes', m.retention->'keep_bytes'),
        'rootNodeId', (SELECT r.id FROM filestore.nodes r
                        WHERE r.mount_id = m.id AND r.directory_path = '' AND r.state <> 'deleted'),
        'createdAt', m.created_at, 'updatedAt', m.updated_at)::text, ',' ORDER BY m.id) FROM page m) AS items

-- name: create
-- Add a mount, inactive until its storage is prepared and its root recorded. No row: the key is taken.
INSERT INTO filestore.backend_mounts (tenant, mount_key, backend_kind, root_path, bucket, prefix, config, access_mode,
    state, state_reason, display_name, description, contact, labels, host_id, direct_reads)
VALUES (%(tenant)s, %(mount_key)s, %(backend_kind)s, %(root_path)s, %(bucket)s, %(prefix)s, %(config)s, %(access_mode)s,
    'inactive', 'registration is not finished', %(display_name)s, %(description)s, %(contact)s, %(labels)s, %(host_id)s,
    %(direct_reads)s)
ON CONFLICT (tenant, mount_key) WHERE removed_at IS NULL DO NOTHING
RETURNING id

-- name: unfinished
-- The mount under this key, if a crash left it between its row and its root: the same request finishes it.
SELECT m.id FROM filestore.backend_mounts m
 WHERE m.tenant = %(tenant)s AND m.mount_key = %(mount_key)s AND m.removed_at IS NULL AND m.backend_kind = %(backend_kind)s
   AND m.root_path IS NOT DISTINCT FROM %(root_path)s AND m.bucket IS NOT DISTINCT FROM %(bucket)s
   AND m.prefix IS NOT DISTINCT FROM %(prefix)s AND m.host_id = %(host_id)s
   AND NOT EXISTS (SELECT FROM filestore.nodes r WHERE r.mount_id = m.id)

-- name: finished
-- The mount under this key, once its root is recorded.
SELECT m.id FROM filestore.backend_mounts m
 WHERE m.tenant = %(tenant)s AND m.mount_key = %(mount_key)s AND m.removed_at IS NULL
   AND EXISTS (SELECT FROM filestore.nodes r WHERE r.mount_id = m.id)

-- name: give_up
-- Take back a mount whose storage could not be prepared. Nothing can refer to one without a root.
DELETE FROM filestore.backend_mounts m
 WHERE m.id = %(id)s AND NOT EXISTS (SELECT FROM filestore.nodes r WHERE r.mount_id = m.id)

-- name: record_root
-- The root directory as a node, with the identity it has on the storage. One that is there already takes the new identity.
INSERT INTO filestore.nodes (tenant, mount_id, name, name_text, directory_path, directory_text, depth, kind, device, inode,
    birth_ns, observed_size, observed_mtime_ns, observed_ctime_ns, observed_mode, observed_links, observed_at)
SELECT m.tenant, m.id, '', '', '', '', 0, 'directory', %(device)s, %(inode)s, %(birth)s, %(size)s, %(mtime)s, %(ctime)s,
       %(mode)s, %(links)s, CASE WHEN %(inode)s::bigint IS NOT NULL THEN now() END
  FROM filestore.backend_mounts m WHERE m.id = %(mount)s
ON CONFLICT (mount_id, directory_path) WHERE directory_path IS NOT NULL AND state <> 'deleted' DO UPDATE
   SET device = EXCLUDED.device, inode = EXCLUDED.inode, birth_ns = EXCLUDED.birth_ns,
       observed_size = EXCLUDED.observed_size, observed_mtime_ns = EXCLUDED.observed_mtime_ns,
       observed_ctime_ns = EXCLUDED.observed_ctime_ns, observed_mode = EXCLUDED.observed_mode,
       observed_links = EXCLUDED.observed_links, observed_at = EXCLUDED.observed_at, updated_at = now()

-- name: lock
-- Hold the mount still. `begin` can not record a command of it meanwhile, because that refers to this row.
SELECT id, tenant, mount_key, mount_uuid::text, backend_kind, root_path, bucket, prefix, access_mode, state, host_id, epoch,
       config, (SELECT coalesce(json_object_agg(s.name, s.value), '{}')
                  FROM filestore.mount_secrets s WHERE s.mount_id = m.id) AS secrets,
       EXISTS (SELECT FROM filestore.commands c WHERE c.mount_id = m.id AND c.status = 'running') AS busy
  FROM filestore.backend_mounts m WHERE id = %(id)s AND tenant = %(tenant)s AND removed_at IS NULL FOR UPDATE

-- name: update
-- Change the columns that `changes` names, and no other.
UPDATE filestore.backend_mounts m SET
    mount_key = c.mount_key, root_path = c.root_path, bucket = c.bucket, prefix = c.prefix, config = c.config,
    access_mode = c.access_mode, state = c.state, state_reason = c.state_reason, display_name = c.display_name,
    description = c.description, contact = c.contact, labels = c.labels, retention = c.retention, epoch = c.epoch,
    updated_at = now()
  FROM filestore.backend_mounts o, jsonb_populate_record(o, %(changes)s::jsonb) c
 WHERE m.id = %(id)s AND o.id = m.id

-- name: forget_secrets
-- These secrets are replaced or withdrawn.
DELETE FROM filestore.mount_secrets WHERE mount_id = %(id)s AND name = ANY(%(names)s)

-- name: keep_secrets
-- Secrets of a mount, by name.
INSERT INTO filestore.mount_secrets (mount_id, name, value)
SELECT %(id)s, s.name, s.value FROM unnest(%(names)s::text[], %(values)s::text[]) AS s(name, value)
ON CONFLICT (mount_id, name) DO UPDATE SET value = EXCLUDED.value, updated_at = now()

-- name: holds_nodes
-- Whether anything lives on the mount beside its root.
SELECT EXISTS (SELECT FROM filestore.nodes r JOIN filestore.nodes k ON k.parent_id = r.id AND k.state <> 'deleted'
                WHERE r.mount_id = %(id)s AND r.directory_path = '' AND r.state <> 'deleted') AS holds

-- name: remove
-- Removes the mount. What refers to it (nodes, commands, the journal) is history; its secrets go, and what was still
-- to be cleared on its storage stays there.
WITH secrets AS (
    DELETE FROM filestore.mount_secrets WHERE mount_id = %(id)s
), claims AS (
    DELETE FROM filestore.claims WHERE mount_id = %(id)s
), cleanups AS (
    DELETE FROM filestore.cleanups WHERE mount_id = %(id)s
)
UPDATE filestore.backend_mounts SET removed_at = now(), updated_at = now(), epoch = epoch + 1 WHERE id = %(id)s

-- name: has_uuid
-- Whether a sentinel names a mount of this service, of any tenant.
SELECT EXISTS (SELECT FROM filestore.backend_mounts WHERE mount_uuid = %(uuid)s::uuid AND removed_at IS NULL) AS has

-- name: adopt
-- A mount that is not finished becomes the one that the sentinel on its storage names.
UPDATE filestore.backend_mounts m SET mount_uuid = %(uuid)s::uuid
 WHERE m.id = %(id)s AND NOT EXISTS (SELECT FROM filestore.nodes r WHERE r.mount_id = m.id)
