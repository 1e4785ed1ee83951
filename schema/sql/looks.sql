-- Looks at a mount: how one begins, what it compares with, what it came upon, how it ends.

-- name: policy
-- What a mount does about drift.
SELECT policy, policy_version, policy_by FROM filestore.drift_mounts WHERE mount_id = %(mount)s

-- name: put_policy
-- What a mount does about drift from now on.
INSERT INTO filestore.drift_mounts AS d (mount_id, policy, policy_version, policy_by)
VALUES (%(mount)s, %(policy)s::jsonb, 1, %(principal)s)
    ON CONFLICT (mount_id) DO UPDATE SET policy = excluded.policy, policy_version = d.policy_version + 1,
       policy_by = excluded.policy_by, touched_at = now()

-- name: audited_mounts
-- The policies of these mounts that ask for audits.
SELECT mount_id, policy FROM filestore.drift_mounts
 WHERE mount_id = ANY(%(mounts)s::bigint[]) AND jsonb_array_length(coalesce(nullif(policy->'audits', 'null'), '[]')) > 0

-- name: begin
-- A look begins, before the storage is read. What is claimed now, and the entries that the journal will have beyond this one, are
-- commands that work beside it.
INSERT INTO filestore.looks (tenant, mount_id, reason, principal, by_hand, places, subtrees, whole, plan, entries, conclusions,
       claimed, key, hinted)
SELECT m.tenant, m.id, %(reason)s, %(principal)s, %(by_hand)s, %(places)s, %(subtrees)s, %(whole)s,
       CASE WHEN %(allows)s::bigint > 0 THEN jsonb_build_object('allows', %(allows)s::bigint) END,
       coalesce((SELECT max(id) FROM filestore.journal_entries), 0),
       coalesce((SELECT d.conclusions FROM filestore.drift_mounts d WHERE d.mount_id = m.id), 0),
       ARRAY(SELECT c.path FROM filestore.claims c WHERE c.mount_id = m.id), %(key)s::uuid, %(hinted)s
  FROM filestore.backend_mounts m WHERE m.id = %(mount)s
RETURNING id

-- name: of_key
-- The look that an order has begun already.
SELECT id FROM filestore.looks WHERE key = %(key)s::uuid AND key IS NOT NULL

-- name: interrupted
-- Looks at hints that a run has begun and does not end any more: one run at a time takes the hints of a mount.
SELECT id FROM filestore.looks WHERE mount_id = %(mount)s AND ended_at IS NULL AND hinted

-- name: find
-- One look, as it stands.
SELECT id, tenant, mount_id, reason, principal, by_hand, places, subtrees, whole, state::text, entries, conclusions, claimed, seen,
       plan, released_by, counts, problem, started_at, ended_at, ending
  FROM filestore.looks WHERE id = %(look)s

-- name: known_directories
-- A page of the directories that the record has in a range of paths, as three pieces of bytes: no row is made for each. One that
-- holds a node in doubt, or was never found to agree, has no digest.
WITH page AS MATERIALIZED (
    SELECT n.id, n.directory_path AS path, n.listing_fingerprint AS digest FROM filestore.nodes n
     WHERE n.mount_id = %(mount)s AND n.directory_path >= %(first)s AND n.directory_path < %(beyond)s
       AND n.directory_path IS NOT NULL AND n.state <> 'deleted'
     ORDER BY n.directory_path LIMIT %(most)s
), named AS (
    SELECT p.path, CASE WHEN octet_length(p.digest) = 16 AND NOT EXISTS (
               SELECT FROM filestore.nodes k WHERE k.mount_id = %(mount)s AND k.parent_id = p.id
                  AND k.state IN ('inconsistent', 'missing') OFFSET 0) THEN p.digest
           ELSE '\x00000000000000000000000000000000'::bytea END AS digest
      FROM page p WHERE position('\x00'::bytea IN p.path) = 0
)
SELECT count(*) AS found, string_agg(path, '\x00'::bytea ORDER BY path) AS paths,
       string_agg(digest, ''::bytea ORDER BY path) AS digests,
       (SELECT p.path FROM page p ORDER BY p.path DESC LIMIT 1) AS last, (SELECT count(*) FROM page) AS taken
  FROM named

