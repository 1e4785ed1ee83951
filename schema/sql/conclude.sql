-- A look is concluded: one transaction under the lock of its mount, on one snapshot of the record.

-- name: claims
-- What commands have claimed now.
SELECT path, kind = 'subtree' AS subtree FROM filestore.claims WHERE mount_id = %(mount)s

-- name: since
-- Commands that ended since the look began, failed ones too: their step was visible for a moment. Where they worked, and on which
-- nodes.
SELECT j.path, CASE WHEN j.payload->>'target' IS NOT NULL THEN filestore.target_v1(j.payload) END AS target,
       CASE WHEN j.payload->>'path' IS NOT NULL THEN filestore.source_v1(j.payload) END AS source,
       array_remove(ARRAY[j.node_id, (j.also->'replaced'->>'id')::bigint, (j.also->'departed'->>'id')::bigint], NULL) AS nodes
  FROM filestore.journal_entries j
 WHERE j.id > %(entries)s AND j.kind <> 'reconcileNode' AND j.executor <> 'record'
   AND (j.mount_id = %(mount)s OR j.payload->>'mount_id' = %(mount)s::text)
 ORDER BY j.id LIMIT %(most)s

-- name: intents
-- The files of commands that run: what they staged, and what they expect to find.
SELECT c.intent, NULL::jsonb AS identity FROM filestore.commands c WHERE c.status = 'running' AND c.mount_id = %(mount)s
 UNION ALL
SELECT c.intent, NULL FROM filestore.claims k JOIN filestore.commands c ON c.id = k.command_id
 WHERE k.mount_id = %(mount)s AND c.mount_id <> %(mount)s
 UNION ALL
SELECT NULL, e.identity FROM filestore.commands c JOIN filestore.staged_entries e ON e.command_id = c.id
 WHERE c.status = 'running' AND c.mount_id = %(mount)s AND e.identity IS NOT NULL

-- name: identities
-- Which files these nodes are, or were.
SELECT device, inode, birth_ns FROM filestore.nodes WHERE id = ANY(%(ids)s::bigint[]) AND inode IS NOT NULL

-- name: nodes_at
-- What the record has at these names.
SELECT n.id, n.parent_id, n.name, p.directory_path || n.name AS path, n.kind::text, n.state::text, n.version,
       filestore.node_identity(n) AS facts, n.sha256, n.size_bytes, n.observed_by IS NOT NULL AS provisional, n.missed_in, n.judged
  FROM unnest(%(parents)s::bigint[], %(names)s::bytea[]) AS i(parent, name)
 CROSS JOIN LATERAL (SELECT k.* FROM filestore.nodes k WHERE k.parent_id = i.parent AND k.name = i.name AND k.state <> 'deleted'
                     OFFSET 0) n
 CROSS JOIN LATERAL (SELECT k.directory_path FROM filestore.nodes k WHERE k.id = n.parent_id OFFSET 0) p

-- name: nodes_of
-- The nodes of files that were seen, wherever they are believed to be.
SELECT n.id, n.parent_id, n.name, p.directory_path || n.name AS path, n.kind::text, n.state::text, n.version,
       filestore.node_identity(n) AS facts, n.sha256, n.size_bytes, n.observed_by IS NOT NULL AS provisional, n.missed_in, n.judged
  FROM unnest(%(inodes)s::bigint[]) AS i(inode)
 CROSS JOIN LATERAL (SELECT k.* FROM filestore.nodes k
                      WHERE k.mount_id = %(mount)s AND k.inode = i.inode AND k.inode <> 0 AND k.state <> 'deleted' AND k.depth > 0
                     OFFSET 0) n
 CROSS JOIN LATERAL (SELECT k.directory_path FROM filestore.nodes k WHERE k.id = n.parent_id OFFSET 0) p

