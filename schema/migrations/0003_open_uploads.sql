-- An upload that is open counts against the limits of its principal; those whose time is over are found by host.
CREATE INDEX stages_open_of ON filestore.stages (tenant, principal) WHERE upload_state = 'open';
CREATE INDEX stages_open_until ON filestore.stages ((request->>'host'), expires_at, id) WHERE upload_state = 'open';
