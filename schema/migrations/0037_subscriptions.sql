-- Webhooks: who is told of events, how far, and what became of each delivery.
CREATE TABLE filestore.subscriptions (
    id              uuid PRIMARY KEY,
    tenant          text NOT NULL,
    token_id        bigint NOT NULL REFERENCES filestore.tokens,
    principal       text NOT NULL,
    description     text,
    url             text NOT NULL,
    secret          text NOT NULL,
    previous_secret text,
    previous_until  timestamptz,
    filter          jsonb NOT NULL,
    state           text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'broken')),
    reason          text,
    position        bigint NOT NULL,
    replays         integer NOT NULL DEFAULT 0,
    failures        integer NOT NULL DEFAULT 0,
    failing_since   timestamptz,
    next_attempt_at timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX subscriptions_of ON filestore.subscriptions (tenant, created_at DESC, id DESC);
CREATE INDEX subscriptions_active ON filestore.subscriptions (id) WHERE state = 'active';

CREATE TABLE filestore.deliveries (
    subscription_id uuid NOT NULL REFERENCES filestore.subscriptions ON DELETE CASCADE,
    position        bigint NOT NULL,
    type            text NOT NULL,
    state           text NOT NULL CHECK (state IN ('delivered', 'waiting', 'dead', 'redrive')),
    attempts        integer NOT NULL,
    status          integer,
    error           text,
    milliseconds    double precision NOT NULL,
    attempted_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subscription_id, position)
);
CREATE INDEX deliveries_redrive ON filestore.deliveries (subscription_id, position) WHERE state = 'redrive';
CREATE INDEX deliveries_old ON filestore.deliveries (subscription_id, attempted_at);
