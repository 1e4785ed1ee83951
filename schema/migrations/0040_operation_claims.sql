-- An undo by selection claims what its items need, on each mount: at most 64 subtrees. Others claim their path and their target.
ALTER TABLE filestore.operations ADD COLUMN claim_mounts bigint[];
ALTER TABLE filestore.operations ADD COLUMN claim_paths bytea[];
