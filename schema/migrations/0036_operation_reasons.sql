-- Why an operation was steered, and by whom.
ALTER TABLE filestore.operation_controls ADD COLUMN reason text;
ALTER TABLE filestore.operation_controls ADD COLUMN principal text;