-- name: directories
-- The directories that a page of a scan has listed, as the record knows them: by their file first, then by their name.
SELECT i.n, coalesce(o.id, h.id) AS id, coalesce(o.fingerprint, h.fingerprint) AS fingerprint,
       coalesce(o.path = i.path, true) AS here,
       EXISTS (SELECT FROM filestore.nodes k WHERE k.mount_id = %(mount)s AND k.parent_id = coalesce(o.id, h.id)
                  AND k.state IN ('inconsistent', 'missing') OFFSET 0) AS doubted
  FROM unnest(%(paths)s::bytea[], %(devices)s::bigint[], %(inodes)s::bigint[], %(births)s::bigint[])
       WITH ORDINALITY AS i(path, device, inode, birth, n)
  LEFT JOIN LATERAL (
       SELECT k.id, k.listing_fingerprint AS fingerprint, k.directory_path AS path FROM filestore.nodes k
        WHERE k.mount_id = %(mount)s AND k.inode = i.inode AND k.inode <> 0 AND k.state <> 'deleted' AND k.birth_ns = i.birth
          AND k.device = i.device AND k.kind = 'directory' LIMIT 1) o ON true
  LEFT JOIN LATERAL (
       SELECT k.id, k.listing_fingerprint AS fingerprint FROM filestore.nodes k
        WHERE o.id IS NULL AND k.mount_id = %(mount)s AND k.directory_path = i.path AND k.directory_path IS NOT NULL
          AND k.state <> 'deleted' LIMIT 1) h ON true

-- name: children
-- All that these directories hold, but for nodes without a name.
SELECT n.id, n.parent_id, n.name, n.kind::text, n.state::text, n.device, n.inode, n.birth_ns, n.observed_size,
       n.observed_mtime_ns, n.observed_ctime_ns, n.observed_mode, n.observed_links, n.s3_etag,
       n.observed_by IS NOT NULL AS provisional, n.missed_in
  FROM filestore.nodes n
 WHERE n.parent_id = ANY(%(ids)s::bigint[]) AND n.state <> 'deleted' AND position('\x00'::bytea IN n.name) = 0

-- name: children_between
-- The same of one directory, and of the names in a range: of a large one not all at once.
SELECT n.id, n.parent_id, n.name, n.kind::text, n.state::text, n.device, n.inode, n.birth_ns, n.observed_size,
       n.observed_mtime_ns, n.observed_ctime_ns, n.observed_mode, n.observed_links, n.s3_etag,
       n.observed_by IS NOT NULL AS provisional, n.missed_in
  FROM filestore.nodes n
 WHERE n.parent_id = %(directory)s AND n.name > %(after)s AND n.name <= %(upto)s AND n.state <> 'deleted'
   AND position('\x00'::bytea IN n.name) = 0

-- name: children_page
-- The same of one directory, in the order of the names: those behind one and up to another, but no more than so many.
SELECT n.id, n.parent_id, n.name, n.kind::text, n.state::text, n.device, n.inode, n.birth_ns, n.observed_size,
       n.observed_mtime_ns, n.observed_ctime_ns, n.observed_mode, n.observed_links, n.s3_etag,
       n.observed_by IS NOT NULL AS provisional, n.missed_in
  FROM filestore.nodes n
 WHERE n.parent_id = %(directory)s AND n.name > %(after)s AND n.name <= %(upto)s AND n.state <> 'deleted'
   AND position('\x00'::bytea IN n.name) = 0
 ORDER BY n.name LIMIT %(most)s

-- name: children_named
-- The same of one directory, at some names.
SELECT n.id, n.parent_id, n.name, n.kind::text, n.state::text, n.device, n.inode, n.birth_ns, n.observed_size,
       n.observed_mtime_ns, n.observed_ctime_ns, n.observed_mode, n.observed_links, n.s3_etag,
       n.observed_by IS NOT NULL AS provisional, n.missed_in
  FROM filestore.nodes n
 WHERE n.parent_id = %(directory)s AND n.name = ANY(%(names)s::bytea[]) AND n.state <> 'deleted'

-- name: child
-- What the record has at these names.
SELECT n.id, n.parent_id, n.name, n.kind::text, n.state::text, n.device, n.inode, n.birth_ns, n.observed_size,
       n.observed_mtime_ns, n.observed_ctime_ns, n.observed_mode, n.observed_links, n.s3_etag,
       n.observed_by IS NOT NULL AS provisional, n.missed_in
  FROM filestore.nodes p
  JOIN filestore.nodes n ON n.parent_id = p.id AND n.name = %(name)s AND n.state <> 'deleted'
 WHERE p.mount_id = %(mount)s AND p.directory_path = %(directory)s AND p.directory_path IS NOT NULL AND p.state <> 'deleted'

-- name: known_hashes
-- What an earlier execution of this look has hashed from one of its pages on, and is still the same.
SELECT path, facts, sha256 FROM filestore.look_entries
 WHERE look_id = %(look)s AND page >= %(page)s AND sha256 IS NOT NULL

