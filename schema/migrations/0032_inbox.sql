-- What findings and jobs show of their paths to people, lossy; and findings by tenant.
ALTER TABLE filestore.findings ADD COLUMN shown text NOT NULL DEFAULT '';
ALTER TABLE filestore.reconciliation_jobs ADD COLUMN shown text NOT NULL DEFAULT '';
CREATE INDEX findings_tenant ON filestore.findings (tenant, id);