-- name: nodes_below
-- What directories hold that are nowhere any more, down to such as were seen elsewhere.
WITH RECURSIVE below AS (
    SELECT t.id, t.path FROM unnest(%(tops)s::bigint[], %(paths)s::bytea[]) AS t(id, path)
     UNION ALL
    SELECT k.id, b.path || '\x2f'::bytea || k.name
      FROM below b CROSS JOIN LATERAL (
          SELECT n.id, n.name FROM filestore.nodes n
           WHERE n.parent_id = b.id AND n.state <> 'deleted' AND n.kind = 'directory' AND n.inode <> ALL(%(seen)s::bigint[])
          OFFSET 0) k
)
SELECT n.id, n.parent_id, n.name, b.path || '\x2f'::bytea || n.name AS path, n.kind::text, n.state::text, n.version,
       filestore.node_identity(n) AS facts, n.sha256, n.size_bytes, n.observed_by IS NOT NULL AS provisional, n.missed_in, n.judged
  FROM below b CROSS JOIN LATERAL (
      SELECT k.* FROM filestore.nodes k WHERE k.parent_id = b.id AND k.state <> 'deleted' OFFSET 0) n

-- name: nameless
-- Directories without a name, or below one that has none, that still hold what is not missing: no look lists them.
SELECT n.id, n.parent_id, n.name, p.directory_path || n.name AS path, n.kind::text, n.state::text, n.version,
       filestore.node_identity(n) AS facts, n.sha256, n.size_bytes, n.observed_by IS NOT NULL AS provisional, n.missed_in, n.judged
  FROM filestore.nodes n JOIN filestore.nodes p ON p.id = n.parent_id
 WHERE n.mount_id = %(mount)s AND n.state = 'missing' AND n.kind = 'directory' AND position('\x00'::bytea IN n.directory_path) > 0
   AND EXISTS (SELECT FROM filestore.nodes k WHERE k.parent_id = n.id AND k.state IN ('active', 'inconsistent') OFFSET 0)

-- name: ignored
-- Places that a person told Filestore to ignore, for the time being.
SELECT path FROM filestore.findings
 WHERE mount_id = %(mount)s AND ended_at IS NULL AND state = 'ignored' AND (until IS NULL OR until > now())

-- name: size
-- How many nodes a mount has.
SELECT r.file_count + r.directory_count AS nodes
  FROM filestore.nodes n CROSS JOIN LATERAL filestore.rollup_of(n.id) r WHERE n.mount_id = %(mount)s AND n.depth = 0

-- Writing --------------------------------------------------------------------------------------------------------------

-- name: new_ids
-- Ids for nodes that are to be made.
SELECT nextval('filestore.nodes_id_seq') AS id FROM generate_series(1, %(count)s)

-- name: keep_first
-- First versions that no row tells of yet, and that end now. Their nodes change next, and have `first_by` no more.
INSERT INTO filestore.versions
SELECT f.*
  FROM (SELECT DISTINCT x.id FROM unnest(%(ids)s::bigint[]) AS x(id)) e
 CROSS JOIN LATERAL (SELECT k.* FROM filestore.first_versions k WHERE k.node_id = e.id OFFSET 0 FOR NO KEY UPDATE) f

-- name: close_snapshots
-- Versions that end now.
UPDATE filestore.versions SET valid_to = greatest(now(), valid_from) WHERE node_id = ANY(%(ids)s::bigint[]) AND valid_to IS NULL

-- name: lose_content
-- Content that another program wrote over is kept nowhere: versions that had it lose it with this one.
UPDATE filestore.versions s SET content_until = greatest(now(), s.valid_from)
 WHERE s.node_id = ANY(%(ids)s::bigint[]) AND s.content_place IS NULL AND s.content_until IS NULL AND s.state <> 'deleted'
   AND s.kind = 'file'

