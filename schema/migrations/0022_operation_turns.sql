-- What an operation counted before its turn: its limit of errors is about one turn. And why a plan was not run.
ALTER TABLE filestore.operations ADD failed_before bigint NOT NULL DEFAULT 0;
ALTER TABLE filestore.operations ADD changed_before bigint NOT NULL DEFAULT 0;
ALTER TABLE filestore.operations ADD refusal text;
