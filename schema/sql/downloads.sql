-- Downloads, as events. They change nothing, so they have no journal entry.

-- name: tell
-- An event for each complete download, and for each link to one. What was sent is told by the caller; what the node is, is
-- read here.
INSERT INTO filestore.outbox (tenant, mount_id, type, data)
SELECT n.tenant, n.mount_id, 'filestore.node.downloaded',
       json_build_object('backendMountId', n.mount_id, 'nodeId', n.id, 'path', n.path_text, 'kind', n.kind, 'state', n.state,
           'parentId', n.parent_id, 'version', i.version, 'sizeBytes', i.size, 'checksum', i.checksum, 'contentHash', i.hash,
           'metadata', n.metadata, 'journalId', NULL, 'command', NULL, 'commandId', NULL, 'idempotencyKey', NULL,
           'principal', i.principal, 'mode', i.mode, 'range', NULL, 'observedAt', i.at)
  FROM jsonb_to_recordset(%(items)s::jsonb) AS i(node bigint, version bigint, size bigint, checksum text, hash text,
                                                 principal text, at timestamptz, mode text)
  JOIN filestore.node_documents n ON n.id = i.node
 ORDER BY i.at
