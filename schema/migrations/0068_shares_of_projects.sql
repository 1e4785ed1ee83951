-- Which share of a table one project has is not sampled: an answer from before a project was there says that it has no row, and
-- every index that begins with the project looks as good as the right one then. The same type again drops what was sampled until
-- now.
ALTER TABLE filestore.project_objects ALTER COLUMN project_id TYPE bigint, ALTER COLUMN project_id SET STATISTICS 0;
ALTER TABLE filestore.project_paths ALTER COLUMN project_id TYPE bigint, ALTER COLUMN project_id SET STATISTICS 0;
