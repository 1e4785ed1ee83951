-- A leftover that can not be cleared is tried again later, and says why. It holds up no other.
ALTER TABLE filestore.cleanups ADD COLUMN attempts integer NOT NULL DEFAULT 0;
ALTER TABLE filestore.cleanups ADD COLUMN due_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE filestore.cleanups ADD COLUMN problem text;
DROP INDEX filestore.cleanups_mount;
CREATE INDEX cleanups_mount ON filestore.cleanups (mount_id, due_at);
CREATE INDEX cleanups_stuck ON filestore.cleanups (mount_id, id) WHERE problem IS NOT NULL;
