-- An order begins one look, however often it is asked for. Places of a look at hints are hints again where it says nothing of them.
ALTER TABLE filestore.looks ADD COLUMN key uuid, ADD COLUMN hinted boolean NOT NULL DEFAULT false;
CREATE UNIQUE INDEX looks_key ON filestore.looks (key) WHERE key IS NOT NULL;
