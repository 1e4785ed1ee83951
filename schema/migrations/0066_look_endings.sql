-- What a look came to, for a caller whose answer was lost. An ended look from before it was kept asks for nothing more.
ALTER TABLE filestore.looks ADD COLUMN ending jsonb;
