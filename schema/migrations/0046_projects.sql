-- Projects: trees of files that follow to every server. The log of commits is here; the hot store has a projection of it.
CREATE TABLE filestore.projects (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_uuid        uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,          -- its name in the hot and the cold store
    tenant              text NOT NULL,
    name                text NOT NULL,
    mount_id            bigint NOT NULL REFERENCES filestore.backend_mounts,     -- where it is cold
    description         text,
    state               text NOT NULL DEFAULT 'active'
                        CHECK (state IN ('active', 'deactivating', 'inactive', 'reactivating', 'deleted')),
    conflict_rule       text NOT NULL DEFAULT 'last' CHECK (conflict_rule IN ('last', 'keep_both', 'refuse')),
    promotion           text NOT NULL DEFAULT 'fast' CHECK (promotion IN ('fast', 'strict')),
    keep_days           double precision NOT NULL DEFAULT 30 CHECK (keep_days >= 0),
    evict_after_seconds double precision CHECK (evict_after_seconds >= 0),       -- NULL: nothing is evicted by its age
    revision            bigint NOT NULL DEFAULT 0,
    manifest            bytea NOT NULL CHECK (octet_length(manifest) = 32),
    files               bigint NOT NULL DEFAULT 0,
    size_bytes          bigint NOT NULL DEFAULT 0,
    published           bigint NOT NULL DEFAULT 0,                               -- the last revision the hot store was told of
    principal           text NOT NULL,
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now(),
    CHECK (published <= revision)
);
CREATE UNIQUE INDEX projects_name ON filestore.projects (tenant, name) WHERE state <> 'deleted';
CREATE INDEX projects_of_mount ON filestore.projects (mount_id);

-- Where the content of an object is: schema/sync/tiers.py says what each state means, and which moves there are.
CREATE TABLE filestore.project_objects (
    project_id   bigint NOT NULL REFERENCES filestore.projects,
    sha          bytea NOT NULL CHECK (octet_length(sha) = 32),
    generation   bigint GENERATED ALWAYS AS IDENTITY,                            -- in the key of the cold copy
    size_bytes   bigint NOT NULL CHECK (size_bytes >= 0),
    tier         text NOT NULL CHECK (tier IN ('hot', 'hot_cold', 'evicting', 'cold', 'restoring', 'rehydrating', 'missing',
                                               'condemned', 'deleting')),
    was          text,                                                           -- of a condemned one: what it is again if needed
    cold_key     text,
    verified_at  timestamptz,
    last_access  timestamptz NOT NULL DEFAULT now(),
    lease_until  timestamptz,
    pinned_until timestamptz,
    changed_at   timestamptz NOT NULL DEFAULT now(),
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project_id, sha),
    CHECK ((tier = 'condemned') = (was IS NOT NULL)),
    CHECK (tier NOT IN ('hot_cold', 'evicting', 'cold', 'restoring', 'rehydrating') OR cold_key IS NOT NULL)
) WITH (autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX project_objects_tier ON filestore.project_objects (project_id, tier, last_access);

-- The tree as it is now. `key`: a path may be longer than an entry of an index.
CREATE TABLE filestore.project_paths (
    project_id bigint NOT NULL REFERENCES filestore.projects,
    key        bytea GENERATED ALWAYS AS (sha256(path)) STORED,
    path       bytea NOT NULL,
    parent     bytea NOT NULL CHECK (octet_length(parent) = 32),                 -- the key of the directory that holds it
    kind       text NOT NULL CHECK (kind IN ('file', 'directory')),
    sha        bytea,
    size_bytes bigint NOT NULL DEFAULT 0,
    mode       integer NOT NULL,
    revision   bigint NOT NULL,
    PRIMARY KEY (project_id, key),
    FOREIGN KEY (project_id, sha) REFERENCES filestore.project_objects,
    CHECK ((kind = 'file') = (sha IS NOT NULL))
) WITH (autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX project_paths_parent ON filestore.project_paths (project_id, parent);
CREATE INDEX project_paths_sha ON filestore.project_paths (project_id, sha) WHERE sha IS NOT NULL;

CREATE TABLE filestore.project_pages (
    project_id bigint NOT NULL REFERENCES filestore.projects,
    sha        bytea NOT NULL CHECK (octet_length(sha) = 32),
    body       bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project_id, sha)
);

-- What a node sent to be committed, until it is; then what became of it.
CREATE TABLE filestore.project_batches (
    project_id bigint NOT NULL REFERENCES filestore.projects,
    batch      text NOT NULL,
    node       text NOT NULL,
    principal  text NOT NULL,
    digest     bytea NOT NULL,
    base       bigint,
    body       json,
    outcome    json,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project_id, batch)
);
CREATE INDEX project_batches_old ON filestore.project_batches (created_at);