-- name: leave_trash
-- Files that were seen on the mount lie in the trash no longer: another program took them from there, or out of a tree in the
-- moment in which that left. Versions whose content they were lose it.
UPDATE filestore.versions s SET content_place = NULL, content_identity = NULL, content_until = greatest(now(), s.valid_from)
  FROM unnest(%(hashes)s::bytea[], %(devices)s::bigint[], %(inodes)s::bigint[], %(births)s::bigint[])
    AS i(sha256, device, inode, birth)
 WHERE s.sha256 = ANY (ARRAY[i.sha256]) AND s.content_place IS NOT NULL AND (s.content_identity).device = i.device
   AND (s.content_identity).inode = i.inode AND (s.content_identity).birth_ns = i.birth
   AND EXISTS (SELECT FROM filestore.nodes n WHERE n.id = s.node_id AND n.mount_id = %(mount)s OFFSET 0)

-- name: give_up_names
-- Files that move, or lose their name to another one: a name with a NUL is one that no file has.
UPDATE filestore.nodes SET name = name || '\x00'::bytea || convert_to(id::text, 'UTF8'),
       name_text = name_text || ' (missing ' || id || ')'
 WHERE id = ANY(%(ids)s::bigint[]) AND position('\x00'::bytea IN name) = 0

-- name: take_name_back
-- A node that gave its name up for a moment has it again.
UPDATE filestore.nodes SET name = %(name)s, name_text = %(name_text)s WHERE id = %(node)s

-- name: weigh
-- What a directory counts for in those above it.
SELECT r.size_bytes, r.file_count, r.directory_count + 1 AS directory_count FROM filestore.rollup_of(%(directory)s) r

-- name: deepest_below
-- The length of the longest path of a directory at this one and below, deleted ones too.
SELECT d.directory_path AS path, greatest(
       (SELECT max(octet_length(n.directory_path)) FROM filestore.nodes n
         WHERE n.mount_id = d.mount_id AND n.directory_path >= d.directory_path
           AND n.directory_path < substring(d.directory_path FROM 1 FOR octet_length(d.directory_path) - 1) || '\x30'::bytea
           AND n.directory_path IS NOT NULL AND n.state <> 'deleted'),
       (SELECT max(octet_length(n.directory_path)) FROM filestore.nodes n
         WHERE n.mount_id = d.mount_id AND n.directory_path >= d.directory_path
           AND n.directory_path < substring(d.directory_path FROM 1 FOR octet_length(d.directory_path) - 1) || '\x30'::bytea
           AND n.directory_path IS NOT NULL AND n.state = 'deleted')) AS longest
  FROM filestore.nodes d WHERE d.id = %(directory)s

-- name: place_directory
-- A directory goes to another place, with all below it: directories learn their new path, the deleted ones too.
WITH RECURSIVE below AS (
    SELECT n.id, true AS top, p.directory_path || %(name)s::bytea || '\x2f'::bytea AS path,
           p.directory_text || %(name_text)s || '/' AS shown, p.depth + 1 AS depth
      FROM filestore.nodes n, filestore.nodes p WHERE n.id = %(node)s AND p.id = %(parent)s
     UNION ALL
    SELECT k.id, false, b.path || k.name || '\x2f'::bytea, b.shown || k.name_text || '/', b.depth + 1
      FROM below b CROSS JOIN LATERAL (
          SELECT n.id, n.name, n.name_text FROM filestore.nodes n
           WHERE n.parent_id = b.id AND n.state <> 'deleted' AND n.kind = 'directory'
           UNION ALL
          SELECT n.id, n.name, n.name_text FROM filestore.nodes n
           WHERE n.parent_id = b.id AND n.state = 'deleted' AND n.kind = 'directory' OFFSET 0) k
), affected AS (
    SELECT id, top, path, shown, depth FROM below
     UNION ALL
    SELECT k.id, false, NULL, NULL, b.depth + 1
      FROM below b CROSS JOIN LATERAL (
          SELECT n.id FROM filestore.nodes n WHERE n.parent_id = b.id AND n.state <> 'deleted' AND n.kind <> 'directory'
             AND n.depth <> b.depth + 1 OFFSET 0) k
)
UPDATE filestore.nodes n SET directory_path = a.path, directory_text = a.shown, depth = a.depth,
       parent_id = CASE WHEN a.top THEN %(parent)s ELSE n.parent_id END,
       name = CASE WHEN a.top THEN %(name)s::bytea ELSE n.name END,
       name_text = CASE WHEN a.top THEN %(name_text)s ELSE n.name_text END
  FROM affected a WHERE n.id = ANY (ARRAY[a.id])

