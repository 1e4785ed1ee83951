-- Heals: when a finding may be tried, why it was not healed, and the copies that content can come back from.
ALTER TABLE filestore.findings ADD COLUMN plan bigint, ADD COLUMN problem jsonb, ADD COLUMN tries integer NOT NULL DEFAULT 0,
    ADD COLUMN due_at timestamptz NOT NULL DEFAULT now();
DROP INDEX filestore.findings_due;
CREATE INDEX findings_due ON filestore.findings (mount_id, due_at, id) WHERE state = 'waiting';
CREATE INDEX findings_plan ON filestore.findings (plan) WHERE plan > 0 AND ended_at IS NULL;
CREATE INDEX snapshots_copies ON filestore.snapshots (sha256) WHERE content_place IS NOT NULL;

-- A finding that is renewed says the same as before: what was decided about it stands.
CREATE FUNCTION filestore.same_finding_v1(f filestore.findings, x filestore.findings) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT f.observed = x.observed AND f.kind = x.kind
           AND (f.node_id, f.node_version) IS NOT DISTINCT FROM (x.node_id, x.node_version)
$$;
