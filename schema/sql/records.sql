-- Records of the Metastore as clients read and change them; namespaces and their rules.

-- name: find
-- A record, and the part of it that belongs to clients, held until the transaction ends.
SELECT r.node_id, r.mount_id, r.path, r.namespace, r.tags, r.owner, r.metadata, r.version, r.removed, r.deleted_at, r.state::text
  FROM filestore.metastore_records r WHERE r.node_id = %(node)s AND r.tenant = %(tenant)s FOR UPDATE

-- name: place
-- Where a record's node lies.
SELECT r.mount_id, r.path FROM filestore.metastore_records r WHERE r.node_id = %(node)s AND r.tenant = %(tenant)s

-- name: node
-- Whether there is such a node, and where: it may have no record yet.
SELECT n.mount_id, coalesce(p.directory_path || n.name, ''::bytea) AS path
  FROM filestore.nodes n LEFT JOIN filestore.nodes p ON p.id = n.parent_id
 WHERE n.id = %(node)s AND n.tenant = %(tenant)s

-- name: rule
-- The namespace that a path belongs to. No row: it may have any.
SELECT r.namespace, r.mode FROM filestore.record_rule_v1(%(tenant)s, %(mount)s, %(path)s) r

-- name: keep
-- What a record was, before it is changed.
INSERT INTO filestore.metastore_history (node_id, version, change, changed_by, changed_at, path_text, namespace, tags, owner,
    metadata, schema, deleted_at)
SELECT r.node_id, r.version, r.change, r.changed_by, r.changed_at, r.path_text, r.namespace, r.tags, r.owner, r.metadata, r.schema,
       r.deleted_at
  FROM filestore.metastore_records r WHERE r.node_id = %(node)s

-- name: change
-- The part that belongs to clients is this from now on.
UPDATE filestore.metastore_records
   SET namespace = %(namespace)s, tags = %(tags)s, owner = %(owner)s, metadata = %(metadata)s::jsonb, schema = %(schema)s,
       violation = %(violation)s, version = version + 1, change = %(change)s, changed_by = %(principal)s, changed_at = now(),
       updated_at = now(), removed = %(removed)s,
       deleted_at = CASE WHEN %(removed)s OR state = 'deleted' THEN coalesce(deleted_at, now()) END
 WHERE node_id = %(node)s

-- name: document
-- A record as clients read it.
SELECT filestore.record_document_v1(r) AS document, r.version FROM filestore.metastore_records r
 WHERE r.node_id = %(node)s AND r.tenant = %(tenant)s

-- name: history
-- What a record was, the latest first, and what it is.
WITH versions AS (
    SELECT r.version, r.change, r.changed_by, r.changed_at, r.path_text, r.namespace, r.tags, r.owner, r.metadata, r.schema,
           r.deleted_at
      FROM filestore.metastore_records r WHERE r.node_id = %(node)s AND r.version < %(before)s
     UNION ALL
    (SELECT h.version, h.change, h.changed_by, h.changed_at, h.path_text, h.namespace, h.tags, h.owner, h.metadata, h.schema,
            h.deleted_at
       FROM filestore.metastore_history h WHERE h.node_id = %(node)s AND h.version < %(before)s
      ORDER BY h.version DESC LIMIT %(limit)s)
)
SELECT v.version, json_build_object('version', v.version, 'change', v.change, 'principal', v.changed_by, 'changedAt', v.changed_at,
       'path', v.path_text, 'namespace', v.namespace, 'tags', v.tags, 'owner', v.owner, 'metadata', v.metadata, 'schema', v.schema,
       'deletedAt', v.deleted_at)::text AS document
  FROM versions v ORDER BY v.version DESC LIMIT %(limit)s

