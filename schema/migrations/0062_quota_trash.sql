-- Quotas of paths and of principals count what the trash keeps, too, where they shall. See docs/access.md.
ALTER TABLE filestore.quotas DROP CONSTRAINT quotas_trash;
ALTER TABLE filestore.charges ADD COLUMN quota_id bigint;
ALTER TABLE filestore.charges DROP CONSTRAINT charges_of;
ALTER TABLE filestore.charges ADD CONSTRAINT charges_of UNIQUE NULLS NOT DISTINCT (mount_id, principal, quota_id);
CREATE INDEX charges_quota ON filestore.charges (quota_id) WHERE quota_id IS NOT NULL;
ALTER TABLE filestore.charge_deltas ADD COLUMN quota_id bigint;
CREATE INDEX charge_deltas_quota ON filestore.charge_deltas (quota_id) WHERE quota_id IS NOT NULL;

-- What the trash keeps in the scope of a quota that is about a path or a principal, and counts the trash: content by content, where
-- it was deleted or replaced, and of its last writer. What it sums up to is among the charges, with the quota.
CREATE TABLE filestore.quota_kept (
    quota_id      bigint NOT NULL,
    content_place bytea NOT NULL,
    node_id       bigint NOT NULL,
    size_bytes    bigint NOT NULL,
    PRIMARY KEY (quota_id, content_place, node_id)
);
CREATE INDEX quota_kept_content ON filestore.quota_kept (node_id, content_place);

-- What these contents of files, which lie in the trash now, add to quotas of paths and principals. A quota that begins locks the
-- table alone first: what is counted here is counted for it, too, or lies in the trash already. It runs before the nodes change.
CREATE FUNCTION filestore.keep_for_quotas_v1(nodes bigint[], places bytea[], sizes bigint[])
RETURNS TABLE (mount_id bigint, quota_id bigint, size_bytes bigint, node_count bigint) LANGUAGE plpgsql AS $$
BEGIN
    LOCK TABLE filestore.quota_kept IN ROW EXCLUSIVE MODE;
    IF nodes IS NULL OR NOT EXISTS (SELECT FROM filestore.quotas q
                                     WHERE q.trash AND (q.path IS NOT NULL OR q.principal IS NOT NULL)) THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH kept AS (
        INSERT INTO filestore.quota_kept AS t (quota_id, content_place, node_id, size_bytes)
        SELECT q.id, k.place, k.node, k.size
          FROM unnest(nodes, places, sizes) AS k(node, place, size)
         CROSS JOIN LATERAL (SELECT o.tenant, o.mount_id, o.charged_to, o.parent_id, o.name FROM filestore.nodes o
                              WHERE o.id = k.node OFFSET 0) n
         CROSS JOIN LATERAL (SELECT d.directory_path || n.name AS path FROM filestore.nodes d WHERE d.id = n.parent_id OFFSET 0) p
          JOIN filestore.quotas q ON q.tenant = n.tenant AND q.trash AND (q.path IS NOT NULL OR q.principal IS NOT NULL)
           AND filestore.quota_covers_v1(q, n.mount_id, p.path, CASE WHEN q.path IS NULL THEN n.charged_to END)
        ON CONFLICT DO NOTHING RETURNING t.quota_id, t.node_id, t.size_bytes
    )
    SELECT n.mount_id, k.quota_id, sum(k.size_bytes)::bigint, count(*)
      FROM kept k CROSS JOIN LATERAL (SELECT o.mount_id FROM filestore.nodes o WHERE o.id = k.node_id OFFSET 0) n
     GROUP BY n.mount_id, k.quota_id;
END $$;

-- The same of what does not lie there any more.
CREATE FUNCTION filestore.let_go_for_quotas_v1(nodes bigint[], places bytea[])
RETURNS TABLE (mount_id bigint, quota_id bigint, size_bytes bigint, node_count bigint) LANGUAGE plpgsql AS $$
BEGIN
    IF nodes IS NULL THEN
        RETURN;
    END IF;
    LOCK TABLE filestore.quota_kept IN ROW EXCLUSIVE MODE;
    RETURN QUERY
    WITH gone AS (
        DELETE FROM filestore.quota_kept t USING unnest(nodes, places) AS k(node, place)
         WHERE t.node_id = ANY (ARRAY[k.node]) AND t.content_place = ANY (ARRAY[k.place])
        RETURNING t.quota_id, t.node_id, t.size_bytes
    )
    SELECT n.mount_id, g.quota_id, -sum(g.size_bytes)::bigint, -count(*)
      FROM gone g CROSS JOIN LATERAL (SELECT o.mount_id FROM filestore.nodes o WHERE o.id = g.node_id OFFSET 0) n
     GROUP BY n.mount_id, g.quota_id;
END $$;