-- name: put_entries
-- What a page came upon. A page that is read again says the same of a name, or something newer.
INSERT INTO filestore.look_entries (look_id, path, within, state, kind, facts, sha256, stable, code, message, page,
       target)
SELECT %(look)s, decode(x.path, 'hex'), x.within, x.state, x.kind, x.facts, decode(x.sha256, 'hex'), x.stable, x.code, x.message,
       %(page)s, decode(x.target, 'hex')
  FROM jsonb_to_recordset(%(entries)s::jsonb) AS x(path text, within bigint, state text, kind text, facts jsonb, sha256 text,
       stable boolean, code text, message text, target text)
    ON CONFLICT (look_id, key) DO UPDATE SET within = excluded.within, state = excluded.state, kind = excluded.kind,
       facts = excluded.facts, sha256 = excluded.sha256, stable = excluded.stable, code = excluded.code, message = excluded.message,
       page = excluded.page, target = excluded.target

-- name: put_page
-- A page of directories is compared, and what differs in it is kept.
INSERT INTO filestore.look_pages (look_id, number, paths, times, names, cursor)
VALUES (%(look)s, %(number)s, %(paths)s, %(times)s, %(names)s, %(cursor)s)
    ON CONFLICT (look_id, number) DO UPDATE SET paths = excluded.paths, times = excluded.times, names = excluded.names,
       cursor = excluded.cursor

-- name: page
-- One of them.
SELECT paths, times, names, cursor FROM filestore.look_pages WHERE look_id = %(look)s AND number = %(number)s

-- name: pages
-- How many pages a look has compared, and how many names lay in them.
SELECT count(*) AS pages, coalesce(sum(names), 0)::bigint AS names FROM filestore.look_pages WHERE look_id = %(look)s

-- name: forget_pages
-- How far a look had come, once it has ended.
DELETE FROM filestore.look_pages WHERE look_id = %(look)s

-- name: entries
-- All that a look came upon.
SELECT path, within, state, kind, facts, sha256, stable, code, message, target FROM filestore.look_entries WHERE look_id = %(look)s

-- name: forget_since
-- What was come upon after the last page that is done: it is read anew.
DELETE FROM filestore.look_entries WHERE look_id = %(look)s AND page >= %(page)s

-- name: absent
-- A page of what was not there, in the order of the keys.
SELECT key, path FROM filestore.look_entries
 WHERE look_id = %(look)s AND key > %(after)s AND state = 'absent' ORDER BY key LIMIT %(most)s

-- name: forget_keys
-- Of some of that the storage says, when it is asked, that it is there.
DELETE FROM filestore.look_entries WHERE look_id = %(look)s AND key = ANY(%(keys)s::bytea[])

-- name: matched
-- These directories were listed, and hold just what the record says: a listing that has this digest again need not be compared.
UPDATE filestore.nodes n SET listing_fingerprint = x.digest
  FROM unnest(%(ids)s::bigint[], %(digests)s::bytea[]) AS x(id, digest)
 WHERE n.id = ANY (ARRAY[x.id]) AND n.listing_fingerprint IS DISTINCT FROM x.digest

-- name: read
-- How much a look has seen, while it reads.
UPDATE filestore.looks SET seen = %(seen)s WHERE id = %(look)s AND state = 'reading'

-- name: hold
-- A look that would change much waits for a yes, and says what it would do.
UPDATE filestore.looks SET state = 'waiting', plan = %(plan)s WHERE id = %(look)s AND state = 'reading'

-- name: release
-- The yes, for this look alone.
UPDATE filestore.looks SET released_by = %(principal)s
 WHERE id = %(look)s AND mount_id = %(mount)s AND state = 'waiting' AND released_by IS NULL
RETURNING id

-- name: forget_released
-- Looks of a mount that a person has released, when the look begins that this allows.
UPDATE filestore.looks SET state = 'discarded', problem = 'A person has released it.', ended_at = now()
 WHERE mount_id = %(mount)s AND ended_at IS NULL AND state = 'waiting' AND released_by IS NOT NULL

-- name: give_up
-- A look that ends without a conclusion. The places of hints that it took are hints again.
WITH ended AS (
    UPDATE filestore.looks SET state = %(state)s::filestore.look_state, problem = %(problem)s, ended_at = now()
     WHERE id = %(look)s AND ended_at IS NULL
    RETURNING mount_id, hinted, places, subtrees
)
INSERT INTO filestore.drift_hints AS h (mount_id, path, subtree, reason)
SELECT e.mount_id, x.path, x.subtree, 'again' FROM ended e CROSS JOIN LATERAL unnest(e.places, e.subtrees) AS x(path, subtree)
 WHERE e.hinted ORDER BY sha256(x.path)
    ON CONFLICT (mount_id, key) DO UPDATE SET subtree = true WHERE excluded.subtree AND NOT h.subtree

