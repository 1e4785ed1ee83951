-- A mount can be removed: its row stays for what refers to it, and its key is free. Which kinds of storage there are the executors
-- know, and whether one hands out content itself stands with the mount.
ALTER TABLE filestore.backend_mounts ADD COLUMN direct_reads boolean NOT NULL DEFAULT false;
ALTER TABLE filestore.backend_mounts ADD COLUMN removed_at timestamptz;
UPDATE filestore.backend_mounts SET direct_reads = true WHERE backend_kind = 's3';
ALTER TABLE filestore.backend_mounts DROP CONSTRAINT backend_mounts_backend_kind_check;
ALTER TABLE filestore.backend_mounts DROP CONSTRAINT backend_mounts_check;
ALTER TABLE filestore.backend_mounts DROP CONSTRAINT backend_mounts_check1;
ALTER TABLE filestore.backend_mounts DROP CONSTRAINT backend_mounts_tenant_mount_key_key;
CREATE UNIQUE INDEX backend_mounts_key ON filestore.backend_mounts (tenant, mount_key) WHERE removed_at IS NULL;

CREATE OR REPLACE VIEW filestore.node_documents AS
SELECT n.id, n.tenant, n.mount_id, n.parent_id, n.kind, n.state, n.name, n.depth, n.directory_path,
       n.version, n.size_bytes, n.sha256, n.checksum, n.metadata, t.path, t.path_text, t.document_text,
       t.document_text::json AS document
  FROM filestore.nodes n
  JOIN filestore.backend_mounts m ON m.id = n.mount_id AND m.removed_at IS NULL
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
                CASE WHEN m.direct_reads THEN '{"mode":"presign"' ELSE '{"mode":"stream"' END
                || ',"streamUrl":"/v1/files/' || n.id || '/content","presignUrl":'
                || CASE WHEN m.direct_reads THEN '"/v1/files/' || n.id || '/presign"' ELSE 'null' END
                || ',"supportsRange":true,"sizeBytes":' || n.size_bytes || ',"checksum":' || s.checksum
                || ',"contentHash":' || s.hash || ',"filename":' || s.name || '}' END
         || '}' AS document_text) t;
