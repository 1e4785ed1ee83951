-- Holds: what lies at a path, and all below it, is not taken away until the hold ends.
CREATE TABLE filestore.holds (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant      text NOT NULL,
    mount_id    bigint NOT NULL REFERENCES filestore.backend_mounts,
    path        bytea NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('legal', 'retain', 'protect')),
    reason      text NOT NULL,
    until       timestamptz,
    created_by  text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    released_by text,
    released_at timestamptz,
    CHECK (kind <> 'retain' OR until IS NOT NULL),
    CHECK ((released_at IS NULL) = (released_by IS NULL))
);
CREATE INDEX holds_in_force ON filestore.holds (mount_id, path) WHERE released_at IS NULL;
CREATE INDEX holds_tenant ON filestore.holds (tenant, id);

-- The hold on a path with the longest path, as clients read it. No row: nothing holds it.
CREATE FUNCTION filestore.protection_v1(mount bigint, place bytea) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('id', h.id, 'kind', h.kind, 'until', h.until, 'by', h.created_by, 'reason', h.reason)
      FROM (SELECT substring(place FOR n - 1) AS path FROM generate_series(1, octet_length(place)) n
             WHERE get_byte(place, n - 1) = 47
             UNION ALL SELECT place UNION ALL SELECT ''::bytea) a
      JOIN filestore.holds h ON h.mount_id = mount AND h.path = a.path AND h.released_at IS NULL
       AND (h.until IS NULL OR h.until > now())
     ORDER BY octet_length(h.path) DESC, h.id LIMIT 1
$$;