-- name: forget_entries
-- What a look came upon, once it has ended.
DELETE FROM filestore.look_entries WHERE look_id = %(look)s

-- name: held
-- Looks that wait for a yes on the mounts of a tenant.
SELECT id, mount_id, reason, plan, places, subtrees, started_at FROM filestore.looks
 WHERE mount_id = %(mount)s AND ended_at IS NULL AND state = 'waiting' ORDER BY id

-- name: consistency
-- How a mount, or a part of it, is: when all of it was looked at last, what was found, what waits.
SELECT d.found, a.id AS audit, a.reason, a.state::text, a.started_at, a.ended_at, a.seen, a.counts,
       (SELECT coalesce(jsonb_object_agg(k.kind, k.found), '{}') FROM (
            SELECT f.kind, count(*) AS found FROM filestore.findings f
             WHERE f.mount_id = m.id AND f.ended_at IS NULL AND f.state <> 'ignored'
               AND (%(path)s::bytea = '' OR f.path = %(path)s
                    OR substring(f.path FROM 1 FOR octet_length(%(path)s) + 1) = %(path)s || '\x2f'::bytea)
             GROUP BY f.kind) k) AS findings,
       (SELECT count(*) FROM filestore.findings f
         WHERE f.mount_id = m.id AND f.state = 'healed'
           AND (%(path)s::bytea = '' OR f.path = %(path)s
                OR substring(f.path FROM 1 FOR octet_length(%(path)s) + 1) = %(path)s || '\x2f'::bytea)) AS healed,
       (SELECT count(*) FROM filestore.findings f
         WHERE f.mount_id = m.id AND f.ended_at IS NULL AND f.state IN ('open', 'waiting')
           AND (%(path)s::bytea = '' OR f.path = %(path)s
                OR substring(f.path FROM 1 FOR octet_length(%(path)s) + 1) = %(path)s || '\x2f'::bytea)) AS open,
       (SELECT count(*) FROM filestore.looks l WHERE l.mount_id = m.id AND l.ended_at IS NULL AND l.state = 'waiting') AS held,
       (SELECT count(*) FROM filestore.drift_hints h WHERE h.mount_id = m.id) AS hints
  FROM filestore.backend_mounts m
  LEFT JOIN filestore.drift_mounts d ON d.mount_id = m.id
  LEFT JOIN LATERAL (
       SELECT l.* FROM filestore.looks l
         WHERE l.mount_id = m.id AND l.state = 'concluded' AND true = ANY (l.subtrees) AND EXISTS (
               SELECT FROM unnest(l.places, l.subtrees) AS p(path, subtree)
                WHERE p.subtree AND (p.path = '' OR p.path = %(path)s
                      OR substring(%(path)s::bytea FROM 1 FOR octet_length(p.path) + 1) = p.path || '\x2f'::bytea))
         ORDER BY l.id DESC LIMIT 1) a ON true
 WHERE m.id = %(mount)s

-- name: numbers
-- The same of all mounts, for metrics.
SELECT m.tenant, m.mount_key, coalesce(d.found, '{}') AS found,
       extract(epoch FROM now() - d.audited_at)::float8 AS audit_seconds,
       (SELECT coalesce(jsonb_object_agg(k.state, k.found), '{}') FROM (
            SELECT f.state::text, count(*) AS found FROM filestore.findings f
             WHERE f.mount_id = m.id AND f.ended_at IS NULL GROUP BY f.state) k) AS findings,
       (SELECT count(*) FROM filestore.findings f WHERE f.mount_id = m.id AND f.state = 'healed') AS healed,
       (SELECT count(*) FROM filestore.looks l WHERE l.mount_id = m.id AND l.ended_at IS NULL AND l.state = 'waiting') AS held,
       coalesce(h.hints, 0) AS hints, coalesce(h.seconds, 0) AS hint_seconds
  FROM filestore.backend_mounts m
  LEFT JOIN filestore.drift_mounts d ON d.mount_id = m.id
  LEFT JOIN (SELECT k.mount_id, count(*) AS hints, extract(epoch FROM now() - min(k.noticed_at))::float8 AS seconds
               FROM filestore.drift_hints k GROUP BY k.mount_id) h ON h.mount_id = m.id
 WHERE m.removed_at IS NULL ORDER BY m.id
