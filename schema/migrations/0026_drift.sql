-- Drift: looks, what they saw, findings, policies, and reconciliations by hand.
ALTER TABLE filestore.nodes ADD COLUMN missed_in bigint, ADD COLUMN judged bigint;
CREATE INDEX nodes_inode ON filestore.nodes (mount_id, inode) WHERE inode <> 0 AND state <> 'deleted';
CREATE INDEX nodes_doubted ON filestore.nodes (mount_id, parent_id) WHERE state IN ('inconsistent', 'missing');

-- What a mount does about drift, and how far its looks are.
CREATE TABLE filestore.drift_mounts (
    mount_id       bigint PRIMARY KEY REFERENCES filestore.backend_mounts,
    policy         jsonb NOT NULL DEFAULT '{}',
    policy_version bigint NOT NULL DEFAULT 0,
    policy_by      text,
    conclusions    bigint NOT NULL DEFAULT 0,
    audited_at     timestamptz,
    audit          bigint,
    touched_at     timestamptz NOT NULL DEFAULT now()
);

CREATE TYPE filestore.look_state AS ENUM ('reading', 'waiting', 'concluded', 'discarded', 'failed');

-- A look at a mount, or at some of its places: its id is its generation. `entries` and `claimed` say from when on commands count as
-- having worked beside it, `conclusions` the same for other looks.
CREATE TABLE filestore.looks (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant      text NOT NULL,
    mount_id    bigint NOT NULL REFERENCES filestore.backend_mounts,
    reason      text NOT NULL,
    principal   text NOT NULL,
    by_hand     boolean NOT NULL DEFAULT false,
    places      bytea[] NOT NULL,
    subtrees    boolean[] NOT NULL,
    whole       boolean NOT NULL,
    state       filestore.look_state NOT NULL DEFAULT 'reading',
    entries     bigint NOT NULL,
    conclusions bigint NOT NULL,
    claimed     bytea[] NOT NULL,
    seen        bigint NOT NULL DEFAULT 0,
    plan        jsonb,
    released_by text,
    counts      jsonb,
    problem     text,
    started_at  timestamptz NOT NULL DEFAULT now(),
    ended_at    timestamptz,
    CHECK ((state IN ('reading', 'waiting')) = (ended_at IS NULL))
);
CREATE INDEX looks_open ON filestore.looks (mount_id, id) WHERE ended_at IS NULL;
CREATE INDEX looks_mount ON filestore.looks (mount_id, id DESC);

-- What a look came upon that is not just as the record has it. It lives as long as its look, and a new look finds it again.
CREATE UNLOGGED TABLE filestore.look_entries (
    look_id bigint NOT NULL,
    key     bytea NOT NULL GENERATED ALWAYS AS (sha256(path)) STORED,
    path    bytea NOT NULL,
    within  bigint,
    state   text NOT NULL CHECK (state IN ('seen', 'absent', 'changing', 'unreadable')),
    kind    text NOT NULL,
    facts   jsonb NOT NULL,
    sha256  bytea,
    stable  boolean NOT NULL,
    code    text NOT NULL,
    message text NOT NULL,
    PRIMARY KEY (look_id, key)
);

CREATE TYPE filestore.finding_state AS ENUM ('open', 'waiting', 'healed', 'accepted', 'ignored');

-- What waits for a person, or for a heal: the storage at one place differs from the record. One that stands for each place.
CREATE TABLE filestore.findings (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant       text NOT NULL,
    mount_id     bigint NOT NULL REFERENCES filestore.backend_mounts,
    path         bytea NOT NULL,
    key          bytea NOT NULL GENERATED ALWAYS AS (sha256(path)) STORED,
    kind         text NOT NULL,
    state        filestore.finding_state NOT NULL,
    version      bigint NOT NULL DEFAULT 1,
    node_id      bigint,
    node_version bigint,
    believed     jsonb NOT NULL,
    observed     jsonb NOT NULL,
    action       text NOT NULL,
    decided_by   text,
    until        timestamptz,
    look_id      bigint NOT NULL,
    first_seen   timestamptz NOT NULL DEFAULT now(),
    last_seen    timestamptz NOT NULL DEFAULT now(),
    ended_at     timestamptz,
    CHECK ((state IN ('open', 'waiting', 'ignored')) = (ended_at IS NULL))
);
CREATE UNIQUE INDEX findings_standing ON filestore.findings (mount_id, key) WHERE ended_at IS NULL;
CREATE INDEX findings_mount ON filestore.findings (mount_id, id);
CREATE INDEX findings_due ON filestore.findings (mount_id, id) WHERE state = 'waiting';

CREATE TYPE filestore.job_status AS ENUM ('queued', 'running', 'succeeded', 'failed', 'skipped', 'cancelled');

-- Reconciliations that were asked for by hand, as clients of /v1 know them.
CREATE TABLE filestore.reconciliation_jobs (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant          text NOT NULL,
    principal       text NOT NULL,
    mount_id        bigint NOT NULL REFERENCES filestore.backend_mounts,
    node_id         bigint,
    path            bytea NOT NULL,
    reason          text NOT NULL CHECK (reason IN ('drift', 'audit', 'manual')),
    status          filestore.job_status NOT NULL DEFAULT 'queued',
    detect_children boolean NOT NULL DEFAULT false,
    requested_hash  boolean NOT NULL DEFAULT false,
    attempt         integer NOT NULL DEFAULT 1,
    result          jsonb,
    error           jsonb,
    enqueued_at     timestamptz NOT NULL DEFAULT now(),
    started_at      timestamptz,
    completed_at    timestamptz,
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CHECK ((status IN ('queued', 'running')) = (completed_at IS NULL))
);
CREATE INDEX reconciliation_jobs_open ON filestore.reconciliation_jobs (mount_id, id) WHERE completed_at IS NULL;
CREATE INDEX reconciliation_jobs_tenant ON filestore.reconciliation_jobs (tenant, mount_id, id);
