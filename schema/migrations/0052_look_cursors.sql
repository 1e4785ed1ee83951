-- A look at a bucket goes on where its listing was: a page of it says how, and what was come upon after the last page is read anew.
ALTER TABLE filestore.look_pages ADD COLUMN cursor bytea;
ALTER TABLE filestore.look_entries ADD COLUMN page integer NOT NULL DEFAULT 0;
