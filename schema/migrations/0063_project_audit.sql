-- What is done to projects stands in the journal, and is copied from there into the audit stream of the hot store.
ALTER TABLE filestore.project_feed ADD COLUMN audited bigint NOT NULL DEFAULT 0;

CREATE FUNCTION filestore.is_project_act_v1(kind text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT kind IN ('createProject', 'updateProject', 'deleteProject', 'commitProject', 'beginProjectJob', 'endProjectJob',
                    'moveProjectContents', 'pinProjectContents', 'attachProjectNode', 'detachProjectNode', 'followProject',
                    'decideProjectConflicts', 'readProjectHot', 'breakGlass')
$$;
CREATE INDEX journal_entries_projects ON filestore.journal_entries (id) WHERE filestore.is_project_act_v1(kind);
