-- Everything the record knows of one mount, for the consistency check. Read in one snapshot of the database.

-- name: moment
-- When the snapshot was taken, how far the journal of this mount had come, and whether the Metastore had seen all of the feed.
SELECT now() AS now, (SELECT max(id) FROM filestore.journal_entries WHERE mount_id = %(mount)s) AS last_entry,
       c.position = f.position AND c.scanned IS NULL AND NOT EXISTS (SELECT FROM filestore.metastore_trees)
       AND NOT EXISTS (SELECT FROM filestore.outbox WHERE position IS NULL) AS caught_up
  FROM filestore.metastore_cursor c CROSS JOIN filestore.event_feed f

-- name: metastore
-- What the Metastore says the nodes are.
SELECT node_id AS node, state::text, node_version AS version, size_bytes AS size, sha256, parent_id AS parent, path,
       deleted_at IS NOT NULL AS closed, removed
  FROM filestore.metastore_records WHERE mount_id = %(mount)s

-- name: nodes
-- All nodes, deleted ones too. `drifted`: the last command, or look, on it said that another program had changed it.
SELECT id, mount_id, parent_id, name, directory_path, depth, kind::text, state::text, version, size_bytes, sha256,
       filestore.node_identity(nodes) AS identity,
       coalesce(last_drift_at >= coalesce(greatest(last_modified_at, last_reconciled_at), created_at), false) AS drifted,
       charged_to
  FROM filestore.nodes WHERE mount_id = %(mount)s

-- name: journal
-- All entries, in order; and those of other mounts by which something has moved away from here. Each says whether its command
-- may be pruned (`outlived`), and whether its events may be (`untold`). Administrative acts are about no node.
SELECT id, command_id::text AS command, attempt, outcome::text, code, retryable, node_id, before, after,
       context ? 'drift' AS drift, kind, also, mount_id <> %(mount)s AS foreign,
       coalesce(recorded_at <= r.commands_until, false) AS outlived, coalesce(recorded_at <= r.events_until, false) AS untold
  FROM filestore.journal_entries CROSS JOIN filestore.retention r
 WHERE (mount_id = %(mount)s OR (also->'departed'->>'mount')::bigint = %(mount)s) AND executor <> 'record' ORDER BY id

-- name: snapshots
-- All versions of all nodes.
SELECT s.node_id, s.version, s.command_id::text AS command, s.kind::text, s.state::text, s.size_bytes, s.sha256,
       s.valid_from, s.valid_to, s.content_place, s.content_until, s.parent_id, s.name
  FROM filestore.snapshots s JOIN filestore.nodes n ON n.id = s.node_id WHERE n.mount_id = %(mount)s

-- name: rollups
-- The totals of every directory as a reader would add them up: what was folded, and what was appended since.
SELECT n.id, coalesce(r.size_bytes, 0) + coalesce(d.size_bytes, 0) AS size_bytes,
       coalesce(r.file_count, 0) + coalesce(d.file_count, 0) AS file_count,
       coalesce(r.directory_count, 0) + coalesce(d.directory_count, 0) AS directory_count,
       coalesce(r.child_count, 0) + coalesce(d.child_count, 0) AS child_count
  FROM filestore.nodes n
  LEFT JOIN filestore.rollups r ON r.directory_id = n.id
  LEFT JOIN (SELECT directory_id, sum(size_bytes)::bigint AS size_bytes, sum(file_count)::bigint AS file_count,
                    sum(directory_count)::bigint AS directory_count, sum(child_count)::bigint AS child_count
               FROM filestore.rollup_deltas GROUP BY directory_id) d ON d.directory_id = n.id
 WHERE n.mount_id = %(mount)s AND n.kind = 'directory'

-- name: commands
-- All commands, with what their stored answers name: the entry of a success, the code of a failure.
SELECT id::text, status::text, attempt, code, retryable, (outcome->>'journalEntryId')::bigint AS entry,
       outcome->'error'->>'code' AS error, intent->'staged' AS staged,
       CASE WHEN NOT intent ? 'borrowed' THEN intent->>'stage' END AS stage
  FROM filestore.commands WHERE mount_id = %(mount)s

-- name: events
-- All events that tell of a journal entry, by that entry. (Downloads have none.)
SELECT type, (data->>'journalId')::bigint AS journal, position FROM filestore.outbox
 WHERE mount_id = %(mount)s AND data->>'journalId' IS NOT NULL

-- name: claims
-- What is claimed now.
SELECT path, command_id::text AS command FROM filestore.claims WHERE mount_id = %(mount)s

-- name: cleanups
-- Which commands have something left to clear.
SELECT command_id::text AS command FROM filestore.cleanups WHERE mount_id = %(mount)s

-- name: expired_stages
-- Metadata that waits for a command, and has expired.
SELECT id::text FROM filestore.stages WHERE mount_id = %(mount)s AND upload_state IS NULL AND expires_at < now()

-- name: open_uploads
-- Uploads that go straight to the bucket and may still become files: their stages lie there.
SELECT id::text FROM filestore.stages
 WHERE mount_id = %(mount)s AND upload_state = 'open' AND expires_at > now() AND request->>'kind' = 'direct'