-- name: search
-- Records by what they say. The conditions are added to this; each of them has an index. The ids of a page come first, so that only
-- the records of the page are read whole.
WITH found AS MATERIALIZED (
    SELECT r.node_id FROM filestore.metastore_records r
     WHERE r.tenant = %(tenant)s AND r.node_id > %(after)s

-- name: living
-- Closed ones are left out.
       AND r.deleted_at IS NULL

-- name: words
-- By words, as a web search has them.
       AND r.words @@ websearch_to_tsquery('simple', %(query)s)

-- name: tags
-- With all of these tags.
       AND r.tags @> %(tags)s::text[] AND r.tags <> '{}'

-- name: owner
-- Of this owner.
       AND r.owner = %(owner)s

-- name: namespace
-- In this namespace.
       AND r.namespace = %(namespace)s

-- name: metadata
-- Whose metadata contains this.
       AND r.metadata @> %(metadata)s::jsonb AND r.metadata <> '{}'

-- name: mount
-- On this mount.
       AND r.mount_id = %(mount)s

-- name: any_mount
-- On any mount: the index of paths begins with the mount.
       AND r.mount_id IN (SELECT m.id FROM filestore.backend_mounts m WHERE m.tenant = %(tenant)s)

-- name: below
-- At a path or below it. Beyond its first 1000 bytes the index does not know a path.
       AND (substring(r.path FROM 1 FOR 1000) = substring(%(path)s::bytea FROM 1 FOR 1000) AND r.path = %(path)s
            OR substring(r.path FROM 1 FOR 1000) >= substring(%(low)s::bytea FROM 1 FOR 1000)
               AND substring(r.path FROM 1 FOR 1000) <= substring(%(high)s::bytea FROM 1 FOR 1000)
               AND r.path > %(low)s AND r.path < %(high)s)

-- name: among
-- Of these nodes alone, and nothing but their ids: a plan asks so of each of its pages.
       AND r.node_id = ANY(%(nodes)s::bigint[])
)
SELECT f.node_id FROM found f

-- name: searched
-- The page, in the order of ids.
     ORDER BY r.node_id LIMIT %(limit)s
)
SELECT r.node_id, r.mount_id, r.path, filestore.record_document_v1(r) AS document
  FROM found f JOIN filestore.metastore_records r ON r.node_id = f.node_id ORDER BY f.node_id

-- name: namespaces
-- All namespaces of a tenant, or one.
SELECT n.name, n.version, json_build_object('name', n.name, 'description', n.description, 'schema', n.schema,
       'schemaVersion', n.schema_version, 'rules', coalesce((
           SELECT json_agg(json_build_object('backendMountId', r.mount_id, 'pathPrefix', convert_from(r.prefix, 'UTF8'),
                      'mode', r.mode) ORDER BY r.id)
             FROM filestore.metastore_rules r WHERE r.tenant = n.tenant AND r.namespace = n.name), '[]'),
       'version', n.version, 'createdAt', n.created_at, 'updatedAt', n.updated_at)::text AS document
  FROM filestore.metastore_namespaces n
 WHERE n.tenant = %(tenant)s AND (%(name)s::text IS NULL OR n.name = %(name)s) ORDER BY n.name

-- name: namespace_of
-- What the metadata of its records must look like, held until the transaction ends.
SELECT n.schema::text AS schema, n.schema_version, n.version FROM filestore.metastore_namespaces n
 WHERE n.tenant = %(tenant)s AND n.name = %(name)s FOR UPDATE

-- name: schema_of
-- What the metadata of its records must look like.
SELECT n.schema::text AS schema, n.schema_version FROM filestore.metastore_namespaces n
 WHERE n.tenant = %(tenant)s AND n.name = %(name)s

-- name: put_namespace
-- Make a namespace, or change it. Another schema has another number.
INSERT INTO filestore.metastore_namespaces AS n (tenant, name, description, schema, schema_version)
VALUES (%(tenant)s, %(name)s, %(description)s, %(schema)s::jsonb, CASE WHEN %(schema)s::jsonb IS NULL THEN 0 ELSE 1 END)
ON CONFLICT (tenant, name) DO UPDATE
   SET description = EXCLUDED.description, schema = EXCLUDED.schema,
       schema_version = n.schema_version + (n.schema IS DISTINCT FROM EXCLUDED.schema)::integer, version = n.version + 1,
       updated_at = now()

-- name: drop_rules
-- Its rules are about to be written anew.
DELETE FROM filestore.metastore_rules WHERE tenant = %(tenant)s AND namespace = %(name)s

-- name: add_rules
-- The rules that it has from now on.
INSERT INTO filestore.metastore_rules (tenant, namespace, mount_id, prefix, mode)
SELECT %(tenant)s, %(name)s, i.mount, decode(i.prefix, 'hex'), i.mode
  FROM jsonb_to_recordset(%(rules)s::jsonb) AS i(mount bigint, prefix text, mode text)

-- name: drop_namespace
-- Forget a namespace, with its rules. Its records keep its name.
DELETE FROM filestore.metastore_namespaces WHERE tenant = %(tenant)s AND name = %(name)s
