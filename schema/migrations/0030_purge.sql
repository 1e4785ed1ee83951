-- What operations that have not ended count on stays in the trash; and how long a mount keeps what is there.
CREATE INDEX operation_items_restores ON filestore.operation_items (node_id) WHERE kind = 'restore';
ALTER TABLE filestore.backend_mounts ADD COLUMN retention jsonb NOT NULL DEFAULT '{}';
