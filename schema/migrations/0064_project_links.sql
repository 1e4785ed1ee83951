-- A link may be of a file of a project: whatever is at its path when it is followed.
ALTER TABLE filestore.links ADD COLUMN project_id bigint REFERENCES filestore.projects CHECK (project_id IS NULL OR kind = 'read');
