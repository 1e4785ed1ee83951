-- Operations from one mount to another. Of an item NULL means the operation's own mount.
ALTER TABLE filestore.operations ADD COLUMN target_mount_id bigint REFERENCES filestore.backend_mounts;
ALTER TABLE filestore.operation_items ADD COLUMN mount_id bigint, ADD COLUMN target_mount_id bigint;
CREATE OR REPLACE VIEW filestore.operation_steps AS
SELECT operation_id, item, kind, path, target, node_id, node_kind, version, target_version, content_version, size_bytes, nodes,
       needs, state, code, message, command_id, left_node, left_version, replaced_version, retry_at, mount_id, target_mount_id
  FROM filestore.operation_items;
