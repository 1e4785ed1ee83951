-- An operation belongs to a piece of work like any command, and so do its items. What a principal or a token has done is found in
-- the journal, newest first.
ALTER TABLE filestore.operations ADD COLUMN correlation_id text;
CREATE INDEX journal_entries_principal ON filestore.journal_entries (tenant, principal, id);
CREATE INDEX journal_entries_token ON filestore.journal_entries (token_id, id) WHERE token_id IS NOT NULL;
