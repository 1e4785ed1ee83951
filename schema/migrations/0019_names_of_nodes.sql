-- The journal finds a file by every name it had: also by what a command was to bring to a name, or took from one to another mount.

-- Where the node of a command was, and where it was to be afterwards: the bytes of these paths. No target: where it was.
CREATE FUNCTION filestore.source_v1(request jsonb) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(decode(request->>'path_b64', 'base64'), convert_to(request->>'path', 'UTF8'))
$$;
CREATE FUNCTION filestore.target_v1(request jsonb) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(decode(request->>'target_b64', 'base64'), convert_to(request->>'target', 'UTF8'))
$$;

-- Entries of moves, copies and restores by the other place: where the node was to be, and on which mount it was before.
CREATE INDEX journal_entries_target ON filestore.journal_entries
    (mount_id, substring(filestore.target_v1(payload) FROM 1 FOR 1000), id)
    WHERE payload->>'target' IS NOT NULL;
CREATE INDEX journal_entries_departure ON filestore.journal_entries
    ((payload->>'mount_id'), substring(filestore.source_v1(payload) FROM 1 FOR 1000), id)
    WHERE payload->>'target_mount_id' IS NOT NULL;
