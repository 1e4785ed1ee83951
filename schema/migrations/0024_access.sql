-- Grants, tenants, and what tokens can be made with; administrative acts are journal entries, and most have no mount.
ALTER TABLE filestore.tokens DROP CONSTRAINT tokens_scopes_check;
ALTER TABLE filestore.tokens
    ADD COLUMN description text,
    ADD COLUMN version bigint NOT NULL DEFAULT 1,
    ADD COLUMN previous_hash bytea UNIQUE CHECK (octet_length(previous_hash) = 32),
    ADD COLUMN previous_until timestamptz,
    ADD COLUMN requests_per_second real CHECK (requests_per_second > 0),
    ADD COLUMN uploads_max integer CHECK (uploads_max > 0),
    ADD COLUMN created_by text;
ALTER TABLE filestore.tokens ADD CONSTRAINT tokens_scopes_check CHECK (scopes <@ ARRAY['read', 'write', 'admin',
    'filestore:read', 'filestore:write', 'filestore:delete', 'filestore:operate', 'filestore:share', 'filestore:credentials',
    'filestore:admin']);
ALTER TABLE filestore.tokens ADD CONSTRAINT tokens_previous_check CHECK ((previous_hash IS NULL) = (previous_until IS NULL));
CREATE INDEX tokens_tenant ON filestore.tokens (tenant, id);

CREATE TABLE filestore.grants (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token_id bigint NOT NULL REFERENCES filestore.tokens ON DELETE CASCADE,
    mount_id bigint REFERENCES filestore.backend_mounts,
    pattern  text NOT NULL,
    effect   text NOT NULL CHECK (effect IN ('allow', 'deny')),
    scopes   text[] NOT NULL DEFAULT '{}'
);
CREATE INDEX grants_token ON filestore.grants (token_id, id);

-- The grants of a token, as clients read them, in the order in which they were given.
CREATE FUNCTION filestore.grants_of_v1(token bigint) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object('backendMountId', g.mount_id, 'pattern', g.pattern, 'effect', g.effect,
               'scopes', to_jsonb(g.scopes)) ORDER BY g.id), '[]')
      FROM filestore.grants g WHERE g.token_id = token
$$;

-- Whether a path is held by patterns. `bounds`: where subtrees begin and end, in order; `glob`: the others, on bytes as Latin-1
-- text. The same as Reach.holds in schema/access/places.py.
CREATE FUNCTION filestore.held_v1(path bytea, bounds bytea[], glob text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT width_bucket(path || '\x2f'::bytea, bounds) % 2 = 1 OR coalesce(convert_from(path, 'LATIN1') ~ glob, false)
$$;

CREATE TABLE filestore.tenants (
    name         text PRIMARY KEY,
    display_name text,
    suspended    text CHECK (suspended IN ('all', 'changes')),
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now()
);
INSERT INTO filestore.tenants (name) VALUES ('main');

ALTER TABLE filestore.journal_entries ALTER COLUMN mount_id DROP NOT NULL;
