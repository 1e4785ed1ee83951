-- Why an operation was steered, and by whom; and how much a retry found done: it tries one item first.
ALTER TABLE filestore.operation_controls ADD COLUMN reason text;
ALTER TABLE filestore.operation_controls ADD COLUMN principal text;
ALTER TABLE filestore.operations ADD COLUMN done_before bigint NOT NULL DEFAULT 0;
