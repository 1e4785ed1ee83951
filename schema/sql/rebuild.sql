-- An empty record is made whole again from the archive. All of it is one transaction.

-- name: is_empty
-- Whether nothing was recorded here yet.
SELECT NOT EXISTS (SELECT FROM filestore.journal_entries) AND NOT EXISTS (SELECT FROM filestore.backend_mounts) AS empty,
       (SELECT max(m.version) FROM public.filestore_migrations m) AS migration

-- name: prepare
-- Where the versions are gathered: of one that was archived twice the later form holds.
CREATE TEMPORARY TABLE rebuilt (LIKE filestore.versions, tenant text, mount_id bigint, created_at timestamptz, checksum text,
    mime_type text, original_name text, name_text text, PRIMARY KEY (node_id, version)) ON COMMIT DROP

-- name: entries
-- Entries of the journal, as they were.
INSERT INTO filestore.journal_entries OVERRIDING SYSTEM VALUE
SELECT r.* FROM jsonb_array_elements(%(items)s::jsonb) AS i(item)
 CROSS JOIN LATERAL jsonb_populate_record(NULL::filestore.journal_entries, i.item) r

-- name: versions
-- Versions, each at most once in a list, with their names for people.
INSERT INTO rebuilt
SELECT r.* FROM jsonb_array_elements(%(items)s::jsonb) AS i(item)
 CROSS JOIN LATERAL jsonb_populate_record(NULL::rebuilt, i.item->'version' || jsonb_build_object('name_text', i.item->'text')) r
ON CONFLICT (node_id, version) DO UPDATE SET valid_to = EXCLUDED.valid_to, content_place = EXCLUDED.content_place,
    content_until = EXCLUDED.content_until, content_identity = EXCLUDED.content_identity, sha256 = EXCLUDED.sha256,
    checksum = EXCLUDED.checksum, mime_type = EXCLUDED.mime_type, original_name = EXCLUDED.original_name

-- name: tenants
-- Tenants; one is there already.
INSERT INTO filestore.tenants
SELECT r.* FROM jsonb_array_elements(%(items)s::jsonb) AS i(item)
 CROSS JOIN LATERAL jsonb_populate_record(NULL::filestore.tenants, i.item) r
ON CONFLICT (name) DO UPDATE SET display_name = EXCLUDED.display_name, suspended = EXCLUDED.suspended,
    created_at = EXCLUDED.created_at, updated_at = EXCLUDED.updated_at

-- name: mounts
-- Mounts with their ids; their secrets are not in the archive.
INSERT INTO filestore.backend_mounts
SELECT r.* FROM jsonb_array_elements(%(items)s::jsonb) AS i(item)
 CROSS JOIN LATERAL jsonb_populate_record(NULL::filestore.backend_mounts, i.item) r

-- name: roots
-- Their roots, which have no versions.
INSERT INTO filestore.nodes (id, tenant, mount_id, name, name_text, directory_path, directory_text, depth, kind, created_at)
SELECT (i.item->'root'->>'id')::bigint, i.item->>'tenant', (i.item->>'id')::bigint, '', '', '', '', 0, 'directory',
       (i.item->'root'->>'created_at')::timestamptz
  FROM jsonb_array_elements(%(items)s::jsonb) AS i(item) WHERE i.item->'root' <> 'null'