CREATE TABLE filestore.project_commits (
    project_id bigint NOT NULL REFERENCES filestore.projects,
    revision   bigint NOT NULL,
    batch      text NOT NULL,
    node       text NOT NULL,
    principal  text NOT NULL,
    manifest   bytea NOT NULL,
    files      bigint NOT NULL,
    size_bytes bigint NOT NULL,
    changes    integer NOT NULL,
    durability text NOT NULL CHECK (durability IN ('hot', 'cold')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project_id, revision)
);
CREATE INDEX project_commits_hot ON filestore.project_commits (project_id, revision) WHERE durability = 'hot';

CREATE TABLE filestore.project_changes (
    project_id bigint NOT NULL REFERENCES filestore.projects,
    revision   bigint NOT NULL,
    ordinal    integer NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('put', 'mkdir', 'move', 'delete')),
    path       bytea NOT NULL,
    source     bytea,
    entry_kind text NOT NULL,
    sha        bytea,
    size_bytes bigint NOT NULL DEFAULT 0,
    mode       integer NOT NULL DEFAULT 0,
    before_sha bytea,
    PRIMARY KEY (project_id, revision, ordinal)
);
CREATE INDEX project_changes_before ON filestore.project_changes (project_id, before_sha, revision) WHERE before_sha IS NOT NULL;

-- What two nodes changed without knowing of each other. The content of the loser is kept while it is open.
CREATE TABLE filestore.project_conflicts (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id  bigint NOT NULL REFERENCES filestore.projects,
    revision    bigint NOT NULL,
    path        bytea NOT NULL,
    rule        text NOT NULL,
    winner_sha  bytea,
    loser_sha   bytea NOT NULL,
    loser_size  bigint NOT NULL,
    loser_mode  integer NOT NULL,
    loser_node  text NOT NULL,
    kept_as     bytea,
    state       text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'decided')),
    decision    text CHECK (decision IN ('winner', 'loser', 'both')),
    decided_by  text,
    decided_at  timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX project_conflicts_of ON filestore.project_conflicts (project_id, state, id);
CREATE INDEX project_conflicts_sha ON filestore.project_conflicts (project_id, loser_sha) WHERE state = 'open';

CREATE TABLE filestore.project_nodes (
    project_id  bigint NOT NULL REFERENCES filestore.projects,
    name        text NOT NULL,
    host        text NOT NULL,
    folder      text NOT NULL,
    state       text NOT NULL DEFAULT 'attached' CHECK (state IN ('attached', 'detached')),
    revision    bigint NOT NULL DEFAULT 0,
    waiting     bigint NOT NULL DEFAULT 0,
    problem     text,
    attached_at timestamptz NOT NULL DEFAULT now(),
    seen_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project_id, name)
);

CREATE TABLE filestore.project_jobs (
    id          uuid PRIMARY KEY,
    project_id  bigint NOT NULL REFERENCES filestore.projects,
    kind        text NOT NULL CHECK (kind IN ('archive', 'evict', 'promote', 'deactivate', 'reactivate', 'repair', 'gc', 'delete')),
    state       text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'succeeded', 'failed')),
    phase       text NOT NULL DEFAULT 'begun',
    items_total bigint NOT NULL DEFAULT 0,
    items_done  bigint NOT NULL DEFAULT 0,
    bytes_total bigint NOT NULL DEFAULT 0,
    bytes_done  bigint NOT NULL DEFAULT 0,
    options     jsonb NOT NULL DEFAULT '{}',
    problem     text,
    principal   text NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT now(),
    ended_at    timestamptz
);
CREATE INDEX project_jobs_of ON filestore.project_jobs (project_id, started_at DESC, id DESC);
CREATE UNIQUE INDEX project_jobs_running ON filestore.project_jobs (project_id, kind) WHERE state = 'running';

-- Whether something needs this content: the tree, a former tree that is kept, or an open conflict.
CREATE FUNCTION filestore.object_is_referenced_v1(project bigint, content bytea, keep_days double precision) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM filestore.project_paths r WHERE r.project_id = project AND r.sha = content)
        OR EXISTS (SELECT FROM filestore.project_changes c
                     JOIN filestore.project_commits t ON t.project_id = c.project_id AND t.revision = c.revision
                    WHERE c.project_id = project AND c.before_sha = content
                      AND t.created_at > now() - make_interval(secs => keep_days * 86400))
        OR EXISTS (SELECT FROM filestore.project_conflicts f
                    WHERE f.project_id = project AND f.loser_sha = content AND f.state = 'open')
$$;