-- name: operations
-- What each operation counts, and what its items add up to. Stray are items in flight without a command that runs; miscounted are
-- codes of which it counts more or fewer items than there are.
-- What an import has done has no items: the journal says how many nodes it made. Its items that wait are not counted.
SELECT o.id::text, o.state::text, o.claimed, ARRAY[o.items, o.in_flight, o.done, o.failed, o.skipped, o.reversed] AS counted,
       i.summed, i.stray, w.miscounted
  FROM filestore.operations o
 CROSS JOIN LATERAL (
     SELECT ARRAY[m.made + count(x.item) FILTER (WHERE o.kind <> 'import' OR x.state <> 'pending'),
                  count(*) FILTER (WHERE x.state = 'running'), m.made + count(*) FILTER (WHERE x.state = 'done'),
                  count(*) FILTER (WHERE x.state = 'failed'), count(*) FILTER (WHERE x.state = 'skipped'),
                  count(*) FILTER (WHERE x.state = 'reversed')] AS summed,
            count(*) FILTER (WHERE x.state = 'running' AND x.kind NOT IN ('verify', 'purge', 'forget', 'tag') AND NOT EXISTS (
                SELECT FROM filestore.commands c WHERE c.id = x.command_id AND c.status = 'running')) AS stray
       FROM (SELECT coalesce(sum((j.also->'made'->>'files')::bigint + (j.also->'made'->>'directories')::bigint), 0) AS made
               FROM filestore.journal_entries j WHERE o.kind = 'import' AND j.operation_id = o.id) m
       LEFT JOIN filestore.operation_items x ON x.operation_id = o.id
      GROUP BY m.made) i
 CROSS JOIN LATERAL (
     SELECT count(*) AS miscounted
       FROM (SELECT code, count(*) FROM filestore.operation_items
              WHERE operation_id = o.id AND state IN ('failed', 'skipped') AND code IS NOT NULL GROUP BY code) a
       FULL JOIN (SELECT code, count FROM filestore.operation_errors WHERE operation_id = o.id AND count <> 0) e USING (code)
      WHERE a.count IS DISTINCT FROM e.count) w
 WHERE o.mount_id = %(mount)s

-- name: feed
-- The event feed of all mounts in numbers. Overdue are events without a position that no open transaction can precede.
SELECT f.position AS last, r.events_position AS pruned, o.positioned, o.lowest, o.highest,
       (SELECT count(*) FROM filestore.outbox
         WHERE position IS NULL AND transaction < pg_snapshot_xmin(pg_current_snapshot())) AS overdue
  FROM filestore.event_feed f, filestore.retention r,
       (SELECT count(*) AS positioned, min(position) AS lowest, max(position) AS highest
          FROM filestore.outbox WHERE position IS NOT NULL) o

-- name: unrest
-- How much is still under way: on these mounts, and in the feed.
SELECT (SELECT count(*) FROM filestore.commands WHERE status = 'running' AND mount_id = ANY(%(mounts)s))
     + (SELECT count(*) FROM filestore.claims WHERE mount_id = ANY(%(mounts)s))
     + (SELECT count(*) FROM filestore.cleanups WHERE mount_id = ANY(%(mounts)s))
     + (SELECT count(*) FROM filestore.outbox
         WHERE position IS NULL AND transaction < pg_snapshot_xmin(pg_current_snapshot())) AS outstanding

-- name: charges
-- What is counted of principals on a mount, and (without a principal) of its trash: what was folded, and what was appended since.
SELECT x.principal, sum(x.size_bytes)::bigint AS size_bytes, sum(x.node_count)::bigint AS node_count
  FROM (SELECT principal, size_bytes, node_count FROM filestore.charges
         WHERE mount_id = %(mount)s AND quota_id IS NULL
         UNION ALL
        SELECT principal, size_bytes, node_count FROM filestore.charge_deltas
         WHERE mount_id = %(mount)s AND quota_id IS NULL) x
 GROUP BY x.principal HAVING sum(x.size_bytes) <> 0 OR sum(x.node_count) <> 0

-- name: quotas
-- The quotas that count something of a mount, and what they count of it. `kept`: what the trash keeps of that, content by content.
SELECT q.id, q.path, q.principal, q.trash, u.bytes, u.nodes,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(t.node_id, encode(t.content_place, 'hex'), t.size_bytes)), '[]')
          FROM filestore.quota_kept t CROSS JOIN LATERAL (SELECT FROM filestore.nodes n
                 WHERE n.id = t.node_id AND n.mount_id = m.id OFFSET 0) n WHERE t.quota_id = q.id) AS kept
  FROM filestore.backend_mounts m
  JOIN filestore.quotas k ON k.tenant = m.tenant AND (k.mount_id IS NULL OR k.mount_id = m.id)
 CROSS JOIN LATERAL (SELECT x.* FROM jsonb_populate_record(k, jsonb_build_object('mount_id', m.id)) x OFFSET 0) q
 CROSS JOIN LATERAL filestore.quota_use_v1(q) u
 WHERE m.id = %(mount)s AND m.removed_at IS NULL
