-- The log of a project: what waits to be committed, the tree as it is, every commit and what it changed.

-- name: batch
-- What a node wants to be committed, under a name of its own. No row: it is known. Nothing waits for the disk here: the commit
-- itself does, which is behind it in the log; where the batch is lost before that, the node has no answer and sends it again.
INSERT INTO filestore.project_batches (project_id, batch, node, principal, digest, base, body)
SELECT %(project)s, %(batch)s, %(node)s, %(principal)s, %(digest)s, %(base)s, %(body)s::json
  FROM (SELECT set_config('synchronous_commit', 'off', true)) q
ON CONFLICT (project_id, batch) DO NOTHING RETURNING batch

-- name: known_batch
-- Whether it is the same, and what became of it.
SELECT b.digest, b.outcome FROM filestore.project_batches b WHERE b.project_id = %(project)s AND b.batch = %(batch)s

-- name: shut_out
-- A batch that has not come by now never does: its name is taken. No row: it has come.
INSERT INTO filestore.project_batches (project_id, batch, node, principal, digest, outcome)
VALUES (%(project)s, %(batch)s, %(node)s, %(principal)s, ''::bytea, '{}')
ON CONFLICT (project_id, batch) DO NOTHING RETURNING batch

-- name: take_batch
-- What is to be committed. Its row is held until the transaction ends.
SELECT b.node, b.principal, b.base, b.body, b.outcome FROM filestore.project_batches b
 WHERE b.project_id = %(project)s AND b.batch = %(batch)s FOR UPDATE

-- name: end_batch
-- What became of it; its changes are in the log.
UPDATE filestore.project_batches SET outcome = %(outcome)s::json, body = NULL
 WHERE project_id = %(project)s AND batch = %(batch)s

-- name: drop_batch
-- It was refused: the same name may come again.
DELETE FROM filestore.project_batches WHERE project_id = %(project)s AND batch = %(batch)s AND outcome IS NULL

-- name: prune_batches
-- What has ended long ago.
DELETE FROM filestore.project_batches WHERE created_at < now() - make_interval(secs => %(seconds)s) AND outcome IS NOT NULL

-- name: head
-- Commits of a project come one after the other: each holds its row. Rows that refer to the project are written meanwhile.
SELECT p.* FROM filestore.projects p WHERE p.id = %(project)s FOR NO KEY UPDATE

-- name: tree
-- The entries at these paths, and what lies directly in these directories: looked up one by one, as contents are (objects.sql).
SELECT t.path, t.kind, encode(t.sha, 'hex') AS sha, t.size_bytes, t.mode
  FROM (SELECT sha256(u.path) AS key FROM unnest(%(paths)s::bytea[]) u (path) OFFSET 0) n
 CROSS JOIN LATERAL (SELECT e.* FROM filestore.project_paths e
                      WHERE e.project_id = %(project)s AND e.key = n.key OFFSET 0) t
UNION ALL
SELECT t.path, t.kind, encode(t.sha, 'hex'), t.size_bytes, t.mode
  FROM (SELECT sha256(u.path) AS key FROM unnest(%(parents)s::bytea[]) u (path) OFFSET 0) n
 CROSS JOIN LATERAL (SELECT e.* FROM filestore.project_paths e
                      WHERE e.project_id = %(project)s AND e.parent = n.key OFFSET 0) t

-- name: remove_paths
-- They are not in the tree any more.
DELETE FROM filestore.project_paths t
 USING (SELECT e.project_id, e.key FROM (SELECT sha256(u.path) AS key FROM unnest(%(paths)s::bytea[]) u (path) OFFSET 0) n
         CROSS JOIN LATERAL (SELECT p.project_id, p.key FROM filestore.project_paths p
                              WHERE p.project_id = %(project)s AND p.key = n.key OFFSET 0) e OFFSET 0) m
 WHERE t.project_id = m.project_id AND t.key = m.key

