-- Operations: bulk changes over a tree, planned as rows, applied item by item.
CREATE TYPE filestore.operation_state AS ENUM ('planning', 'planned', 'running', 'waiting', 'paused', 'cancelling', 'rolling_back',
    'succeeded', 'partial', 'failed', 'cancelled', 'rolled_back');
CREATE TYPE filestore.item_state AS ENUM ('pending', 'running', 'done', 'failed', 'skipped', 'reversed');

CREATE TABLE filestore.operations (
    id            uuid PRIMARY KEY,
    tenant        text NOT NULL,
    principal     text NOT NULL,
    token_id      bigint NOT NULL,
    key           text NOT NULL,
    request_hash  bytea NOT NULL,
    kind          text NOT NULL,
    mount_id      bigint NOT NULL REFERENCES filestore.backend_mounts,
    path          bytea NOT NULL,
    target_path   bytea,
    selection     jsonb NOT NULL DEFAULT '{}',
    options       jsonb NOT NULL DEFAULT '{}',
    metadata      jsonb,
    state         filestore.operation_state NOT NULL DEFAULT 'planning',
    want          text CHECK (want IN ('pause', 'rollback')),
    back          boolean NOT NULL DEFAULT false,
    turn          integer NOT NULL DEFAULT 1,
    plan_only     boolean NOT NULL DEFAULT false,
    plan_cursor   jsonb,
    planned_entry bigint,
    undoes        uuid REFERENCES filestore.operations,
    undoes_turn   integer,
    claimed       boolean NOT NULL DEFAULT false,
    waits_for     uuid,
    items         bigint NOT NULL DEFAULT 0,
    nodes         bigint NOT NULL DEFAULT 0,
    bytes         bigint NOT NULL DEFAULT 0,
    conflicts     bigint NOT NULL DEFAULT 0,
    in_flight     bigint NOT NULL DEFAULT 0,
    done          bigint NOT NULL DEFAULT 0,
    failed        bigint NOT NULL DEFAULT 0,
    skipped       bigint NOT NULL DEFAULT 0,
    changed       bigint NOT NULL DEFAULT 0,
    reversed      bigint NOT NULL DEFAULT 0,
    nodes_done    bigint NOT NULL DEFAULT 0,
    bytes_done    bigint NOT NULL DEFAULT 0,
    paced_until   timestamptz,
    touched_at    timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    planned_at    timestamptz,
    started_at    timestamptz,
    ended_at      timestamptz,
    UNIQUE (tenant, principal, key),
    CHECK (in_flight >= 0 AND done >= 0 AND failed >= 0 AND skipped >= 0 AND reversed >= 0)
);
CREATE INDEX operations_moving ON filestore.operations (mount_id)
    WHERE state IN ('planning', 'running', 'waiting', 'cancelling', 'rolling_back');
CREATE INDEX operations_claimed ON filestore.operations (mount_id) WHERE claimed;
CREATE INDEX operations_undoes ON filestore.operations (undoes) WHERE undoes IS NOT NULL;
CREATE INDEX operations_tenant ON filestore.operations (tenant, id);

CREATE TABLE filestore.operation_items (
    operation_id     uuid NOT NULL REFERENCES filestore.operations,
    item             integer NOT NULL,
    kind             text NOT NULL,
    state            filestore.item_state NOT NULL DEFAULT 'pending',
    node_kind        filestore.node_kind NOT NULL,
    deferred         smallint NOT NULL DEFAULT 0,
    needs            integer,
    path             bytea NOT NULL,
    target           bytea,
    node_id          bigint,
    version          bigint,
    target_version   bigint,
    content_version  bigint,
    size_bytes       bigint NOT NULL DEFAULT 0,
    nodes            bigint NOT NULL DEFAULT 1,
    command_id       uuid,
    left_node        bigint,
    left_version     bigint,
    replaced_version bigint,
    retry_at         timestamptz,
    code             text,
    message          text,
    PRIMARY KEY (operation_id, item)
);
CREATE INDEX operation_items_state ON filestore.operation_items (operation_id, state, item);

CREATE TABLE filestore.operation_controls (
    operation_id uuid NOT NULL REFERENCES filestore.operations,
    key          text NOT NULL,
    control      text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (operation_id, key)
);