-- name: hashed
-- Contents that an import has read later have their hashes without a new version.
UPDATE rebuilt r SET sha256 = decode(h.value #>> '{}', 'hex')
  FROM filestore.journal_entries j CROSS JOIN LATERAL jsonb_each(j.also->'hashed') h
 WHERE j.also ? 'hashed' AND r.node_id = h.key::bigint AND r.sha256 IS NULL

-- name: nodes
-- Each node as its latest version says; where it lies follows from the directories above it.
WITH RECURSIVE latest AS MATERIALIZED (
    SELECT DISTINCT ON (r.node_id) r.*, min(r.valid_from) OVER (PARTITION BY r.node_id) AS begun
      FROM rebuilt r ORDER BY r.node_id, r.version DESC
), placed AS (
    SELECT n.id, n.directory_path AS path, n.directory_text AS shown, n.depth FROM filestore.nodes n
     UNION ALL
    SELECT l.node_id, CASE WHEN l.kind = 'directory' THEN p.path || l.name || '\x2f'::bytea END,
           CASE WHEN l.kind = 'directory' THEN p.shown || l.name_text || '/' END, p.depth + 1
      FROM placed p JOIN latest l ON l.parent_id = p.id
)
INSERT INTO filestore.nodes (id, tenant, mount_id, parent_id, name, name_text, directory_path, directory_text, depth, kind, state,
    version, size_bytes, sha256, checksum, mime_type, original_name, metadata, created_at, updated_at, last_modified_at,
    deleted_at)
SELECT l.node_id, l.tenant, l.mount_id, l.parent_id, l.name, l.name_text, p.path, p.shown, p.depth, l.kind, l.state, l.version,
       l.size_bytes, l.sha256, l.checksum, l.mime_type, l.original_name, l.metadata, coalesce(l.created_at, l.begun),
       l.valid_from, l.valid_from, CASE WHEN l.state = 'deleted' THEN l.valid_from END
  FROM placed p JOIN latest l ON l.node_id = p.id
 ORDER BY p.depth

-- name: snapshots
-- And all its versions.
INSERT INTO filestore.versions (node_id, version, command_id, parent_id, name, kind, state, size_bytes, sha256, metadata,
    valid_from, valid_to, content_place, content_until, content_identity)
SELECT r.node_id, r.version, r.command_id, r.parent_id, r.name, r.kind, r.state, r.size_bytes, r.sha256, r.metadata,
       r.valid_from, r.valid_to, r.content_place, r.content_until, r.content_identity
  FROM rebuilt r JOIN filestore.nodes n ON n.id = r.node_id

-- name: rollups
-- The totals of every living directory.
WITH RECURSIVE upward AS (
    SELECT n.parent_id AS directory, CASE WHEN n.kind = 'file' THEN n.size_bytes ELSE 0 END AS bytes,
           (n.kind <> 'directory')::integer AS files, (n.kind = 'directory')::integer AS directories, 1 AS children
      FROM filestore.nodes n WHERE n.parent_id IS NOT NULL AND n.state <> 'deleted'
     UNION ALL
    SELECT n.parent_id, u.bytes, u.files, u.directories, 0
      FROM upward u JOIN filestore.nodes n ON n.id = u.directory WHERE n.parent_id IS NOT NULL
)
INSERT INTO filestore.rollups (directory_id, size_bytes, file_count, directory_count, child_count)
SELECT directory, sum(bytes), sum(files), sum(directories), sum(children) FROM upward GROUP BY directory

-- name: records
-- What was said of nodes, as the journal has it; the rest of these records the Metastore takes from the nodes. What they said
-- before is their history.
WITH told AS MATERIALIZED (
    SELECT j.* FROM filestore.journal_entries j WHERE j.executor = 'record' AND j.node_id IS NOT NULL
), latest AS (
    SELECT DISTINCT ON (t.node_id) t.* FROM told t ORDER BY t.node_id, t.id DESC
), made AS (
    INSERT INTO filestore.metastore_records (node_id, tenant, mount_id, parent_id, path, path_text, kind, state, node_version,
        size_bytes, checksum, sha256, node_metadata, namespace, tags, owner, metadata, version, change, changed_by, changed_at,
        removed, deleted_at)
    SELECT n.id, n.tenant, n.mount_id, n.parent_id, d.path, d.path_text, n.kind, n.state, n.version, n.size_bytes, n.checksum,
           n.sha256, n.metadata, x.namespace, x.tags, x.owner, x.metadata, x.version,
           CASE l.kind WHEN 'forgetRecord' THEN 'removed' ELSE 'updated' END, l.principal, l.recorded_at, l.kind = 'forgetRecord',
           x."deletedAt"
      FROM latest l
     CROSS JOIN LATERAL jsonb_to_record(l.after) AS x(namespace text, tags text[], owner text, metadata jsonb, version bigint,
               "deletedAt" timestamptz)
      JOIN filestore.nodes n ON n.id = l.node_id
     CROSS JOIN LATERAL (SELECT k.path, k.path_text FROM filestore.node_documents k WHERE k.id = n.id OFFSET 0) d
    RETURNING node_id
)
INSERT INTO filestore.metastore_history (node_id, version, change, changed_by, changed_at, path_text, namespace, tags, owner,
    metadata, deleted_at)
SELECT t.node_id, x.version,
       coalesce(CASE w.kind WHEN 'forgetRecord' THEN 'removed' WHEN 'describeRecord' THEN 'updated' END, 'created'), w.principal,
       coalesce(w.recorded_at, t.recorded_at), t.payload->>'path', x.namespace, x.tags, x.owner, x.metadata,
       x."deletedAt"
  FROM told t JOIN made m ON m.node_id = t.node_id
 CROSS JOIN LATERAL jsonb_to_record(t.before) AS x(namespace text, tags text[], owner text, metadata jsonb, version bigint,
           "deletedAt" timestamptz)
  LEFT JOIN told w ON w.node_id = t.node_id AND (w.after->>'version')::bigint = x.version

-- name: charges
-- What the trash of each mount keeps. Who had put what there is not in the archive: no principal is charged for it.
INSERT INTO filestore.charges (mount_id, principal, size_bytes, node_count)
SELECT n.mount_id, NULL, sum(k.size_bytes), count(*)
  FROM (SELECT s.node_id, s.content_place, max(s.size_bytes) AS size_bytes FROM filestore.snapshots s
         WHERE s.content_place IS NOT NULL AND s.kind = 'file' GROUP BY s.node_id, s.content_place) k
  JOIN filestore.nodes n ON n.id = k.node_id GROUP BY n.mount_id

-- name: holds
-- Holds that were in force. What they had locked in a bucket is looked for anew.
INSERT INTO filestore.holds OVERRIDING SYSTEM VALUE
SELECT r.* FROM jsonb_array_elements(%(items)s::jsonb) AS i(item)
 CROSS JOIN LATERAL jsonb_populate_record(NULL::filestore.holds, i.item || jsonb_build_object('lock_directory', NULL,
           'lock_name', NULL, 'locked_objects', 0, 'lock_due', CASE WHEN i.item->'lock_state' <> 'null' THEN now() END)) r

-- name: freezes
-- Freezes that nobody had lifted.
INSERT INTO filestore.freezes OVERRIDING SYSTEM VALUE
SELECT r.* FROM jsonb_array_elements(%(items)s::jsonb) AS i(item)
 CROSS JOIN LATERAL jsonb_populate_record(NULL::filestore.freezes, i.item) r

-- name: quotas
-- Quotas as they were; the trash that some of them count is counted afterwards.
INSERT INTO filestore.quotas OVERRIDING SYSTEM VALUE
SELECT r.* FROM jsonb_array_elements(%(items)s::jsonb) AS i(item)
 CROSS JOIN LATERAL jsonb_populate_record(NULL::filestore.quotas, i.item) r
RETURNING id, trash AND (path IS NOT NULL OR principal IS NOT NULL) AS keeps

-- name: namespaces
-- Namespaces of the Metastore, with their paths.
WITH spaces AS (
    INSERT INTO filestore.metastore_namespaces
    SELECT r.* FROM jsonb_array_elements(%(items)s::jsonb) AS i(item)
     CROSS JOIN LATERAL jsonb_populate_record(NULL::filestore.metastore_namespaces, i.item) r
)
INSERT INTO filestore.metastore_rules OVERRIDING SYSTEM VALUE
SELECT r.* FROM jsonb_array_elements(%(items)s::jsonb) AS i(item)
 CROSS JOIN LATERAL jsonb_array_elements(i.item->'rules') AS k(rule)
 CROSS JOIN LATERAL jsonb_populate_record(NULL::filestore.metastore_rules, k.rule) r

-- name: go_on
-- Ids go on behind those that were given. The feed begins anew, far behind every position that a consumer may have: it is told
-- that events are gone, and starts from a snapshot. Commands and their keys are gone, as though they had been pruned.
WITH ids AS (
    SELECT setval('filestore.journal_entries_id_seq', greatest((SELECT max(id) FROM filestore.journal_entries), %(entry)s, 1)),
           setval('filestore.nodes_id_seq', greatest((SELECT max(id) FROM filestore.nodes), 1)),
           setval('filestore.backend_mounts_id_seq', greatest((SELECT max(id) FROM filestore.backend_mounts), 1)),
           setval('filestore.holds_id_seq', greatest((SELECT max(id) FROM filestore.holds), 1)),
           setval('filestore.freezes_id_seq', greatest((SELECT max(id) FROM filestore.freezes), 1)),
           setval('filestore.quotas_id_seq', greatest((SELECT max(id) FROM filestore.quotas), 1)),
           setval('filestore.metastore_rules_id_seq', greatest((SELECT max(id) FROM filestore.metastore_rules), 1))
), feed AS (
    UPDATE filestore.event_feed SET position = %(position)s, published = %(position)s, settled = %(entry)s
    RETURNING position
)
UPDATE filestore.retention SET commands_until = now(), events_until = now(), events_position = feed.position FROM feed, ids

-- name: counts
-- What there is now.
SELECT (SELECT count(*) FROM filestore.journal_entries) AS entries, (SELECT count(*) FROM filestore.nodes) AS nodes,
       (SELECT count(*) FROM rebuilt r WHERE NOT EXISTS (SELECT FROM filestore.nodes n WHERE n.id = r.node_id)) AS unplaced
