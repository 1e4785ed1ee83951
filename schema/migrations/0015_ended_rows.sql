-- What is kept of an intent once its command has ended and nothing is left to clear: what events, the check, and a repeated request
-- ask for. The rest is in the journal, in the versions, or over.
CREATE FUNCTION filestore.ended_intent_v1(intent jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT intent - ARRAY['identity', 'expected', 'before', 'source', 'totals', 'trash', 'opened', 'kind', 'at', 'parent',
        'old_parent', 'version', 'previous_version', 'sha256', 'place', 'drift', 'leaves', 'holds', 'long', 'items']
$$;

-- Each command leaves dead rows here: its row was written three times, each event twice, a claim goes with its command. They are
-- cleared while they are few, so that the next commands take their place.
ALTER TABLE filestore.commands SET (autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE filestore.outbox SET (autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE filestore.claims SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
ALTER TABLE filestore.rollup_deltas SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
