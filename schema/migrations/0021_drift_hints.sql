-- Reasons to look at a place of a mount, until a look has begun that covers them. Losing one costs time only: an audit finds what
-- it spoke of. So they are not worth a write-ahead log.
CREATE UNLOGGED TABLE filestore.drift_hints (
    mount_id   bigint NOT NULL,
    key        bytea NOT NULL GENERATED ALWAYS AS (sha256(path)) STORED,
    path       bytea NOT NULL,
    subtree    boolean NOT NULL,
    reason     text NOT NULL,
    noticed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (mount_id, key)
);
