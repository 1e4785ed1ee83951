-- Packs of the cold store: how much of each is still needed. A sweep writes the mostly dead ones anew.
CREATE TABLE filestore.project_packs (
    project_id  bigint NOT NULL REFERENCES filestore.projects,
    key         text NOT NULL,
    size_bytes  bigint NOT NULL CHECK (size_bytes > 0),
    live_bytes  bigint NOT NULL CHECK (live_bytes >= 0),                          -- as a sweep found it last
    replaced_at timestamptz,                                                     -- its contents lie elsewhere since then
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project_id, key)
);
CREATE INDEX project_packs_current ON filestore.project_packs (project_id, key) WHERE replaced_at IS NULL;

-- What nothing needs is collected from time to time, whether or not a client asks for it.
ALTER TABLE filestore.projects ADD COLUMN collected_at timestamptz NOT NULL DEFAULT now();
