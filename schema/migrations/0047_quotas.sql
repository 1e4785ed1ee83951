-- Quotas: how much there may be of a tenant, a mount, a subtree, by a principal; and what is counted for them.
ALTER TABLE filestore.nodes ADD COLUMN charged_to text;

-- How much of a tenant, a mount, a subtree or by a principal there may be. What is used is never stored here: it is what the totals
-- of directories and `charges` say, less what running commands may still add. See docs/access.md.
CREATE TABLE filestore.quotas (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant      text NOT NULL,
    mount_id    bigint REFERENCES filestore.backend_mounts,              -- NULL: all mounts of the tenant
    path        bytea,                                                   -- what lies below it; NULL: the whole mount
    principal   text,                                                    -- what it has put there; NULL: what all have
    max_bytes   bigint CHECK (max_bytes >= 0),
    max_nodes   bigint CHECK (max_nodes >= 0),
    soft_bytes  bigint CHECK (soft_bytes >= 0),
    soft_nodes  bigint CHECK (soft_nodes >= 0),
    trash       boolean NOT NULL DEFAULT false,                          -- what the trash keeps counts, too
    operators   boolean NOT NULL DEFAULT false,                          -- set by the operators, and changed by them alone
    peak_bytes  bigint NOT NULL DEFAULT 0,
    peak_nodes  bigint NOT NULL DEFAULT 0,
    soft_since  timestamptz,                                             -- since when a soft limit is passed
    version     bigint NOT NULL DEFAULT 1,
    created_by  text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT quotas_scope CHECK (path IS NULL OR mount_id IS NOT NULL AND principal IS NULL),
    CONSTRAINT quotas_trash CHECK (NOT trash OR path IS NULL AND principal IS NULL)
);
CREATE INDEX quotas_tenant ON filestore.quotas (tenant, id);

-- What principals have put on a mount and is there, and (without a principal) what the mount's trash keeps. Appended like the
-- deltas of rollups, and folded with them; a reader adds both.
CREATE TABLE filestore.charges (
    mount_id   bigint NOT NULL,
    principal  text,
    size_bytes bigint NOT NULL,
    node_count bigint NOT NULL,
    CONSTRAINT charges_of UNIQUE NULLS NOT DISTINCT (mount_id, principal)
);
CREATE TABLE filestore.charge_deltas (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mount_id   bigint NOT NULL,
    principal  text,
    size_bytes bigint NOT NULL,
    node_count bigint NOT NULL
);
CREATE INDEX charge_deltas_of ON filestore.charge_deltas (mount_id, principal);
ALTER TABLE filestore.charge_deltas SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

-- Whatever statement writes nodes: what it changes of what principals have there. The rows are joined with nothing: see
-- check_parents.
CREATE FUNCTION filestore.charge_created() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO filestore.charge_deltas (mount_id, principal, size_bytes, node_count)
    SELECT mount_id, charged_to, sum(CASE kind WHEN 'file' THEN size_bytes ELSE 0 END), count(*)
      FROM written WHERE charged_to IS NOT NULL AND state <> 'deleted' GROUP BY mount_id, charged_to;
    RETURN NULL;
END $$;
CREATE FUNCTION filestore.charge_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO filestore.charge_deltas (mount_id, principal, size_bytes, node_count)
    SELECT x.mount_id, x.charged_to, sum(x.n * CASE x.kind WHEN 'file' THEN x.size_bytes ELSE 0 END), sum(x.n)
      FROM (SELECT mount_id, charged_to, kind, size_bytes, 1 AS n FROM written WHERE charged_to IS NOT NULL AND state <> 'deleted'
             UNION ALL
            SELECT mount_id, charged_to, kind, size_bytes, -1 FROM former WHERE charged_to IS NOT NULL AND state <> 'deleted') x
     GROUP BY x.mount_id, x.charged_to
    HAVING sum(x.n) <> 0 OR sum(x.n * CASE x.kind WHEN 'file' THEN x.size_bytes ELSE 0 END) <> 0;
    RETURN NULL;
END $$;
CREATE TRIGGER nodes_charged AFTER INSERT ON filestore.nodes
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION filestore.charge_created();
CREATE TRIGGER nodes_recharged AFTER UPDATE ON filestore.nodes
    REFERENCING NEW TABLE AS written OLD TABLE AS former FOR EACH STATEMENT EXECUTE FUNCTION filestore.charge_changed();

-- The same of what the trash keeps: versions with the same content share its place, and it counts once.
CREATE FUNCTION filestore.charge_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO filestore.charge_deltas (mount_id, principal, size_bytes, node_count)
    SELECT n.mount_id, NULL, sum(k.size_bytes * sign(k.n)), sum(sign(k.n))
      FROM (SELECT x.node_id, x.content_place, max(x.size_bytes) AS size_bytes, sum(x.n) AS n
              FROM (SELECT node_id, content_place, size_bytes, 1 AS n FROM written WHERE content_place IS NOT NULL AND kind = 'file'
                     UNION ALL
                    SELECT node_id, content_place, size_bytes, -1 FROM former WHERE content_place IS NOT NULL AND kind = 'file') x
             GROUP BY x.node_id, x.content_place HAVING sum(x.n) <> 0 OFFSET 0) k
     CROSS JOIN LATERAL (SELECT o.mount_id FROM filestore.nodes o WHERE o.id = k.node_id OFFSET 0) n
     GROUP BY n.mount_id;
    RETURN NULL;