-- name: put_paths
-- They are in the tree, as this revision has them.
INSERT INTO filestore.project_paths AS t (project_id, path, parent, kind, sha, size_bytes, mode, revision)
SELECT %(project)s, n.path, sha256(n.parent), n.kind, n.sha, n.size, n.mode, %(revision)s
  FROM unnest(%(paths)s::bytea[], %(parents)s::bytea[], %(kinds)s::text[], %(shas)s::bytea[], %(sizes)s::bigint[],
              %(modes)s::integer[]) n (path, parent, kind, sha, size, mode)
ON CONFLICT (project_id, key) DO UPDATE
   SET kind = excluded.kind, sha = excluded.sha, size_bytes = excluded.size_bytes, mode = excluded.mode,
       revision = excluded.revision

-- name: pages
-- Pages of manifests.
SELECT encode(p.sha, 'hex') AS sha, p.body FROM filestore.project_pages p
 WHERE p.project_id = %(project)s AND p.sha = ANY(%(shas)s::bytea[])

-- name: put_pages
-- Pages are named by their content: one that is there is the same, and was written by this commit, too.
INSERT INTO filestore.project_pages AS g (project_id, sha, body, revision)
SELECT %(project)s, n.sha, n.body, %(revision)s FROM unnest(%(shas)s::bytea[], %(bodies)s::bytea[]) n (sha, body) ORDER BY n.sha
ON CONFLICT (project_id, sha) DO UPDATE SET revision = excluded.revision WHERE g.revision < excluded.revision

-- name: commit
-- A commit, and the head that it makes.
WITH made AS (
    INSERT INTO filestore.project_commits (project_id, revision, batch, node, principal, manifest, files, size_bytes, changes,
                                           durability)
    VALUES (%(project)s, %(revision)s, %(batch)s, %(node)s, %(principal)s, %(manifest)s, %(files)s, %(size)s, %(changes)s,
            %(durability)s)
)
UPDATE filestore.projects SET revision = %(revision)s, manifest = %(manifest)s, files = %(files)s, size_bytes = %(size)s,
       updated_at = now()
 WHERE id = %(project)s

-- name: log_changes
-- What a commit changed, in its order.
INSERT INTO filestore.project_changes (project_id, revision, ordinal, kind, path, source, entry_kind, sha, size_bytes, mode,
                                       before_sha)
SELECT %(project)s, %(revision)s, n.ordinal, n.kind, n.path, n.source, n.entry_kind, n.sha, n.size, n.mode, n.before
  FROM unnest(%(kinds)s::text[], %(paths)s::bytea[], %(sources)s::bytea[], %(entry_kinds)s::text[], %(shas)s::bytea[],
              %(sizes)s::bigint[], %(modes)s::integer[], %(befores)s::bytea[])
       WITH ORDINALITY n (kind, path, source, entry_kind, sha, size, mode, before, ordinal)

-- name: log_conflicts
-- What both changed: one row for each loser.
INSERT INTO filestore.project_conflicts (project_id, revision, path, rule, winner_sha, loser_sha, loser_size, loser_mode,
                                         loser_node, kept_as)
SELECT %(project)s, %(revision)s, n.path, %(rule)s, n.winner, n.loser, n.size, n.mode,
       CASE WHEN n.here THEN %(node)s
            ELSE coalesce((SELECT c.node FROM filestore.project_paths t
                             JOIN filestore.project_commits c ON c.project_id = t.project_id AND c.revision = t.revision
                            WHERE t.project_id = %(project)s AND t.key = sha256(n.path)), 'unknown') END, n.kept_as
  FROM unnest(%(paths)s::bytea[], %(winners)s::bytea[], %(losers)s::bytea[], %(sizes)s::bigint[], %(modes)s::integer[],
              %(heres)s::boolean[], %(kept)s::bytea[]) n (path, winner, loser, size, mode, here, kept_as)
RETURNING id

-- name: commits
-- A page of the history, the newest first.
SELECT c.*, encode(c.manifest, 'hex') AS manifest_sha FROM filestore.project_commits c
 WHERE c.project_id = %(project)s AND (%(before)s::bigint IS NULL OR c.revision < %(before)s)
 ORDER BY c.revision DESC LIMIT %(limit)s

