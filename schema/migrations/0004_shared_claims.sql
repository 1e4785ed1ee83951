-- A copy holds its source still, and shares it with other copies.
ALTER TABLE filestore.claims ADD COLUMN shared boolean NOT NULL DEFAULT false;
ALTER TABLE filestore.claims DROP CONSTRAINT claims_pkey;
ALTER TABLE filestore.claims ADD PRIMARY KEY (mount_id, path, command_id);
CREATE UNIQUE INDEX claims_exclusive ON filestore.claims (mount_id, path) WHERE NOT shared;
