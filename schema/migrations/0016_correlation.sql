-- The name under which a program gathers the commands of one piece of work: it sends it with each of them.
ALTER TABLE filestore.commands ADD COLUMN correlation_id text;
ALTER TABLE filestore.journal_entries ADD COLUMN correlation_id text;
CREATE INDEX journal_entries_correlation ON filestore.journal_entries (tenant, correlation_id, id)
    WHERE correlation_id IS NOT NULL;
