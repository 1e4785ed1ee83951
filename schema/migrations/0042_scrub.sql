-- Scrub: how far the contents of a mount were read again.
ALTER TABLE filestore.drift_mounts ADD COLUMN scrub jsonb;
