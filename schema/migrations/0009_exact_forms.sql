-- Answers and events have the exact forms that existing clients parse: digests are bare hexadecimal, a source is a path, and
-- the bytes of a path are there only where they are no text.

-- What clients read of a checksum: the digits alone. The algorithm that it is stored with says how it was compared.
CREATE FUNCTION filestore.hex_of(checksum text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT substring(checksum FROM strpos(checksum, ':') + 1)
$$;

-- A node as clients of /v1 read it, rendered here once and nowhere else. Lists select `document_text` and pass it on as it is.
-- Put together from text, because json_build_object looks every value's type up anew: this takes half the time. The texts
-- that need quoting go through to_json; the others are numbers, names of enums, hexadecimal, or JSON already. A command that
-- made a node has seen it and knew its content: clients know no node that was never seen, or never looked at.
CREATE OR REPLACE VIEW filestore.node_documents AS
SELECT n.id, n.tenant, n.mount_id, n.parent_id, n.kind, n.state, n.name, n.depth, n.directory_path,
       n.version, n.size_bytes, n.sha256, n.checksum, n.metadata, t.path, t.path_text, t.document_text,
       t.document_text::json AS document
  FROM filestore.nodes n
  JOIN filestore.backend_mounts m ON m.id = n.mount_id
  LEFT JOIN filestore.nodes p ON p.id = n.parent_id
 CROSS JOIN LATERAL (
     SELECT CASE WHEN n.depth = 0 THEN ''::bytea ELSE p.directory_path || n.name END AS path,
            CASE WHEN n.depth = 0 THEN '' ELSE p.directory_text || n.name_text END AS path_text,
            coalesce('"' || encode(n.sha256, 'hex') || '"', 'null') AS hash,
            coalesce(to_json(filestore.hex_of(n.checksum))::text, '"' || encode(n.sha256, 'hex') || '"', 'null') AS checksum,
            to_json(n.name_text)::text AS name
     OFFSET 0) s
 CROSS JOIN LATERAL (
     SELECT s.path, s.path_text,
            '{"id":' || n.id || ',"backendMountId":' || n.mount_id || ',"parentId":' || coalesce(n.parent_id::text, 'null')
         || ',"path":' || to_json(s.path_text) || CASE WHEN convert_to(s.path_text, 'UTF8') = s.path THEN ''
                ELSE ',"pathB64":"' || translate(encode(s.path, 'base64'), E'\n', '') || '"' END
         || ',"name":' || s.name || ',"depth":' || n.depth || ',"kind":"' || n.kind || '","sizeBytes":' || n.size_bytes
         || ',"checksum":' || s.checksum || ',"contentHash":' || s.hash || ',"metadata":' || n.metadata
         || ',"state":"' || n.state || '","version":' || n.version || ',"isSymlink":' || (n.kind = 'symlink')
         || ',"lastSeenAt":' || to_json(coalesce(n.observed_at, n.created_at))
         || ',"lastModifiedAt":' || coalesce(to_json(n.last_modified_at)::text, 'null')
         || ',"consistencyState":"' || CASE WHEN n.state = 'deleted' THEN 'active' ELSE n.state::text END
         || '","consistencyCheckedAt":' || to_json(coalesce(n.consistency_checked_at, n.observed_at, n.created_at))
         || ',"lastReconciledAt":' || coalesce(to_json(n.last_reconciled_at)::text, 'null')
         || ',"lastDriftDetectedAt":' || coalesce(to_json(n.last_drift_at)::text, 'null')
         || ',"createdAt":' || to_json(n.created_at) || ',"updatedAt":' || to_json(n.updated_at)
         || ',"deletedAt":' || coalesce(to_json(n.deleted_at)::text, 'null')
         || ',"rollup":' || CASE WHEN n.kind <> 'directory' THEN 'null' ELSE (
                SELECT '{"nodeId":' || n.id || ',"sizeBytes":' || r.size_bytes || ',"fileCount":' || r.file_count
                    || ',"directoryCount":' || r.directory_count || ',"childCount":' || r.child_count
                    || ',"state":"' || r.consistency_state || '","lastCalculatedAt":' || to_json(r.last_calculated_at) || '}'
                  FROM filestore.rollup_of(n.id) r) END
         || ',"download":' || CASE WHEN n.kind <> 'file' OR n.state = 'deleted' THEN 'null' ELSE
                CASE m.backend_kind WHEN 's3' THEN '{"mode":"presign"' ELSE '{"mode":"stream"' END
                || ',"streamUrl":"/v1/files/' || n.id || '/content","presignUrl":'
                || CASE m.backend_kind WHEN 's3' THEN '"/v1/files/' || n.id || '/presign"' ELSE 'null' END
                || ',"supportsRange":true,"sizeBytes":' || n.size_bytes || ',"checksum":' || s.checksum
                || ',"contentHash":' || s.hash || ',"filename":' || s.name || '}' END
         || '}' AS document_text) t;

-- Where a move or a copy came from, under the names that answers and events have for it; empty for other commands. `mount` is
-- the node's own: only another one is told.
CREATE FUNCTION filestore.came_from_v2(command text, request jsonb, mount bigint) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN o.name IS NULL THEN '{}' ELSE jsonb_strip_nulls(jsonb_build_object(o.name, request->'path',
               o.name || 'B64', request->'path_b64',
               o.name || 'BackendMountId', nullif((request->>'mount_id')::bigint, mount))) END
      FROM (SELECT CASE command WHEN 'moveNode' THEN 'movedFrom' WHEN 'copyNode' THEN 'copiedFrom' END AS name) o
$$;

-- The bytes of the paths of a request, where they are no text.
CREATE FUNCTION filestore.exact_v1(request jsonb) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object('pathB64', request->'path_b64', 'targetPathB64', request->'target_b64'))
$$;

-- The event of a node that leaves with a command and is not its own.
CREATE FUNCTION filestore.left_event_v2(
    leaves jsonb, tree jsonb, node bigint, entry bigint, command text, id uuid, key text, principal text
) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('backendMountId', leaves->'mount', 'nodeId', leaves->'node', 'path', leaves->'shown',
        'kind', CASE WHEN (leaves->>'tree')::boolean THEN 'directory' ELSE 'file' END,
        'state', 'deleted', 'parentId', leaves->'parent', 'version', leaves->'version', 'sizeBytes', leaves->'size',
        'checksum', leaves->'sha256', 'contentHash', leaves->'sha256', 'metadata',
        (SELECT n.metadata FROM filestore.nodes n WHERE n.id = (leaves->>'node')::bigint), 'replacedBy', node,
        'journalId', entry, 'command', command, 'commandId', id, 'idempotencyKey', key, 'principal', principal,
        'observedAt', now(), 'tree', CASE WHEN (leaves->>'tree')::boolean THEN tree END,
        'delta', jsonb_build_object('sizeBytes', -CASE WHEN (leaves->>'tree')::boolean
            THEN coalesce((tree->>'size')::bigint, 0) ELSE (leaves->>'size')::bigint END))
        || jsonb_strip_nulls(jsonb_build_object('pathB64', leaves->'b64'))
$$;

-- No release has run with these.
DROP FUNCTION filestore.came_from_v1(text, jsonb);
DROP FUNCTION filestore.left_event_v1(jsonb, jsonb, bigint, bigint, text, uuid, text, text);
