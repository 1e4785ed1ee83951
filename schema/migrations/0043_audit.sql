-- The journal is sealed: each seal is a hash of the entries behind the one before it, and of that one.
CREATE TABLE filestore.audit_seals (
    number    bigint PRIMARY KEY,
    format    smallint NOT NULL,                       -- how a line is made of an entry
    after_id  bigint NOT NULL,                         -- it covers the entries behind this one
    last_id   bigint NOT NULL CHECK (last_id > after_id),
    entries   integer NOT NULL CHECK (entries > 0),
    root      bytea NOT NULL CHECK (octet_length(root) = 32),
    leaves    bytea NOT NULL,                          -- 16 bytes for each entry: they name the one that differs
    previous  bytea NOT NULL CHECK (octet_length(previous) = 32),
    hash      bytea NOT NULL CHECK (octet_length(hash) = 32),
    sealed_at timestamptz NOT NULL
);
ALTER TABLE filestore.audit_seals ALTER COLUMN leaves SET STORAGE EXTERNAL;
CREATE TRIGGER seals_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON filestore.audit_seals
    FOR EACH STATEMENT EXECUTE FUNCTION filestore.refuse_change();

CREATE TABLE filestore.audit_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    number   bigint NOT NULL DEFAULT 0,                -- the last seal
    hash     bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
    last_id  bigint NOT NULL DEFAULT 0,
    moved_id bigint NOT NULL DEFAULT 0                 -- entries up to this one, the last of a seal, lie in an archive
);
INSERT INTO filestore.audit_head DEFAULT VALUES;
