-- Which file lies at a place, as an executor saw it last. An executor, and JSON, say it as an array in this order; what lies on
-- a disk has no etag and no version.
CREATE TYPE filestore.file_identity AS (
    device    bigint,
    inode     bigint,
    birth_ns  bigint,
    size      bigint,
    mtime_ns  bigint,
    ctime_ns  bigint,
    directory integer,
    mode      integer,
    links     integer,
    etag      text,
    version   text
);

-- What an intent says to the statements of `record`: the names are its keys (schema/commands/intents.py).
CREATE TYPE filestore.command_intent AS (
    step             text,
    node             bigint,
    parent           bigint,
    old_parent       bigint,
    version          bigint,
    previous_version bigint,
    size             bigint,
    previous_size    bigint,
    sha256           text,
    stage            uuid,
    trash            text,
    identity         jsonb,
    before           jsonb,
    message          text,
    drift            text,
    kind             filestore.node_kind,
    at               text,
    tree             boolean,
    totals           jsonb,
    replaced         jsonb,
    departs          jsonb,
    source           jsonb,
    leaves           boolean,
    holds            boolean
);

-- Logic that several statements share. The number is that of its meaning: another meaning is another function, so that an
-- earlier release beside this one goes on. Functions that return sets are written into the statement that calls them.

-- The facts of an identity. Facts that are not there give one row without values.
CREATE FUNCTION filestore.identity_v1(facts jsonb) RETURNS SETOF filestore.file_identity LANGUAGE sql IMMUTABLE ROWS 1 AS $$
    SELECT (facts->>0)::bigint, (facts->>1)::bigint, (facts->>2)::bigint, (facts->>3)::bigint, (facts->>4)::bigint,
           (facts->>5)::bigint, (facts->>6)::integer, (facts->>7)::integer, (facts->>8)::integer,
           nullif(facts->>9, ''), nullif(facts->>10, '')
$$;

-- The same the other way round.
CREATE FUNCTION filestore.facts_v1(i filestore.file_identity) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN i.inode IS NOT NULL THEN
        jsonb_build_array(i.device, i.inode, i.birth_ns, i.size, i.mtime_ns, i.ctime_ns, i.directory, i.mode, i.links)
        || CASE WHEN i.etag IS NULL THEN '[]'::jsonb ELSE jsonb_build_array(i.etag, coalesce(i.version, '')) END END
$$;

CREATE OR REPLACE FUNCTION filestore.node_identity(n filestore.nodes) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT filestore.facts_v1(ROW(n.device, n.inode, n.birth_ns, n.observed_size, n.observed_mtime_ns, n.observed_ctime_ns,
        (n.kind = 'directory')::integer, n.observed_mode, n.observed_links, n.s3_etag, n.s3_version_id)::filestore.file_identity)
$$;

-- What the node of a command counts for in the directories above it: a file itself, a directory with all that is below it.
CREATE FUNCTION filestore.weight_v1(i filestore.command_intent)
RETURNS TABLE (bytes bigint, files bigint, directories bigint) LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT CASE WHEN i.kind = 'directory' THEN coalesce(t.size_bytes, (i.totals->>'size')::bigint, 0) ELSE i.size END,
           CASE WHEN i.kind = 'directory' THEN coalesce(t.file_count, (i.totals->>'files')::bigint, 0) ELSE 1 END,
           CASE WHEN i.kind = 'directory' THEN 1 + coalesce(t.directory_count, (i.totals->>'directories')::bigint, 0) ELSE 0 END
      FROM (VALUES (true)) always
      LEFT JOIN LATERAL (SELECT r.* FROM filestore.rollup_of(i.node) r
                          WHERE i.kind = 'directory' AND i.step IN ('delete', 'move', 'restore')) t ON true
$$;

-- The command that deleted a directory. No row: it lives.
CREATE FUNCTION filestore.deleter_v1(directory bigint) RETURNS TABLE (command_id uuid) LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT s.command_id
      FROM (SELECT k.id, k.version, k.state FROM filestore.nodes k WHERE k.id = directory OFFSET 0) d
     CROSS JOIN LATERAL (SELECT k.command_id FROM filestore.snapshots k
                          WHERE k.node_id = d.id AND k.version = d.version OFFSET 0) s
     WHERE d.state = 'deleted'
