-- What a listing of a bucket did not tell is asked for in pages.
CREATE INDEX look_entries_absent ON filestore.look_entries (look_id, key) WHERE state = 'absent';
