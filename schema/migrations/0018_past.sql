-- What was at an earlier time: what a directory held, by kind and name; which versions began in a span; and what the trash keeps.
-- A place has a day and a name: what lies deeper came there with the directory that it is in.
CREATE INDEX snapshots_children ON filestore.snapshots (parent_id, kind, name, node_id);
DROP INDEX filestore.snapshots_directory;
CREATE INDEX snapshots_begun ON filestore.snapshots (valid_from, node_id, version);
CREATE INDEX snapshots_kept ON filestore.snapshots (content_until, node_id, version)
    WHERE content_place IS NOT NULL AND position('\x2f'::bytea IN substring(content_place FROM 12)) = 0;

-- The version that a node had at a time. No row: it was not there yet. Of a deleted node it is the version that says so.
CREATE FUNCTION filestore.version_at_v1(node bigint, moment timestamptz) RETURNS SETOF filestore.snapshots
LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT s.* FROM filestore.snapshots s WHERE s.node_id = node AND s.valid_from <= moment ORDER BY s.version DESC LIMIT 1
$$;

-- Where a node lay below a directory at a time: the path from there. NULL: it did not lie there, or did not live.
CREATE FUNCTION filestore.path_below_v1(node bigint, directory bigint, moment timestamptz) RETURNS bytea LANGUAGE sql STABLE AS $$
    WITH RECURSIVE up AS (
        SELECT node AS id, NULL::bytea AS path
         UNION ALL
        SELECT s.parent_id, CASE WHEN u.path IS NULL THEN s.name ELSE s.name || '\x2f'::bytea || u.path END
          FROM up u CROSS JOIN LATERAL filestore.version_at_v1(u.id, moment) s
         WHERE u.id <> directory AND s.state <> 'deleted'
    )
    SELECT coalesce(u.path, ''::bytea) FROM up u WHERE u.id = directory
$$;