-- name: roll
-- Totals change: these directories, and all above them.
WITH RECURSIVE sums AS (
    SELECT x.directory, sum(x.bytes) AS bytes, sum(x.files) AS files, sum(x.directories) AS directories,
           sum(x.children) AS children
      FROM jsonb_to_recordset(%(shifts)s::jsonb) AS x(directory bigint, bytes bigint, files bigint, directories bigint,
           children bigint) GROUP BY x.directory
), upward AS (
    SELECT * FROM sums
     UNION ALL
    SELECT n.parent_id, u.bytes, u.files, u.directories, 0 FROM upward u
     CROSS JOIN LATERAL (SELECT p.parent_id FROM filestore.nodes p WHERE p.id = u.directory OFFSET 0) n
     WHERE n.parent_id IS NOT NULL
)
INSERT INTO filestore.rollup_deltas (directory_id, size_bytes, file_count, directory_count, child_count)
SELECT directory, sum(bytes), sum(files), sum(directories), sum(children) FROM upward GROUP BY directory
HAVING (sum(bytes), sum(files), sum(directories), sum(children)) IS DISTINCT FROM (0::numeric, 0::numeric, 0::numeric, 0::numeric)

-- name: create_nodes
-- What was found there and is in the record from now on. Its directory is there already.
INSERT INTO filestore.nodes (id, tenant, mount_id, parent_id, name, name_text, directory_path, directory_text, depth, kind, state,
    size_bytes, sha256, device, inode, birth_ns, observed_size, observed_mtime_ns, observed_ctime_ns, observed_mode,
    observed_links, s3_etag, s3_version_id, observed_at, consistency_checked_at, last_reconciled_at, last_modified_at, judged)
SELECT i.node, p.tenant, p.mount_id, p.id, i.name, i.name_text,
       CASE WHEN i.kind = 'directory' THEN p.directory_path || i.name || '\x2f'::bytea END,
       CASE WHEN i.kind = 'directory' THEN p.directory_text || i.name_text || '/' END, p.depth + 1, i.kind, 'active',
       CASE WHEN i.kind = 'file' THEN s.size ELSE 0 END, decode(i.sha256, 'hex'), s.device, s.inode, s.birth_ns, s.size,
       s.mtime_ns, s.ctime_ns, s.mode, s.links, s.etag, s.version, now(), now(), now(),
       CASE WHEN s.mtime_ns > 0 THEN to_timestamp(s.mtime_ns / 1e9) ELSE now() END, %(conclusion)s
  FROM (SELECT x.node, x.parent, decode(x.name, 'hex') AS name, x.name_text, x.kind, x.sha256, x.facts
          FROM jsonb_to_recordset(%(acts)s::jsonb) AS x(node bigint, parent bigint, name text, name_text text,
               kind filestore.node_kind, sha256 text, facts jsonb)) i
 CROSS JOIN LATERAL filestore.identity_v1(i.facts) s
 CROSS JOIN LATERAL (SELECT k.* FROM filestore.nodes k WHERE k.id = i.parent OFFSET 0) p

-- name: put_targets
-- Where the links among these nodes lead.
INSERT INTO filestore.link_targets AS t (node_id, target)
SELECT x.node, decode(x.target, 'hex') FROM jsonb_to_recordset(%(acts)s::jsonb) AS x(node bigint, target text)
    ON CONFLICT (node_id) DO UPDATE SET target = excluded.target WHERE t.target <> excluded.target

