-- Which file old content is stands with the version that had it, and no longer with the command that put it away: commands are
-- pruned. (NULL: the content is with its node.) What is kept already says it from now on too.
CREATE FUNCTION filestore.seen_identity_v1(n filestore.nodes) RETURNS filestore.file_identity LANGUAGE sql STABLE AS $$
    SELECT ROW(n.device, n.inode, n.birth_ns, n.observed_size, n.observed_mtime_ns, n.observed_ctime_ns,
        (n.kind = 'directory')::integer, n.observed_mode, n.observed_links, n.s3_etag, n.s3_version_id)::filestore.file_identity
$$;

CREATE OR REPLACE FUNCTION filestore.node_identity(n filestore.nodes) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT filestore.facts_v1(filestore.seen_identity_v1(n))
$$;

ALTER TABLE filestore.snapshots ADD COLUMN content_identity filestore.file_identity;

-- A command knows the identity of its own node and of those that left with it; below a tree that was deleted, the nodes do.
UPDATE filestore.snapshots s
   SET content_identity = coalesce(
       (SELECT f FROM filestore.commands c
         CROSS JOIN LATERAL (VALUES (c.intent), (c.intent->'replaced'), (c.intent->'departs')) AS g(leaves)
         CROSS JOIN LATERAL filestore.identity_v1(g.leaves->'expected') f
         WHERE c.id = filestore.command_of(s.content_place) AND (g.leaves->>'node')::bigint = s.node_id
           AND jsonb_typeof(g.leaves->'expected') = 'array' LIMIT 1),
       (SELECT filestore.seen_identity_v1(n) FROM filestore.nodes n WHERE n.id = s.node_id AND n.state = 'deleted'))
 WHERE s.content_place IS NOT NULL;

DROP FUNCTION filestore.command_of(bytea);

-- What is not kept any more. Commands that ended, and events that were written, up to these moments may be gone; events up to
-- this position are.
CREATE TABLE filestore.retention (
    only_row        boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    commands_until  timestamptz,
    events_until    timestamptz,
    events_position bigint NOT NULL DEFAULT 0
);
INSERT INTO filestore.retention DEFAULT VALUES;