-- The same of what the trash keeps: versions with the same content share its place, and it counts once.
CREATE OR REPLACE FUNCTION filestore.charge_kept() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    k record;
BEGIN
    SELECT array_agg(x.node_id) FILTER (WHERE x.n > 0) AS nodes, array_agg(x.content_place) FILTER (WHERE x.n > 0) AS places,
           array_agg(x.size_bytes) FILTER (WHERE x.n > 0) AS sizes, array_agg(x.node_id) FILTER (WHERE x.n < 0) AS gone,
           array_agg(x.content_place) FILTER (WHERE x.n < 0) AS gone_places,
           array_agg(x.size_bytes) FILTER (WHERE x.n < 0) AS gone_sizes
      FROM (SELECT y.node_id, y.content_place, max(y.size_bytes) AS size_bytes, sum(y.n) AS n
              FROM (SELECT node_id, content_place, size_bytes, 1 AS n FROM written WHERE content_place IS NOT NULL AND kind = 'file'
                     UNION ALL
                    SELECT node_id, content_place, size_bytes, -1 FROM former WHERE content_place IS NOT NULL AND kind = 'file') y
             GROUP BY y.node_id, y.content_place HAVING sum(y.n) <> 0) x INTO k;
    IF k.nodes IS NULL AND k.gone IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO filestore.charge_deltas (mount_id, quota_id, size_bytes, node_count)
    SELECT n.mount_id, NULL, sum(c.size * c.sign), sum(c.sign)
      FROM (SELECT node, size, 1 AS sign FROM unnest(k.nodes, k.sizes) AS a(node, size)
             UNION ALL
            SELECT node, size, -1 FROM unnest(k.gone, k.gone_sizes) AS a(node, size) OFFSET 0) c
     CROSS JOIN LATERAL (SELECT o.mount_id FROM filestore.nodes o WHERE o.id = c.node OFFSET 0) n
     GROUP BY n.mount_id
     UNION ALL
    SELECT f.* FROM filestore.keep_for_quotas_v1(k.nodes, k.places, k.sizes) f
     UNION ALL
    SELECT f.* FROM filestore.let_go_for_quotas_v1(k.gone, k.gone_places) f;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION filestore.quota_use_v1(q filestore.quotas) RETURNS TABLE (bytes bigint, nodes bigint)
LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT coalesce(sum(u.bytes), 0)::bigint, coalesce(sum(u.nodes), 0)::bigint
      FROM (SELECT k.id FROM filestore.backend_mounts k
             WHERE k.tenant = q.tenant AND k.removed_at IS NULL AND (q.mount_id IS NULL OR k.id = q.mount_id) OFFSET 0) m
     CROSS JOIN (SELECT CASE WHEN q.path IS NOT NULL OR q.principal IS NOT NULL THEN q.id END AS quota) s
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
         SELECT c.size_bytes, 0 FROM filestore.charges c
          WHERE q.trash AND c.mount_id = m.id AND c.principal IS NULL AND c.quota_id IS NOT DISTINCT FROM s.quota
          UNION ALL
         SELECT c.size_bytes, 0 FROM filestore.charge_deltas c
          WHERE q.trash AND c.mount_id = m.id AND c.principal IS NULL AND c.quota_id IS NOT DISTINCT FROM s.quota) u
$$;

CREATE OR REPLACE FUNCTION filestore.shifts_v1(intent jsonb, mount bigint, own bytea, by text)
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
         SELECT mount, i.place, o.charged_to, -i.previous, -1, i.previous WHERE i.step = 'replace' AND o.charged_to IS NOT NULL
          UNION ALL
         SELECT mount, i.place, o.charged_to, i.size, 1, -i.size
          WHERE i.step = 'restore' AND i.kind <> 'directory' AND o.charged_to IS NOT NULL
          UNION ALL
         SELECT mount, i.place, b.principal, b.bytes, b.nodes, -b.bytes FROM filestore.returning_v1(i.node) b
          WHERE i.step = 'restore' AND i.kind = 'directory'
            AND EXISTS (SELECT FROM filestore.quotas q WHERE q.principal IS NOT NULL)
     ) x(mount_id, path, principal, bytes, nodes, kept)
$$;

-- How much of what a command puts into the trash, or takes from there, counts for a quota. What comes back counts for that of a
-- path, or of a principal, only where it counted before: it may have been deleted elsewhere.
CREATE FUNCTION filestore.quota_keeps_v1(q filestore.quotas, kept bigint, intent jsonb) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN NOT q.trash THEN 0
                WHEN kept >= 0 OR q.path IS NULL AND q.principal IS NULL THEN kept
                ELSE (SELECT -coalesce(sum(k.size_bytes), 0)
                        FROM (SELECT decode(intent->>'place', 'hex') AS place) p
                       CROSS JOIN LATERAL (
                           SELECT t.size_bytes FROM filestore.quota_kept t
                            WHERE t.quota_id = q.id AND t.content_place = p.place AND t.node_id = (intent->>'node')::bigint
                            UNION ALL
                           SELECT t.size_bytes FROM filestore.quota_kept t
                            WHERE t.quota_id = q.id AND t.content_place > p.place || '\x2f'::bytea
                              AND t.content_place < p.place || '\x30'::bytea) k) END
$$;

CREATE OR REPLACE FUNCTION filestore.quota_reserved_v1(q filestore.quotas) RETURNS TABLE (bytes bigint, nodes bigint)
LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT coalesce(sum(greatest(s.bytes, 0)), 0)::bigint, coalesce(sum(greatest(s.nodes, 0)), 0)::bigint
      FROM (SELECT k.id FROM filestore.backend_mounts k
             WHERE k.tenant = q.tenant AND k.removed_at IS NULL AND (q.mount_id IS NULL OR q.trash OR k.id = q.mount_id) OFFSET 0) m
     CROSS JOIN LATERAL (SELECT c.intent, c.mount_id, c.path, c.principal FROM filestore.commands c
                          WHERE c.mount_id = m.id AND c.status = 'running' OFFSET 0) c
     CROSS JOIN LATERAL (
         SELECT sum(x.bytes + filestore.quota_keeps_v1(q, x.kept, c.intent)) AS bytes, sum(x.nodes) AS nodes
           FROM filestore.shifts_v1(c.intent, c.mount_id, c.path, c.principal) x
          WHERE filestore.quota_covers_v1(q, x.mount_id, x.path, x.principal)) s
$$;
