-- What buckets did under Object Lock when it was tried, and which versions of objects each hold has locked there.
CREATE TABLE filestore.object_lock_proofs (
    mount_id     bigint PRIMARY KEY REFERENCES filestore.backend_mounts,
    enabled      boolean NOT NULL,
    legal_hold   boolean NOT NULL,
    retention    boolean NOT NULL,
    default_mode text,
    default_days integer,
    problem      text,
    proved_at    timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE filestore.holds ADD COLUMN lock_state text CHECK (lock_state IN ('locking', 'locked', 'unlocking', 'unlocked'));
ALTER TABLE filestore.holds ADD COLUMN lock_due timestamptz;
ALTER TABLE filestore.holds ADD COLUMN lock_directory bytea;
ALTER TABLE filestore.holds ADD COLUMN lock_name bytea;
ALTER TABLE filestore.holds ADD COLUMN lock_problem text;
ALTER TABLE filestore.holds ADD COLUMN locked_objects bigint NOT NULL DEFAULT 0;
CREATE INDEX holds_lock_due ON filestore.holds (mount_id, lock_due) WHERE lock_due IS NOT NULL;

CREATE TABLE filestore.object_locks (
    hold_id    bigint NOT NULL REFERENCES filestore.holds,
    object_key text NOT NULL,
    version_id text NOT NULL,
    legal      boolean NOT NULL,
    PRIMARY KEY (hold_id, object_key, version_id)
);
CREATE INDEX object_locks_object ON filestore.object_locks (object_key, version_id) WHERE legal;
