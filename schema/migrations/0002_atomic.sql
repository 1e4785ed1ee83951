-- A list of which all commands are recorded or none has a column of its own: `operation_id` is for operations.
ALTER TABLE filestore.commands ADD COLUMN atomic_id uuid;
ALTER TABLE filestore.journal_entries ADD COLUMN atomic_id uuid;
CREATE INDEX journal_entries_atomic ON filestore.journal_entries (atomic_id, id) WHERE atomic_id IS NOT NULL;

-- Until now nothing but such lists has written `operation_id`. A journal entry is never altered: what it says of a list of
-- earlier days stays where it stands.
UPDATE filestore.commands SET atomic_id = operation_id, operation_id = NULL,
       intent = intent - 'together' || CASE WHEN intent ? 'together' THEN jsonb_build_object('atomic_size', intent->'together') ELSE '{}' END
 WHERE operation_id IS NOT NULL;
