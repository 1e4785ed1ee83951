-- Approvals: acts that wait for other people.
-- What waits for other people: an act that a policy does not let one person do alone, as it was asked for, and the version of
-- what was seen then. See docs/access.md.
CREATE TABLE filestore.approvals (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant         text NOT NULL,
    act            text NOT NULL,
    subject        text NOT NULL,
    version        text NOT NULL,
    mount_id       bigint REFERENCES filestore.backend_mounts,
    path           bytea,
    shown          jsonb NOT NULL,                                       -- the subject as clients read it
    request        jsonb NOT NULL,                                       -- enough to do it
    reason         text NOT NULL,
    requester      text NOT NULL,
    token_id       bigint,
    approvers      text[] NOT NULL,
    needed         integer NOT NULL CHECK (needed > 0),
    state          text NOT NULL DEFAULT 'waiting'
                   CHECK (state IN ('waiting', 'approved', 'done', 'rejected', 'expired', 'failed')),
    code           text,
    created_at     timestamptz NOT NULL DEFAULT now(),
    expires_at     timestamptz NOT NULL,
    remind_seconds integer NOT NULL CHECK (remind_seconds > 0),
    reminded_at    timestamptz,
    ended_at       timestamptz,
    CONSTRAINT approvals_end CHECK ((state IN ('waiting', 'approved')) = (ended_at IS NULL))
);
CREATE INDEX approvals_tenant ON filestore.approvals (tenant, id);
CREATE UNIQUE INDEX approvals_open ON filestore.approvals (tenant, requester, act, subject, version) WHERE ended_at IS NULL;

CREATE TABLE filestore.approval_votes (
    approval_id bigint NOT NULL REFERENCES filestore.approvals,
    principal   text NOT NULL,
    token_id    bigint,
    yes         boolean NOT NULL,
    reason      text,
    voted_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (approval_id, principal)
);