-- name: change_nodes
-- The record follows what is there: times, content, place. A node is written only at the version that was judged.
UPDATE filestore.nodes n SET
    version = n.version + i.rise, first_by = CASE i.rise WHEN 0 THEN n.first_by END, state = 'active', missed_in = NULL,
    judged = %(conclusion)s, updated_at = now(),
    parent_id = coalesce(p.id, n.parent_id), name = coalesce(i.name, n.name), name_text = coalesce(i.name_text, n.name_text),
    depth = coalesce(p.depth + 1, n.depth),
    size_bytes = CASE WHEN i.content AND n.kind = 'file' THEN s.size ELSE n.size_bytes END,
    sha256 = CASE WHEN i.content THEN decode(i.sha256, 'hex') ELSE n.sha256 END,
    checksum = CASE WHEN i.content THEN NULL ELSE n.checksum END,
    device = s.device, inode = s.inode, birth_ns = s.birth_ns, observed_size = s.size, observed_mtime_ns = s.mtime_ns,
    observed_ctime_ns = s.ctime_ns, observed_mode = s.mode, observed_links = s.links, s3_etag = s.etag,
    s3_version_id = coalesce(s.version, n.s3_version_id), observed_at = now(), observed_by = NULL, consistency_checked_at = now(),
    last_reconciled_at = CASE WHEN i.drift THEN now() ELSE n.last_reconciled_at END,
    last_drift_at = CASE WHEN i.rise > 0 THEN now() ELSE n.last_drift_at END,
    last_modified_at = CASE WHEN NOT i.content THEN n.last_modified_at
        WHEN s.mtime_ns > 0 THEN to_timestamp(s.mtime_ns / 1e9) ELSE now() END
  FROM (SELECT x.node, x.version, x.rise, x.parent, decode(x.name, 'hex') AS name, x.name_text, x.content, x.drift, x.sha256,
               x.facts
          FROM jsonb_to_recordset(%(acts)s::jsonb) AS x(node bigint, version bigint, rise integer, parent bigint, name text,
               name_text text, content boolean, drift boolean, sha256 text, facts jsonb)) i
 CROSS JOIN LATERAL filestore.identity_v1(i.facts) s
  LEFT JOIN LATERAL (SELECT k.id, k.depth FROM filestore.nodes k WHERE k.id = i.parent OFFSET 0) p ON true
 WHERE n.id = ANY (ARRAY[i.node]) AND n.version = i.version
RETURNING n.id

-- name: doubt
-- Nodes that are not what the record says, or are not there: as long as no other look has confirmed it.
UPDATE filestore.nodes n SET state = 'inconsistent', missed_in = i.missed_in, judged = %(conclusion)s, updated_at = now(),
       last_drift_at = now(), consistency_checked_at = now()
  FROM jsonb_to_recordset(%(acts)s::jsonb) AS i(node bigint, version bigint, missed_in bigint)
 WHERE n.id = ANY (ARRAY[i.node]) AND n.version = i.version AND n.state IN ('active', 'inconsistent')
RETURNING n.id

-- name: miss
-- Nodes whose files are gone.
UPDATE filestore.nodes n SET state = 'missing', version = n.version + 1, first_by = NULL, judged = %(conclusion)s,
       updated_at = now(), last_drift_at = now(), consistency_checked_at = now(), last_reconciled_at = now()
  FROM jsonb_to_recordset(%(acts)s::jsonb) AS i(node bigint, version bigint)
 WHERE n.id = ANY (ARRAY[i.node]) AND n.version = i.version
RETURNING n.id

