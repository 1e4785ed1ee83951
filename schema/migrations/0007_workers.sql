-- A worker says every few seconds that it lives: only so can others tell that none does.
CREATE TABLE filestore.workers (
    process text PRIMARY KEY,
    host_id text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    connected boolean NOT NULL
);
