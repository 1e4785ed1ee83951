-- What drift leaves behind is pruned by when it ended, and what stands is found beside any number that are over.
CREATE INDEX looks_ended ON filestore.looks (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX looks_trees ON filestore.looks (mount_id, id DESC) WHERE state = 'concluded' AND true = ANY (subtrees);
CREATE INDEX findings_ended ON filestore.findings (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX findings_open ON filestore.findings (tenant, id) WHERE ended_at IS NULL;
CREATE INDEX reconciliation_jobs_ended ON filestore.reconciliation_jobs (completed_at) WHERE completed_at IS NOT NULL;

-- What looks have found on a mount, by verdict, and how its findings stand.
ALTER TABLE filestore.drift_mounts ADD COLUMN found jsonb NOT NULL DEFAULT '{}';
CREATE INDEX findings_healed ON filestore.findings (mount_id) WHERE state = 'healed';
CREATE INDEX drift_hints_oldest ON filestore.drift_hints (mount_id, noticed_at, key);