-- name: forget
-- A node and all below it leave the record. What was there is not kept: it was gone before.
WITH RECURSIVE below AS (
    SELECT n.id FROM filestore.nodes n WHERE n.id = %(node)s AND n.version = %(version)s AND n.state <> 'deleted'
     UNION ALL
    SELECT k.id FROM below b CROSS JOIN LATERAL (
        SELECT n.id FROM filestore.nodes n WHERE n.parent_id = b.id AND n.state <> 'deleted' OFFSET 0) k
), first AS (
    -- First versions that no row tells of yet.
    INSERT INTO filestore.versions
    SELECT f.node_id, f.version, f.command_id, f.parent_id, f.name, f.kind, f.state, f.size_bytes, f.sha256, f.metadata,
           f.valid_from, greatest(now(), f.valid_from)
      FROM below b CROSS JOIN LATERAL (SELECT k.* FROM filestore.first_versions k WHERE k.node_id = b.id OFFSET 0) f
    RETURNING node_id, valid_to
), open AS (
    UPDATE filestore.versions s SET valid_to = greatest(now(), s.valid_from)
      FROM below b WHERE s.node_id = ANY (ARRAY[b.id]) AND s.valid_to IS NULL
    RETURNING s.node_id, s.valid_to
), ended AS (
    SELECT node_id, valid_to FROM first UNION ALL SELECT node_id, valid_to FROM open
), forgotten AS (
    UPDATE filestore.nodes n SET state = 'deleted', version = n.version + 1, first_by = NULL, deleted_at = now(), updated_at = now()
      FROM below b WHERE n.id = ANY (ARRAY[b.id])
    RETURNING n.*
)
INSERT INTO filestore.versions (node_id, version, command_id, parent_id, name, kind, state, size_bytes, sha256, metadata,
    valid_from)
SELECT f.id, f.version, %(command)s::uuid, f.parent_id, f.name, f.kind, f.state, f.size_bytes, f.sha256, f.metadata,
       coalesce(e.valid_to, now())
  FROM forgotten f LEFT JOIN ended e ON e.node_id = f.id

-- name: snapshots
-- The versions that begin now.
INSERT INTO filestore.versions (node_id, version, command_id, parent_id, name, kind, state, size_bytes, sha256, metadata,
    valid_from)
SELECT n.id, n.version, i.command, n.parent_id, n.name, n.kind, n.state, n.size_bytes, n.sha256, n.metadata,
       coalesce((SELECT max(p.valid_to) FROM filestore.snapshots p WHERE p.node_id = n.id), now())
  FROM jsonb_to_recordset(%(acts)s::jsonb) AS i(node bigint, command uuid)
 CROSS JOIN LATERAL (SELECT k.* FROM filestore.nodes k WHERE k.id = i.node OFFSET 0) n

-- name: journal
-- An entry for each node that has a new version.
INSERT INTO filestore.journal_entries (tenant, command_id, attempt, kind, mount_id, node_id, path, principal, key, executor,
    outcome, context, payload, before, also, after, started_at)
SELECT m.tenant, i.command, 1, 'reconcileNode', m.id, n.id, decode(i.path, 'hex'), %(principal)s::text, i.command::text,
       m.backend_kind, 'succeeded', jsonb_build_object('look', %(look)s::bigint, 'verdict', i.verdict), i.payload, i.before,
       nullif(i.also, 'null'),
       jsonb_build_object('id', n.id, 'parent', n.parent_id, 'name', encode(n.name, 'hex'), 'kind', n.kind, 'state', n.state,
           'version', n.version, 'size', n.size_bytes, 'sha256', encode(n.sha256, 'hex')), %(started)s::timestamptz
  FROM jsonb_to_recordset(%(acts)s::jsonb) AS i(n integer, node bigint, command uuid, path text, verdict text, payload jsonb,
       before jsonb, also jsonb)
 CROSS JOIN LATERAL (SELECT k.* FROM filestore.nodes k WHERE k.id = i.node OFFSET 0) n
 CROSS JOIN LATERAL (SELECT k.* FROM filestore.backend_mounts k WHERE k.id = %(mount)s OFFSET 0) m
 ORDER BY i.n

