-- Operations are kept for a time after their end; an undo outlives what it has put back.
ALTER TABLE filestore.operations DROP CONSTRAINT operations_undoes_fkey;
ALTER TABLE filestore.operations ADD FOREIGN KEY (undoes) REFERENCES filestore.operations ON DELETE SET NULL;
CREATE INDEX operations_ended ON filestore.operations (ended_at) WHERE ended_at IS NOT NULL;
