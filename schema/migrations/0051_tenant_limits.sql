-- Tenants have a rate of requests, and can be removed. The name of one that was removed stays taken: the journal names it.
ALTER TABLE filestore.tenants ADD COLUMN requests_per_second double precision CHECK (requests_per_second > 0);
ALTER TABLE filestore.tenants ADD COLUMN removed_at timestamptz;
