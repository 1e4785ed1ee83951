-- Rollups are recomputed and proven, a page of directories at a time.
ALTER TABLE filestore.rollups ADD COLUMN proven_by bigint NOT NULL DEFAULT 0;
CREATE INDEX rollups_doubtful ON filestore.rollups (directory_id) WHERE consistency_state <> 'up_to_date';

CREATE TYPE filestore.recompute_state AS ENUM ('queued', 'running', 'succeeded', 'failed', 'cancelled');

CREATE TABLE filestore.rollup_recomputes (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant       text NOT NULL,
    principal    text NOT NULL,
    mount_id     bigint NOT NULL REFERENCES filestore.backend_mounts,
    directory_id bigint NOT NULL REFERENCES filestore.nodes,
    reason       text NOT NULL CHECK (reason IN ('request', 'proof')),
    state        filestore.recompute_state NOT NULL DEFAULT 'queued',
    code         text,
    cursor       bytea,
    waits        integer NOT NULL DEFAULT 0,
    directories  bigint NOT NULL DEFAULT 0,
    differences  bigint NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL DEFAULT now(),
    started_at   timestamptz,
    touched_at   timestamptz NOT NULL DEFAULT now(),
    ended_at     timestamptz,
    CHECK ((state IN ('queued', 'running')) = (ended_at IS NULL))
);
CREATE UNIQUE INDEX rollup_recomputes_open ON filestore.rollup_recomputes (directory_id) WHERE ended_at IS NULL;
CREATE INDEX rollup_recomputes_running ON filestore.rollup_recomputes (mount_id) WHERE ended_at IS NULL;
CREATE INDEX rollup_recomputes_ended ON filestore.rollup_recomputes (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE filestore.rollup_proofs (
    mount_id    bigint PRIMARY KEY REFERENCES filestore.backend_mounts,
    cursor      bytea,
    rounds      bigint NOT NULL DEFAULT 0,
    directories bigint NOT NULL DEFAULT 0,
    differences bigint NOT NULL DEFAULT 0,
    proven_at   timestamptz,
    touched_at  timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION filestore.rollup_excess_v1(directory bigint)
RETURNS TABLE (size_bytes bigint, file_count bigint, directory_count bigint, child_count bigint) LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT r.size_bytes - c.size_bytes, r.file_count - c.file_count, r.directory_count - c.directory_count,
           r.child_count - c.child_count
      FROM filestore.rollup_of(directory) r
     CROSS JOIN (
         SELECT coalesce(sum(coalesce(t.file_count, 1)), 0)::bigint AS file_count,
                coalesce(sum(t.directory_count + 1), 0)::bigint AS directory_count, count(*) AS child_count,
                coalesce(sum(CASE k.kind WHEN 'file' THEN k.size_bytes ELSE coalesce(t.size_bytes, 0) END), 0)::bigint AS size_bytes
           FROM filestore.nodes k
           LEFT JOIN LATERAL (SELECT o.size_bytes, o.file_count, o.directory_count FROM filestore.rollup_of(k.id) o
                               WHERE k.kind = 'directory' OFFSET 0) t ON true
          WHERE k.parent_id = directory AND k.state <> 'deleted') c
$$;
