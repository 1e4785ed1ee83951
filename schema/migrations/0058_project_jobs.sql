-- Jobs of projects can be cancelled; what is hot has a limit; conflicts that nobody decides are decided by a rule.
ALTER TABLE filestore.project_jobs DROP CONSTRAINT project_jobs_state_check;
ALTER TABLE filestore.project_jobs ADD CONSTRAINT project_jobs_state_check
      CHECK (state IN ('running', 'succeeded', 'failed', 'cancelled'));
ALTER TABLE filestore.project_jobs ADD COLUMN cancel_asked_at timestamptz;

ALTER TABLE filestore.projects ADD COLUMN hot_max_bytes bigint CHECK (hot_max_bytes >= 0);
ALTER TABLE filestore.projects ADD COLUMN decide_after_seconds double precision CHECK (decide_after_seconds >= 0);
ALTER TABLE filestore.projects ADD COLUMN decide_as text NOT NULL DEFAULT 'winner' CHECK (decide_as IN ('winner', 'loser', 'both'));
