-- The Metastore: what people and programs say of nodes, in records that follow the nodes by the event feed.

-- A namespace names what kind of thing its records are. Its schema says what their metadata must look like; NULL: anything.
CREATE TABLE filestore.metastore_namespaces (
    tenant         text NOT NULL,
    name           text NOT NULL,
    description    text,
    schema         jsonb,
    schema_version integer NOT NULL DEFAULT 0,
    version        bigint NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, name)
);

-- The path at or below which records belong to a namespace. The longest prefix holds; where two are
-- as long, that of the mount itself.
CREATE TABLE filestore.metastore_rules (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant    text NOT NULL,
    namespace text NOT NULL,
    mount_id  bigint,                                                    -- NULL: every mount of the tenant
    prefix    bytea NOT NULL,                                            -- as a directory's path is stored: 'a/b/', '' for all
    mode      text NOT NULL CHECK (mode IN ('refuse', 'correct')),
    FOREIGN KEY (tenant, namespace) REFERENCES filestore.metastore_namespaces ON DELETE CASCADE,
    UNIQUE NULLS NOT DISTINCT (tenant, mount_id, prefix)
);

-- What is searched by words: the path, the tags, the owner, and the texts and numbers of the metadata.
CREATE FUNCTION filestore.record_words_v1(path text, tags text[], owner text, metadata jsonb) RETURNS tsvector
LANGUAGE sql IMMUTABLE AS $$
    SELECT to_tsvector('simple', translate(path || ' ' || coalesce(owner, '') || ' ' || array_to_string(tags, ' ')
        || CASE WHEN metadata = '{}' THEN '' ELSE coalesce((
               SELECT ' ' || string_agg(v #>> '{}', ' ')
                 FROM jsonb_path_query(metadata, '$.** ? (@.type() == "string" || @.type() == "number")') v), '') END,
        '/._-', '    '))
$$;

-- What an event says of the change that it tells of, as a record keeps it.
CREATE FUNCTION filestore.record_facts_v1(data jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('journal', data->'journalId', 'command', data->'command', 'key', data->'idempotencyKey',
        'principal', data->'principal', 'reason', data->'reason', 'previous', data->'previousState',
        'observed', data->'observedAt')
$$;

-- The rule that holds at a path. No row: none does.
CREATE FUNCTION filestore.record_rule_v1(of_tenant text, of_mount bigint, at bytea)
RETURNS TABLE (namespace text, mode text) LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT r.namespace, r.mode FROM filestore.metastore_rules r
     WHERE r.tenant = of_tenant AND (r.mount_id IS NULL OR r.mount_id = of_mount)
       AND substring(at || '\x2f'::bytea FROM 1 FOR octet_length(r.prefix)) = r.prefix
     ORDER BY octet_length(r.prefix) DESC, r.mount_id NULLS LAST LIMIT 1
$$;

-- A record per node. The first part is the node as the feed has told of it, with the last event's facts; the second part belongs to
-- clients, and `version` counts its changes.
CREATE TABLE filestore.metastore_records (
    node_id                bigint PRIMARY KEY,
    tenant                 text NOT NULL,
    mount_id               bigint NOT NULL,
    parent_id              bigint,
    path                   bytea NOT NULL,
    path_text              text NOT NULL,
    kind                   filestore.node_kind NOT NULL,
    state                  filestore.node_state NOT NULL,
    previous_state         filestore.node_state,
    node_version           bigint NOT NULL,
    size_bytes             bigint NOT NULL,
    checksum               text,
    sha256                 bytea,
    node_metadata          jsonb NOT NULL,
    observed_at            timestamptz,
    consistency_checked_at timestamptz,
    last_reconciled_at     timestamptz,
    journal_id             bigint,
    command                text,
    idempotency_key        text,
    principal              text,
    reconciliation_reason  text,

    namespace              text NOT NULL,
    violation              text,                                         -- the namespace that a rule demands and the record has not
    tags                   text[] NOT NULL DEFAULT '{}',
    owner                  text,
    metadata               jsonb NOT NULL DEFAULT '{}',
    schema                 text,                                         -- which schema the metadata was last held against
    version                bigint NOT NULL DEFAULT 1,
    change                 text NOT NULL DEFAULT 'created',
    changed_by             text,                                         -- NULL: an event
    removed                boolean NOT NULL DEFAULT false,               -- a client closed it: no event opens it again
    created_at             timestamptz NOT NULL DEFAULT now(),
    updated_at             timestamptz NOT NULL DEFAULT now(),
    changed_at             timestamptz NOT NULL DEFAULT now(),
    deleted_at             timestamptz,
    words                  tsvector NOT NULL GENERATED ALWAYS AS
                           (filestore.record_words_v1(path_text, tags, owner, metadata)) STORED
);
CREATE INDEX metastore_records_words ON filestore.metastore_records USING gin (words);
CREATE INDEX metastore_records_tags ON filestore.metastore_records USING gin (tags) WHERE tags <> '{}';
CREATE INDEX metastore_records_metadata ON filestore.metastore_records USING gin (metadata jsonb_path_ops) WHERE metadata <> '{}';
CREATE INDEX metastore_records_owner ON filestore.metastore_records (tenant, owner, node_id) WHERE owner IS NOT NULL;
CREATE INDEX metastore_records_namespace ON filestore.metastore_records (tenant, namespace, node_id);
-- Of a path its first 1000 bytes: a key has a limit.
CREATE INDEX metastore_records_path ON filestore.metastore_records (mount_id, substring(path FROM 1 FOR 1000), node_id);

-- What a record was before each of its changes.
CREATE TABLE filestore.metastore_history (
    node_id    bigint NOT NULL,
    version    bigint NOT NULL,
    change     text NOT NULL,
    changed_by text,
    changed_at timestamptz NOT NULL,
    path_text  text NOT NULL,
    namespace  text NOT NULL,
    tags       text[] NOT NULL,
    owner      text,
    metadata   jsonb NOT NULL,
    schema     text,
    deleted_at timestamptz,
    PRIMARY KEY (node_id, version)
);

-- How far the Metastore has read the feed. While `scanned` is not NULL it first takes in all nodes, up to `scan_last`: events are
-- gone that it has not seen, or a rule has changed.
CREATE TABLE filestore.metastore_cursor (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    position    bigint NOT NULL DEFAULT 0,
    scanned     bigint,
    scan_last   bigint,
    records     bigint NOT NULL DEFAULT 0,                               -- written in all, for the metrics
    moved_at    timestamptz,                                             -- when it last took something in
    looked_at   timestamptz,                                             -- when it last looked
    problem     text                                                     -- why it stands still
);
INSERT INTO filestore.metastore_cursor DEFAULT VALUES;

-- Directories whose nodes are still to be taken in, because something happened to all that is below them. An event waits until
-- these are done.
CREATE TABLE filestore.metastore_trees (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    directory_id bigint NOT NULL,
    origin_id    bigint,                                                 -- the directory of another mount that it was
    buried_at    timestamptz,                                            -- its nodes that were deleted then; NULL: the living ones
    after_name   bytea,
    facts        jsonb NOT NULL
);

-- A record as clients read it.
CREATE FUNCTION filestore.record_document_v1(r filestore.metastore_records) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT json_build_object('nodeId', r.node_id, 'namespace', r.namespace, 'tags', r.tags, 'owner', r.owner,
        'metadata', r.metadata, 'schema', r.schema, 'violation', r.violation,
        'filestore', jsonb_build_object('backendMountId', r.mount_id, 'path', r.path_text,
            'kind', r.kind, 'state', r.state, 'parentId', r.parent_id, 'version', r.node_version,
            'sizeBytes', r.size_bytes, 'checksum', coalesce(filestore.hex_of(r.checksum), encode(r.sha256, 'hex')),
            'contentHash', encode(r.sha256, 'hex'), 'nodeMetadata', r.node_metadata, 'observedAt', r.observed_at,
            'journalId', r.journal_id, 'command', r.command, 'idempotencyKey', r.idempotency_key, 'principal', r.principal,
            'consistencyState', CASE WHEN r.state = 'deleted' THEN 'active' ELSE r.state::text END,
            'consistencyCheckedAt', r.consistency_checked_at, 'lastReconciledAt', r.last_reconciled_at,
            'reconciliationReason', r.reconciliation_reason, 'previousState', r.previous_state)
            || jsonb_strip_nulls(jsonb_build_object('pathB64', filestore.path_b64_v1(r.path, r.path_text))),
        'version', r.version, 'createdAt', r.created_at, 'updatedAt', r.updated_at, 'deletedAt', r.deleted_at)::text
$$;
