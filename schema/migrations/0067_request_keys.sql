-- Requests that make something and are no commands, by the keys of their clients: sent again, each makes nothing more.
CREATE TABLE filestore.request_keys (
    tenant     text NOT NULL,
    principal  text NOT NULL,
    key        text NOT NULL,
    hash       bytea NOT NULL CHECK (octet_length(hash) = 32),
    made       text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, principal, key)
);
CREATE INDEX request_keys_age ON filestore.request_keys (created_at);
