-- What a node lies in was asked for twice: by triggers once per statement, and by references once per row. The second took half of
-- the time that a new node takes. The triggers now ask for all of it.
CREATE OR REPLACE FUNCTION filestore.check_parents() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE wrong bigint;
BEGIN
    SELECT n.id INTO wrong FROM written n
     WHERE n.state <> 'deleted' AND n.depth > 0
       AND NOT EXISTS (SELECT FROM filestore.nodes p WHERE p.id = n.parent_id
                          AND p.kind = 'directory' AND p.state <> 'deleted' AND p.mount_id = n.mount_id AND p.depth = n.depth - 1
                       OFFSET 0)
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'node % has no living parent directory', wrong
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'nodes_no_orphan';
    END IF;
    RETURN NULL;
END $$;

-- A root has a mount, which stays. What lies below it is on its parent's.
CREATE FUNCTION filestore.check_root() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM filestore.backend_mounts m WHERE m.id = NEW.mount_id FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no mount % for this root', NEW.mount_id
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'nodes_no_orphan';
    END IF;
    RETURN NULL;
END $$;

-- What a node lies in is asked for once per statement, by `check_parents`, and no row of nodes is ever removed.
CREATE FUNCTION filestore.refuse_removal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a node stays, also when it is deleted' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER nodes_stay BEFORE DELETE ON filestore.nodes FOR EACH ROW EXECUTE FUNCTION filestore.refuse_removal();

CREATE TRIGGER nodes_root AFTER INSERT ON filestore.nodes FOR EACH ROW WHEN (NEW.depth = 0)
    EXECUTE FUNCTION filestore.check_root();
ALTER TABLE filestore.nodes DROP CONSTRAINT nodes_mount_id_fkey, DROP CONSTRAINT nodes_parent_id_fkey;
