-- Secrets are sealed before they come here. Those of earlier releases are sealed when the API starts; no new one of a mount
-- comes in plain.
ALTER TABLE filestore.mount_secrets ADD COLUMN key_id text
    GENERATED ALWAYS AS (substring(value FROM '^sealed:([^:]+):')) STORED;
ALTER TABLE filestore.mount_secrets ADD CONSTRAINT mount_secrets_sealed CHECK (value ~ '^(sealed:|env:|file:/)') NOT VALID;
ALTER TABLE filestore.subscriptions ADD COLUMN key_id text
    GENERATED ALWAYS AS (substring(secret FROM '^sealed:([^:]+):')) STORED;