END $$;
CREATE TRIGGER snapshots_kept_charged AFTER UPDATE ON filestore.snapshots
    REFERENCING NEW TABLE AS written OLD TABLE AS former FOR EACH STATEMENT EXECUTE FUNCTION filestore.charge_kept();

-- What the trash keeps already.
INSERT INTO filestore.charges (mount_id, principal, size_bytes, node_count)
SELECT n.mount_id, NULL, sum(k.size_bytes), count(*)
  FROM (SELECT s.node_id, s.content_place, max(s.size_bytes) AS size_bytes FROM filestore.snapshots s
         WHERE s.content_place IS NOT NULL AND s.kind = 'file' GROUP BY s.node_id, s.content_place) k
  JOIN filestore.nodes n ON n.id = k.node_id GROUP BY n.mount_id;

-- What lies in the scope of a quota, as the record has it.
CREATE FUNCTION filestore.quota_use_v1(q filestore.quotas) RETURNS TABLE (bytes bigint, nodes bigint)
LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT coalesce(sum(u.bytes), 0)::bigint, coalesce(sum(u.nodes), 0)::bigint
      FROM (SELECT k.id FROM filestore.backend_mounts k
             WHERE k.tenant = q.tenant AND k.removed_at IS NULL AND (q.mount_id IS NULL OR k.id = q.mount_id) OFFSET 0) m
     CROSS JOIN LATERAL (
         SELECT r.size_bytes AS bytes, r.file_count + r.directory_count AS nodes
           FROM (SELECT d.id FROM filestore.nodes d
                  WHERE d.mount_id = m.id AND d.directory_path = coalesce(q.path || '\x2f'::bytea, ''::bytea)
                    AND d.directory_path IS NOT NULL AND d.state <> 'deleted' OFFSET 0) d
          CROSS JOIN LATERAL filestore.rollup_of(d.id) r WHERE q.principal IS NULL
          UNION ALL
         SELECT c.size_bytes, c.node_count FROM filestore.charges c
          WHERE q.principal IS NOT NULL AND c.mount_id = m.id AND c.principal = q.principal
          UNION ALL
         SELECT c.size_bytes, c.node_count FROM filestore.charge_deltas c
          WHERE q.principal IS NOT NULL AND c.mount_id = m.id AND c.principal = q.principal
          UNION ALL
         SELECT c.size_bytes, 0 FROM filestore.charges c WHERE q.trash AND c.mount_id = m.id AND c.principal IS NULL
          UNION ALL
         SELECT c.size_bytes, 0 FROM filestore.charge_deltas c WHERE q.trash AND c.mount_id = m.id AND c.principal IS NULL) u
$$;

-- What a deleted directory brings back of each principal, itself included: what the same command deleted with it.
CREATE FUNCTION filestore.returning_v1(directory bigint) RETURNS TABLE (principal text, bytes bigint, nodes bigint)
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE below AS (
        SELECT d.id, s.command_id AS deleter
          FROM filestore.nodes d
         CROSS JOIN LATERAL (SELECT k.command_id FROM filestore.snapshots k
                              WHERE k.node_id = d.id AND k.version = d.version OFFSET 0) s WHERE d.id = directory
         UNION ALL
        SELECT n.id, b.deleter
          FROM below b
         CROSS JOIN LATERAL (SELECT k.id, k.version FROM filestore.nodes k
                              WHERE k.parent_id = b.id AND k.state = 'deleted' OFFSET 0) n
         CROSS JOIN LATERAL (SELECT FROM filestore.snapshots k
                              WHERE k.node_id = n.id AND k.version = n.version AND k.command_id = b.deleter OFFSET 0) s
    )
    SELECT n.charged_to, sum(CASE n.kind WHEN 'file' THEN n.size_bytes ELSE 0 END)::bigint, count(*)
      FROM below b
     CROSS JOIN LATERAL (SELECT k.charged_to, k.kind, k.size_bytes FROM filestore.nodes k WHERE k.id = b.id OFFSET 0) n
     WHERE n.charged_to IS NOT NULL GROUP BY n.charged_to
$$;

