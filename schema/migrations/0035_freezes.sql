-- A freeze: on one mount or on all of a tenant nothing is changed until it is lifted, or its time is over. Reads go on.
CREATE TABLE filestore.freezes (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant     text NOT NULL,
    mount_id   bigint REFERENCES filestore.backend_mounts,
    reason     text NOT NULL,
    principal  text NOT NULL,
    key        text NOT NULL,
    until      timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    lifted_at  timestamptz,
    lifted_by  text,
    UNIQUE (tenant, principal, key)
);
CREATE INDEX freezes_open ON filestore.freezes (tenant, mount_id) WHERE lifted_at IS NULL;

-- The oldest freeze that holds on a mount now. No row: changes are taken.
CREATE FUNCTION filestore.freeze_of_v1(of_tenant text, mount bigint) RETURNS TABLE (facts jsonb) LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT jsonb_build_object('id', f.id, 'reason', f.reason, 'until', f.until) FROM filestore.freezes f
     WHERE f.lifted_at IS NULL AND f.tenant = of_tenant AND (f.mount_id IS NULL OR f.mount_id = mount)
       AND (f.until IS NULL OR f.until > now()) ORDER BY f.id LIMIT 1
$$;
