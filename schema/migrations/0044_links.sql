-- Share links: what they are for, and how often they were used. The key that signs one is sealed like other secrets.
CREATE TABLE filestore.links (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant              text NOT NULL,
    token_id            bigint NOT NULL REFERENCES filestore.tokens,     -- of its maker: it never gives more than this may
    principal           text NOT NULL,
    mount_id            bigint NOT NULL REFERENCES filestore.backend_mounts,
    path                bytea NOT NULL,
    kind                text NOT NULL CHECK (kind IN ('read', 'list', 'upload')),
    description         text,
    key                 text NOT NULL DEFAULT '' CHECK (key ~ '^(sealed:|$)'),
    password            text CHECK (password ~ '^scrypt:'),              -- its hash
    max_uses            integer CHECK (max_uses > 0),
    uses                integer NOT NULL DEFAULT 0 CHECK (max_uses IS NULL OR uses <= max_uses),
    requests_per_second double precision NOT NULL,
    expires_at          timestamptz,
    revoked_at          timestamptz,
    created_at          timestamptz NOT NULL DEFAULT now(),
    last_used_at        timestamptz
);
CREATE INDEX links_of ON filestore.links (tenant, id DESC);
