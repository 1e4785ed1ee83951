-- The first version of a node that an import makes was a row that repeats the node: half of what Postgres did for it, and nearly
-- half of its bytes. It is read from the node now, as long as that does not change. Rows that are there stay.
ALTER TABLE filestore.nodes ADD COLUMN first_by uuid;
CREATE INDEX nodes_first ON filestore.nodes (created_at, id) WHERE first_by IS NOT NULL;

DROP FUNCTION filestore.version_at_v1(bigint, timestamptz);
ALTER TABLE filestore.snapshots RENAME TO versions;
DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT c.conname FROM pg_constraint c WHERE c.conrelid = 'filestore.versions'::regclass LOOP
        EXECUTE format('ALTER TABLE filestore.versions RENAME CONSTRAINT %I TO %I', name, replace(name, 'snapshots_', 'versions_'));
    END LOOP;
END $$;

-- The first version of a node that an import has made needs no row: it is the node, as long as that does not change. What ends it
-- writes the row before, and takes `first_by` from the node.
CREATE VIEW filestore.first_versions AS
SELECT n.id AS node_id, n.version, n.first_by AS command_id, n.parent_id, n.name, n.kind, 'active'::filestore.node_state AS state,
       n.size_bytes, n.sha256, n.metadata, n.created_at AS valid_from, NULL::timestamptz AS valid_to, NULL::bytea AS content_place,
       NULL::timestamptz AS content_until, NULL::filestore.file_identity AS content_identity
  FROM filestore.nodes n WHERE n.first_by IS NOT NULL AND n.state <> 'deleted';

-- Every version of every node. What reads versions reads these.
CREATE VIEW filestore.snapshots AS
SELECT v.node_id, v.version, v.command_id, v.parent_id, v.name, v.kind, v.state, v.size_bytes, v.sha256, v.metadata, v.valid_from,
       v.valid_to, v.content_place, v.content_until, v.content_identity
  FROM filestore.versions v
 UNION ALL
SELECT f.node_id, f.version, f.command_id, f.parent_id, f.name, f.kind, f.state, f.size_bytes, f.sha256, f.metadata, f.valid_from,
       f.valid_to, f.content_place, f.content_until, f.content_identity
  FROM filestore.first_versions f;

-- A first version has a row before the node changes.
CREATE FUNCTION filestore.check_first_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the first version of node % ends without a row', OLD.id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'nodes_first_version';
END $$;
CREATE TRIGGER nodes_first_version BEFORE UPDATE ON filestore.nodes FOR EACH ROW
    WHEN (NEW.first_by IS NOT NULL AND NEW.version <> OLD.version) EXECUTE FUNCTION filestore.check_first_version();

-- The version that a node had at a time. No row: it was not there yet. Of a deleted node it is the version that says so.
CREATE FUNCTION filestore.version_at_v1(node bigint, moment timestamptz) RETURNS SETOF filestore.snapshots
LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT s.* FROM filestore.snapshots s WHERE s.node_id = node AND s.valid_from <= moment ORDER BY s.version DESC LIMIT 1
$$;