-- name: tell
-- The events of nodes, in the order of the acts. Those without a new version have no entry to name.
INSERT INTO filestore.outbox (tenant, mount_id, type, data)
SELECT n.tenant, n.mount_id, i.type, jsonb_build_object('backendMountId', n.mount_id, 'nodeId', n.id, 'path', n.path_text,
        'kind', n.kind, 'state', n.state, 'parentId', n.parent_id, 'version', n.version, 'sizeBytes', n.size_bytes,
        'checksum', coalesce(filestore.hex_of(n.checksum), encode(n.sha256, 'hex')), 'contentHash', encode(n.sha256, 'hex'),
        'metadata', n.metadata, 'journalId', j.id, 'command', 'reconcileNode', 'commandId', i.command, 'idempotencyKey', NULL,
        'principal', %(principal)s::text, 'observedAt', now(),
        'consistencyState', CASE WHEN n.state = 'deleted' THEN 'active' ELSE n.state::text END, 'consistencyCheckedAt', now(),
        'lastReconciledAt', now(), 'previousState', i.previous, 'reason', %(reason)s::text,
        'delta', jsonb_build_object('sizeBytes', coalesce(i.delta, 0)))
        || jsonb_strip_nulls(jsonb_build_object('pathB64', filestore.path_b64_v1(n.path, n.path_text), 'movedFrom', i.moved_from,
               'movedFromB64', i.moved_from_b64))
  FROM jsonb_to_recordset(%(events)s::jsonb) AS i(n integer, rank integer, node bigint, type text, command uuid, previous text,
       delta bigint, moved_from text, moved_from_b64 text)
 CROSS JOIN LATERAL (SELECT k.id, k.tenant, k.mount_id, k.parent_id, k.kind, k.state, k.version, k.size_bytes, k.metadata, k.path,
           k.path_text, k.checksum, k.sha256 FROM filestore.node_documents k WHERE k.id = i.node OFFSET 0) n
  LEFT JOIN LATERAL (SELECT k.id FROM filestore.journal_entries k WHERE k.command_id = i.command OFFSET 0) j ON true
 ORDER BY i.n, i.rank

-- name: detect
-- Drift that was noticed, at places with a node and at places without.
INSERT INTO filestore.outbox (tenant, mount_id, type, data)
SELECT m.tenant, m.id, 'filestore.drift.detected', jsonb_build_object('backendMountId', m.id, 'nodeId', i.node, 'path', i.path,
       'detectedAt', now(), 'reason', i.kind, 'reporter', %(reason)s::text,
       'metadata', jsonb_build_object('look', %(look)s::bigint))
       || jsonb_strip_nulls(jsonb_build_object('pathB64', i.path_b64))
  FROM jsonb_to_recordset(%(events)s::jsonb) AS i(n integer, node bigint, path text, path_b64 text, kind text)
 CROSS JOIN LATERAL (SELECT k.id, k.tenant FROM filestore.backend_mounts k WHERE k.id = %(mount)s OFFSET 0) m
 ORDER BY i.n

-- name: report
-- Findings open, or say something else by now. One that says the same, and one that a person told to ignore, stays as it is.
INSERT INTO filestore.findings AS f (tenant, mount_id, path, kind, state, node_id, node_version, believed, observed, action,
       look_id, shown)
