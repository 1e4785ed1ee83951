-- What is known of the notifications of a bucket, for mounts that ever had one, and of our canary object there.
CREATE TABLE filestore.bucket_notifications (
    mount_id           bigint PRIMARY KEY REFERENCES filestore.backend_mounts,
    keys               bigint NOT NULL DEFAULT 0,
    heard_at           timestamptz NOT NULL DEFAULT now(),
    canary_put_at      timestamptz,
    canary_heard_at    timestamptz,
    canary_waits_since timestamptz
);
