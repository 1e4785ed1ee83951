-- What nobody needs of projects can be found: pages know the commit that wrote them last, deleted projects when they were emptied.

-- Pages that are there were written by the head, as far as is known: what is older is told apart from the next commits on.
ALTER TABLE filestore.project_pages ADD COLUMN revision bigint NOT NULL DEFAULT 0;
UPDATE filestore.project_pages g SET revision = p.revision FROM filestore.projects p WHERE p.id = g.project_id AND p.revision > 0;

ALTER TABLE filestore.projects ADD COLUMN purged_at timestamptz;
ALTER TABLE filestore.projects DROP CONSTRAINT projects_state_check;
ALTER TABLE filestore.projects ADD CONSTRAINT projects_state_check
      CHECK (state IN ('active', 'flushing', 'deactivating', 'inactive', 'reactivating', 'deleted'));
