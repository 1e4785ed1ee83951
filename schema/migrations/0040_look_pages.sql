-- How far a look has come in the directories that the record knows: another execution of the same look goes on after the last page.
-- Like what it came upon, it lives as long as its look, and a new look finds it again.
CREATE UNLOGGED TABLE filestore.look_pages (
    look_id     bigint NOT NULL,
    number      integer NOT NULL,
    paths       bytea NOT NULL,
    times       bytea NOT NULL,
    names       bigint NOT NULL,
    PRIMARY KEY (look_id, number)
);
