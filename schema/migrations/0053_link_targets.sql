-- Where a symbolic link leads is all its content: with it a link that is gone can be put back.
CREATE TABLE filestore.link_targets (
    node_id bigint PRIMARY KEY REFERENCES filestore.nodes ON DELETE CASCADE,
    target  bytea NOT NULL
);

ALTER TABLE filestore.look_entries ADD COLUMN target bytea;