$$;

-- The nodes that leave with a command and are not its own: the file whose name a move takes, the source of a move to another
-- mount.
CREATE FUNCTION filestore.leaving_v1(intent jsonb) RETURNS TABLE (leaves jsonb) LANGUAGE sql IMMUTABLE ROWS 1 AS $$
    SELECT o.leaves FROM (VALUES (intent->'replaced'), (intent->'departs')) AS o(leaves) WHERE o.leaves IS NOT NULL
$$;

-- Where the node of a command lies from now on: `path` where the intent says no other. Files have no text of their own path.
CREATE FUNCTION filestore.place_v1(i filestore.command_intent, own bytea)
RETURNS TABLE (parent bigint, path bytea, name bytea, depth integer, directory_text text) LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT i.parent, l.path, substring(l.path FROM octet_length(d.directory_path) + 1), d.depth + 1, d.directory_text
      FROM (SELECT coalesce(decode(i.at, 'hex'), own) AS path) l
     CROSS JOIN LATERAL (SELECT k.directory_path, k.directory_text, k.depth FROM filestore.nodes k
                          WHERE k.id = i.parent OFFSET 0) d
$$;

-- How a copy is described: as what it was copied from. No row: it is no copy.
CREATE FUNCTION filestore.origin_v1(source jsonb)
RETURNS TABLE (mime_type text, original_name text, checksum text, metadata jsonb) LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT o.mime_type, o.original_name, o.checksum, v.metadata
      FROM (SELECT k.id, k.mime_type, k.original_name, k.checksum FROM filestore.nodes k
             WHERE k.id = (source->>'node')::bigint OFFSET 0) o
      LEFT JOIN LATERAL (SELECT k.metadata FROM filestore.snapshots k
                          WHERE k.node_id = o.id AND k.version = (source->>'version')::bigint OFFSET 0) v ON true
$$;

-- The bytes of a path where its text does not say them.
CREATE FUNCTION filestore.path_b64_v1(path bytea, shown text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN convert_to(shown, 'UTF8') <> path THEN translate(encode(path, 'base64'), E'\n', '') END
$$;

-- Where a move or a copy came from, under the name that answers and events have for it; empty for other commands.
CREATE FUNCTION filestore.came_from_v1(command text, request jsonb) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN command IN ('moveNode', 'copyNode') THEN jsonb_build_object(
        CASE command WHEN 'moveNode' THEN 'movedFrom' ELSE 'copiedFrom' END, jsonb_build_object(
            'backendMountId', request->'mount_id', 'path', request->'path', 'pathB64', request->'path_b64')) ELSE '{}' END
$$;

-- The event of a node that leaves with a command and is not its own.
CREATE FUNCTION filestore.left_event_v1(
    leaves jsonb, tree jsonb, node bigint, entry bigint, command text, id uuid, key text, principal text
) RETURNS json LANGUAGE sql STABLE AS $$
    SELECT json_build_object('backendMountId', leaves->'mount', 'nodeId', leaves->'node', 'path', leaves->'shown',
        'pathB64', leaves->'b64', 'kind', CASE WHEN (leaves->>'tree')::boolean THEN 'directory' ELSE 'file' END,
        'state', 'deleted', 'parentId', leaves->'parent', 'version', leaves->'version', 'sizeBytes', leaves->'size',
        'contentHash', 'sha256:' || (leaves->>'sha256'), 'replacedBy', node, 'journalId', entry, 'command', command,
        'commandId', id, 'idempotencyKey', key, 'principal', principal, 'observedAt', now(),
        'tree', CASE WHEN (leaves->>'tree')::boolean THEN tree END,
        'delta', json_build_object('sizeBytes', -CASE WHEN (leaves->>'tree')::boolean
            THEN coalesce((tree->>'size')::bigint, 0) ELSE (leaves->>'size')::bigint END))
$$;
