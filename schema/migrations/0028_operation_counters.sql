-- How many items of an operation ended with each code, and one of them: counted by the rows that change, so that nothing has to
-- read all items to say so.
CREATE TABLE filestore.operation_errors (
    operation_id uuid NOT NULL REFERENCES filestore.operations ON DELETE CASCADE,
    code         text NOT NULL,
    count        bigint NOT NULL,
    item         integer NOT NULL,
    PRIMARY KEY (operation_id, code)
);
INSERT INTO filestore.operation_errors (operation_id, code, count, item)
SELECT operation_id, code, count(*), min(item) FROM filestore.operation_items
 WHERE state IN ('failed', 'skipped') AND code IS NOT NULL GROUP BY operation_id, code;

CREATE FUNCTION filestore.count_codes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO filestore.operation_errors AS e (operation_id, code, count, item)
    SELECT x.operation_id, x.code, count(*), min(x.item)
      FROM became x WHERE x.state IN ('failed', 'skipped') AND x.code IS NOT NULL GROUP BY x.operation_id, x.code
    ON CONFLICT (operation_id, code) DO UPDATE
       SET count = e.count + excluded.count, item = CASE e.count WHEN 0 THEN excluded.item ELSE e.item END;
    RETURN NULL;
END $$;
CREATE FUNCTION filestore.recount_codes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WITH changed AS (
        SELECT x.operation_id, x.code, sum(x.n) AS n, coalesce(min(x.item) FILTER (WHERE x.n > 0), 0) AS item
          FROM (SELECT operation_id, code, item, 1 AS n FROM became WHERE state IN ('failed', 'skipped') AND code IS NOT NULL
                 UNION ALL
                SELECT operation_id, code, item, -1 FROM was WHERE state IN ('failed', 'skipped') AND code IS NOT NULL) x
         GROUP BY x.operation_id, x.code
    )
    INSERT INTO filestore.operation_errors AS e (operation_id, code, count, item)
    SELECT c.operation_id, c.code, c.n, c.item FROM changed c WHERE c.n <> 0
    ON CONFLICT (operation_id, code) DO UPDATE SET count = e.count + excluded.count,
        item = CASE WHEN e.count = 0 THEN excluded.item WHEN excluded.count > 0 THEN e.item
                    -- The one that was named may be among those that are tried again.
                    ELSE coalesce((SELECT min(i.item) FROM filestore.operation_items i
                                    WHERE i.operation_id = e.operation_id AND i.state IN ('failed', 'skipped')
                                      AND i.code = e.code), 0) END;
    RETURN NULL;
END $$;
CREATE FUNCTION filestore.uncount_codes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE filestore.operation_errors e SET count = e.count - x.n
      FROM (SELECT operation_id, code, count(*) AS n FROM was WHERE state IN ('failed', 'skipped') GROUP BY operation_id, code) x
     WHERE e.operation_id = x.operation_id AND e.code = x.code;
    RETURN NULL;
END $$;
CREATE TRIGGER items_planned AFTER INSERT ON filestore.operation_items
    REFERENCING NEW TABLE AS became FOR EACH STATEMENT EXECUTE FUNCTION filestore.count_codes();
CREATE TRIGGER items_changed AFTER UPDATE ON filestore.operation_items
    REFERENCING OLD TABLE AS was NEW TABLE AS became FOR EACH STATEMENT EXECUTE FUNCTION filestore.recount_codes();
CREATE TRIGGER items_removed AFTER DELETE ON filestore.operation_items
    REFERENCING OLD TABLE AS was FOR EACH STATEMENT EXECUTE FUNCTION filestore.uncount_codes();

-- An item as the plan, the runner and clients read it: its columns are named here alone.
CREATE VIEW filestore.operation_steps AS
SELECT operation_id, item, kind, path, target, node_id, node_kind, version, target_version, content_version, size_bytes, nodes,
       needs, state, code, message, command_id, left_node, left_version, replaced_version, retry_at
  FROM filestore.operation_items;

-- Commands that were at work in the subtree when the plan was begun: what they change the plan has not seen. And the mount that an
-- operation waits for, how often it was tried, and when it is tried again.
ALTER TABLE filestore.operations ADD planned_beside uuid[];
ALTER TABLE filestore.operations ADD away_mount bigint;
ALTER TABLE filestore.operations ADD away_tries integer NOT NULL DEFAULT 0;
ALTER TABLE filestore.operations ADD away_until timestamptz;
ALTER TABLE filestore.operation_controls ADD request_hash text;
-- What an item of a plan makes appear, by the place: two of them do not go to one.
CREATE INDEX operation_items_appears ON filestore.operation_items (operation_id, coalesce(target, path))
    WHERE kind IN ('mkdir', 'copy', 'move', 'restore');