SELECT m.tenant, m.id, decode(i.path, 'hex'), i.kind, i.state, i.node, n.version, i.believed, i.observed, i.action, %(look)s,
       i.shown
  FROM jsonb_to_recordset(%(reports)s::jsonb) AS i(path text, shown text, kind text, state filestore.finding_state,
       node bigint, believed jsonb, observed jsonb, action text)
 CROSS JOIN LATERAL (SELECT k.id, k.tenant FROM filestore.backend_mounts k WHERE k.id = %(mount)s OFFSET 0) m
  LEFT JOIN LATERAL (SELECT k.version FROM filestore.nodes k WHERE k.id = i.node OFFSET 0) n ON true
 ORDER BY sha256(decode(i.path, 'hex'))
    ON CONFLICT (mount_id, key) WHERE ended_at IS NULL DO UPDATE SET
       last_seen = now(),
       version = f.version + CASE WHEN filestore.same_finding_v1(f, excluded) THEN 0 ELSE 1 END,
       state = CASE WHEN f.state = 'ignored' AND (f.until IS NULL OR f.until > now()) THEN f.state
            WHEN f.state <> 'ignored' AND filestore.same_finding_v1(f, excluded) THEN f.state ELSE excluded.state END,
       action = CASE WHEN f.decided_by IS NOT NULL AND (f.state = 'ignored' OR filestore.same_finding_v1(f, excluded))
            THEN f.action ELSE excluded.action END,
       decided_by = CASE WHEN f.state = 'ignored' OR filestore.same_finding_v1(f, excluded) THEN f.decided_by END,
       plan = CASE WHEN filestore.same_finding_v1(f, excluded) THEN f.plan END,
       problem = CASE WHEN filestore.same_finding_v1(f, excluded) THEN f.problem END,
       tries = CASE WHEN filestore.same_finding_v1(f, excluded) THEN f.tries ELSE 0 END,
       due_at = CASE WHEN filestore.same_finding_v1(f, excluded) THEN f.due_at ELSE now() END,
       kind = excluded.kind, node_id = excluded.node_id, node_version = excluded.node_version, believed = excluded.believed,
       observed = excluded.observed, look_id = excluded.look_id
RETURNING f.id, f.node_id, f.path, f.kind, f.state::text, f.version, f.first_seen = f.last_seen AS fresh

-- name: standing
-- Where findings stand that a look without a trace of them ends. Damage shows only when its bytes are read.
SELECT path FROM filestore.findings
 WHERE mount_id = %(mount)s AND ended_at IS NULL AND (state <> 'ignored' OR until <= now()) AND kind <> 'damaged'

-- name: leave
-- Findings at places that the policy ignores by now, and for no longer than it does.
UPDATE filestore.findings SET state = 'ignored', plan = NULL, until = now()
 WHERE mount_id = %(mount)s AND ended_at IS NULL AND state IN ('open', 'waiting')
   AND key IN (SELECT sha256(x.path) FROM unnest(%(paths)s::bytea[]) AS x(path))

-- name: settle
-- Findings of places where all is well.
UPDATE filestore.findings SET state = 'healed', version = version + 1, ended_at = now(), last_seen = now()
 WHERE mount_id = %(mount)s AND ended_at IS NULL AND (state <> 'ignored' OR until <= now())
   AND key IN (SELECT sha256(x.path) FROM unnest(%(paths)s::bytea[]) AS x(path))

-- name: conclude
-- The look has ended.
UPDATE filestore.looks SET state = 'concluded', counts = %(counts)s, ended_at = now() WHERE id = %(look)s AND ended_at IS NULL

-- name: come_to
-- What a look came to: a caller whose answer was lost asks again.
UPDATE filestore.looks SET ending = %(ending)s WHERE id = %(look)s

-- name: count
-- One more conclusion on this mount, what it found, and when all of it was looked at last.
INSERT INTO filestore.drift_mounts AS d (mount_id, conclusions, audited_at, audit, found)
VALUES (%(mount)s, 1, CASE WHEN %(whole)s THEN %(started)s::timestamptz END, CASE WHEN %(whole)s THEN %(look)s::bigint END,
       %(found)s::jsonb)
    ON CONFLICT (mount_id) DO UPDATE SET conclusions = d.conclusions + 1, touched_at = now(),
       found = (SELECT coalesce(jsonb_object_agg(x.key, x.total), '{}') FROM (
           SELECT k.key, sum(k.value::bigint)::bigint AS total
             FROM (SELECT * FROM jsonb_each_text(d.found) UNION ALL SELECT * FROM jsonb_each_text(excluded.found)) k
            GROUP BY k.key) x),
       audited_at = coalesce(excluded.audited_at, d.audited_at), audit = coalesce(excluded.audit, d.audit)
RETURNING conclusions