-- name: commit_at
-- The last commit up to a revision, or up to a time.
SELECT c.revision, encode(c.manifest, 'hex') AS manifest_sha, c.files, c.size_bytes, c.created_at
  FROM filestore.project_commits c
 WHERE c.project_id = %(project)s AND c.revision <= %(revision)s AND (%(at)s::timestamptz IS NULL OR c.created_at <= %(at)s)
 ORDER BY c.revision DESC LIMIT 1

-- name: changes
-- What was changed after a revision, in order; whole commits, unless the first alone is larger than the limit.
SELECT c.revision, c.ordinal, c.kind, c.path, c.source, c.entry_kind, encode(c.sha, 'hex') AS sha, c.size_bytes, c.mode,
       encode(c.before_sha, 'hex') AS before_sha, t.node, t.created_at
  FROM filestore.project_changes c
  JOIN filestore.project_commits t ON t.project_id = c.project_id AND t.revision = c.revision
 WHERE c.project_id = %(project)s AND (c.revision, c.ordinal) > (%(revision)s, %(ordinal)s)
 ORDER BY c.revision, c.ordinal LIMIT %(limit)s

-- name: settle_durability
-- Commits whose objects are all cold by now. Only those before the oldest object that is hot alone can be.
UPDATE filestore.project_commits c SET durability = 'cold'
 WHERE c.project_id = %(project)s AND c.durability = 'hot' AND NOT EXISTS (
       SELECT FROM filestore.project_changes d
         JOIN filestore.project_objects o ON o.project_id = d.project_id AND o.sha = d.sha
        WHERE d.project_id = c.project_id AND d.revision = c.revision AND o.tier IN ('hot', 'missing'))
RETURNING c.revision

-- name: conflicts
-- A page of the inbox, the oldest first.
SELECT f.*, encode(f.winner_sha, 'hex') AS winner, encode(f.loser_sha, 'hex') AS loser FROM filestore.project_conflicts f
 WHERE f.project_id = %(project)s AND f.state = %(state)s AND f.id > %(after)s ORDER BY f.id LIMIT %(limit)s

-- name: overdue_conflicts
-- Those of the inbox that nobody decided in time.
SELECT f.*, encode(f.winner_sha, 'hex') AS winner, encode(f.loser_sha, 'hex') AS loser FROM filestore.project_conflicts f
  JOIN filestore.projects p ON p.id = f.project_id
 WHERE f.project_id = %(project)s AND f.state = 'open' AND f.created_at < now() - make_interval(secs => p.decide_after_seconds)
 ORDER BY f.id LIMIT %(limit)s

-- name: count_conflicts
-- How many are open.
SELECT count(*) AS open FROM filestore.project_conflicts f WHERE f.project_id = %(project)s AND f.state = 'open'

-- name: open_conflicts
-- Those of the inbox that a decision is about, held until it is made.
SELECT f.*, encode(f.winner_sha, 'hex') AS winner, encode(f.loser_sha, 'hex') AS loser FROM filestore.project_conflicts f
 WHERE f.project_id = %(project)s AND f.state = 'open' AND f.id = ANY(%(ids)s::bigint[]) ORDER BY f.id FOR UPDATE

-- name: decide
-- They are decided, and leave the inbox.
UPDATE filestore.project_conflicts SET state = 'decided', decision = %(decision)s, decided_by = %(principal)s, decided_at = now()
 WHERE project_id = %(project)s AND id = ANY(%(ids)s::bigint[]) AND state = 'open' RETURNING id

-- name: tell
-- Events of a project, in their order: one document for all, since an array of documents has each quotation mark escaped anew.
INSERT INTO filestore.outbox (tenant, mount_id, type, data)
SELECT %(tenant)s, %(mount)s, n.event ->> 0, n.event -> 1
  FROM json_array_elements(%(events)s::json) WITH ORDINALITY n (event, at) ORDER BY n.at
