-- What is kept of an intent once its command has ended and nothing is left to clear: what events, the check, and a repeated request
-- ask for. The rest is in the journal, in the versions, or over.
CREATE FUNCTION filestore.ended_intent_v1(intent jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT intent - ARRAY['identity', 'expected', 'before', 'source', 'totals', 'trash', 'opened', 'kind', 'at', 'parent',
        'old_parent', 'version', 'previous_version', 'sha256', 'place', 'drift', 'leaves', 'holds', 'long', 'items']
$$;