-- What a command will have changed, and where: of all there is (without a principal), and of what principals have. `kept`: what
-- it puts into the trash, and takes from there.
CREATE FUNCTION filestore.shifts_v1(intent jsonb, mount bigint, own bytea, by text)
RETURNS TABLE (mount_id bigint, path bytea, principal text, bytes bigint, nodes bigint, kept bigint)
LANGUAGE sql STABLE ROWS 2 AS $$
    SELECT x.*
      FROM (SELECT intent->>'step' AS step, coalesce(decode(intent->>'at', 'hex'), own) AS place, intent->>'kind' AS kind,
                   (intent->>'size')::bigint AS size, coalesce((intent->>'previous_size')::bigint, 0) AS previous,
                   (intent->>'node')::bigint AS node, intent->'replaced' AS replaced, intent->'departs' AS departs) i
      LEFT JOIN LATERAL (
          SELECT r.size_bytes, r.file_count + r.directory_count AS below
            FROM filestore.rollup_of(CASE i.step WHEN 'create' THEN (intent->'source'->>'node')::bigint ELSE i.node END) r
           WHERE i.kind = 'directory') t ON true
      LEFT JOIN LATERAL (SELECT n.charged_to FROM filestore.nodes n
                          WHERE i.step IN ('replace', 'restore') AND n.id = i.node OFFSET 0) o ON true
     CROSS JOIN LATERAL (SELECT CASE i.kind WHEN 'directory' THEN coalesce(t.size_bytes, 0) ELSE i.size END AS bytes,
                                1 + coalesce(t.below, 0) AS nodes) w
     CROSS JOIN LATERAL (
         SELECT mount, i.place, NULL::text, w.bytes, w.nodes, CASE i.step WHEN 'restore' THEN -w.bytes ELSE 0 END
          WHERE i.step IN ('create', 'move', 'restore')
          UNION ALL
         SELECT mount, own, NULL, -w.bytes, -w.nodes, CASE i.step WHEN 'delete' THEN w.bytes ELSE 0 END
          WHERE i.step IN ('move', 'delete')
          UNION ALL
         SELECT mount, i.place, NULL, i.size - i.previous, 0, i.previous WHERE i.step = 'replace'
          UNION ALL
         SELECT mount, i.place, NULL, -(i.replaced->>'size')::bigint, -1, (i.replaced->>'size')::bigint WHERE i.replaced IS NOT NULL
          UNION ALL
         SELECT (i.departs->>'mount')::bigint, decode(i.departs->>'path', 'hex'), NULL, -w.bytes, -w.nodes, w.bytes
          WHERE i.departs IS NOT NULL
          UNION ALL
         SELECT mount, i.place, by, w.bytes, w.nodes, 0 WHERE i.step = 'create'
          UNION ALL
         SELECT mount, i.place, by, i.size, 1, 0 WHERE i.step = 'replace'
          UNION ALL
         SELECT mount, i.place, o.charged_to, -i.previous, -1, 0 WHERE i.step = 'replace' AND o.charged_to IS NOT NULL
          UNION ALL
         SELECT mount, i.place, o.charged_to, i.size, 1, 0
          WHERE i.step = 'restore' AND i.kind <> 'directory' AND o.charged_to IS NOT NULL
          UNION ALL
         SELECT mount, i.place, b.principal, b.bytes, b.nodes, 0 FROM filestore.returning_v1(i.node) b
          WHERE i.step = 'restore' AND i.kind = 'directory'
            AND EXISTS (SELECT FROM filestore.quotas q WHERE q.principal IS NOT NULL)
     ) x(mount_id, path, principal, bytes, nodes, kept)
$$;

-- Whether a change counts for a quota of its tenant.
CREATE FUNCTION filestore.quota_covers_v1(q filestore.quotas, mount bigint, place bytea, of_principal text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT (q.mount_id IS NULL OR q.mount_id = mount) AND q.principal IS NOT DISTINCT FROM of_principal
       AND (q.path IS NULL OR place > q.path || '\x2f'::bytea AND place < q.path || '\x30'::bytea)
$$;

-- What running commands may still add in the scope of a quota. They are its reservations: one ends with its command, however that
-- ends, and in the transaction that changes the totals.
CREATE FUNCTION filestore.quota_reserved_v1(q filestore.quotas) RETURNS TABLE (bytes bigint, nodes bigint)
LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT coalesce(sum(greatest(s.bytes, 0)), 0)::bigint, coalesce(sum(greatest(s.nodes, 0)), 0)::bigint
      FROM (SELECT k.id FROM filestore.backend_mounts k
             WHERE k.tenant = q.tenant AND k.removed_at IS NULL AND (q.mount_id IS NULL OR q.trash OR k.id = q.mount_id) OFFSET 0) m
     CROSS JOIN LATERAL (SELECT c.intent, c.mount_id, c.path, c.principal FROM filestore.commands c
                          WHERE c.mount_id = m.id AND c.status = 'running' OFFSET 0) c
     CROSS JOIN LATERAL (
         SELECT sum(x.bytes + CASE WHEN q.trash THEN x.kept ELSE 0 END) AS bytes, sum(x.nodes) AS nodes
           FROM filestore.shifts_v1(c.intent, c.mount_id, c.path, c.principal) x
          WHERE filestore.quota_covers_v1(q, x.mount_id, x.path, x.principal)) s
$$;
