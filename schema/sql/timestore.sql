-- The Timestore, in the SQL of DuckDB: `lake` is a DuckLake, its catalogue in Postgres, its rows in Parquet files.

-- name: create
-- A row for each event.
CREATE TABLE IF NOT EXISTS lake.filestore_activity (
    position BIGINT, observed_at TIMESTAMPTZ, event_type VARCHAR, tenant VARCHAR, backend_mount_id BIGINT, node_id BIGINT,
    path VARCHAR, moved_from VARCHAR, kind VARCHAR, state VARCHAR, previous_state VARCHAR, consistency_state VARCHAR,
    version BIGINT, size_bytes BIGINT, size_delta BIGINT, file_delta BIGINT, tree_bytes BIGINT, tree_files BIGINT,
    content_hash VARCHAR, journal_id BIGINT, command VARCHAR, command_id VARCHAR, status VARCHAR, code VARCHAR,
    principal VARCHAR, idempotency_key VARCHAR, correlation_id VARCHAR, duration_ms DOUBLE, reconciliation_reason VARCHAR,
    metadata_json VARCHAR)

-- name: partition
-- A file has the rows of one day: a query about a week opens a week's files.
ALTER TABLE lake.filestore_activity SET PARTITIONED BY (year(observed_at), month(observed_at), day(observed_at))

-- name: create_cursor
-- How far the feed is taken in. It is changed in each transaction that adds rows: of two at once one fails.
CREATE TABLE IF NOT EXISTS lake.consumer_cursor (position BIGINT, written BIGINT, moved_at TIMESTAMPTZ)

-- name: first_cursor
-- From the beginning.
INSERT INTO lake.consumer_cursor SELECT 0, 0, now() WHERE NOT EXISTS (FROM lake.consumer_cursor)

-- name: cursor
-- How far it is.
SELECT position, written, moved_at FROM lake.consumer_cursor

-- name: move
-- This far it is now.
UPDATE lake.consumer_cursor SET position = $position, written = written + $written, moved_at = now()

-- name: take
-- The rows of a batch of events. Growth is told by one event of a change: created, updated or deleted; what tells of the same
-- change besides (uploaded, moved, copied) has none.
INSERT INTO lake.filestore_activity BY NAME
WITH told AS (
    SELECT position, type, tenant, mount_id, created_at,
           json_transform(data, '{"observedAt": "TIMESTAMPTZ", "detectedAt": "TIMESTAMPTZ", "startedAt": "TIMESTAMPTZ",
               "nodeId": "BIGINT", "path": "VARCHAR", "movedFrom": "VARCHAR", "copiedFrom": "VARCHAR", "kind": "VARCHAR",
               "state": "VARCHAR", "previousState": "VARCHAR", "consistencyState": "VARCHAR", "version": "BIGINT",
               "sizeBytes": "BIGINT", "delta": {"sizeBytes": "BIGINT", "fileCount": "BIGINT"},
               "tree": {"size": "BIGINT", "files": "BIGINT"}, "contentHash": "VARCHAR", "journalId": "BIGINT", "command": "VARCHAR",
               "commandId": "VARCHAR", "status": "VARCHAR", "code": "VARCHAR", "principal": "VARCHAR", "idempotencyKey": "VARCHAR",
               "correlationId": "VARCHAR", "reason": "VARCHAR", "metadata": "JSON"}') AS e,
           type IN ('filestore.node.created', 'filestore.node.updated', 'filestore.node.deleted') AS changes,
           type = 'filestore.command.completed' AS ends
      FROM batch
)
SELECT position, coalesce(e.observedAt, e.detectedAt, created_at) AS observed_at, type AS event_type, tenant,
       mount_id AS backend_mount_id, e.nodeId AS node_id, e.path AS path,
       CASE WHEN NOT ends THEN coalesce(e.movedFrom, e.copiedFrom) END AS moved_from, e.kind AS kind, e.state AS state,
       e.previousState AS previous_state, coalesce(e.consistencyState, nullif(e.state, 'deleted')) AS consistency_state,
       e.version AS version, CASE WHEN e.kind = 'directory' THEN 0 ELSE e.sizeBytes END AS size_bytes,
       CASE WHEN changes THEN coalesce(e.delta.sizeBytes, 0) ELSE 0 END AS size_delta,
       CASE WHEN changes THEN coalesce(e.delta.fileCount, 0) ELSE 0 END AS file_delta,
       e.tree.size AS tree_bytes, e.tree.files AS tree_files, e.contentHash AS content_hash, e.journalId AS journal_id,
       e.command AS command, e.commandId AS command_id, e.status AS status, e.code AS code, e.principal AS principal,
       e.idempotencyKey AS idempotency_key, e.correlationId AS correlation_id,
       (epoch_us(e.observedAt) - epoch_us(e.startedAt)) / 1000.0 AS duration_ms, e.reason AS reconciliation_reason,
       CASE WHEN changes THEN e.metadata::VARCHAR END AS metadata_json
  FROM told

-- name: forget_journal
-- What the journal tells is about to be written anew.
DELETE FROM lake.filestore_activity WHERE journal_id IS NOT NULL

-- name: tenant
-- What a reader can see: the rows of its tenant.
CREATE OR REPLACE TEMP VIEW filestore_activity AS
SELECT * EXCLUDE (tenant) FROM lake.filestore_activity WHERE tenant = getvariable('tenant')

-- name: flush
-- Rows that the catalogue itself holds, because they came in small numbers, become files.
CALL ducklake_flush_inlined_data('lake')

-- name: merge
-- Small files become larger ones.
CALL ducklake_merge_adjacent_files('lake')

-- name: rewrite
-- Files of which much was deleted are written anew.
CALL ducklake_rewrite_data_files('lake')

-- name: expire
-- Former states that are old enough are forgotten.
CALL ducklake_expire_snapshots('lake', older_than => now() - to_seconds($seconds))

-- name: clean
-- Files that no state has are removed.
CALL ducklake_cleanup_old_files('lake', older_than => now() - to_seconds($seconds))

-- name: growth
-- Bytes and files at the end of each step, and what came in it. Of a path what moved in and out counts, too.
WITH shifts AS (
    SELECT observed_at,
           CASE WHEN $path IS NULL OR event_type <> 'filestore.node.moved' THEN size_delta
                ELSE coalesce(tree_bytes, size_bytes, 0)
                     * (filestore_below(path, $path)::INT - filestore_below(moved_from, $path)::INT)
           END AS bytes,
           CASE WHEN $path IS NULL OR event_type <> 'filestore.node.moved' THEN file_delta
                ELSE coalesce(tree_files, (kind <> 'directory')::INT, 0)
                     * (filestore_below(path, $path)::INT - filestore_below(moved_from, $path)::INT) END AS files
      FROM filestore_activity
     WHERE observed_at < $to::TIMESTAMPTZ AND ($mount IS NULL OR backend_mount_id = $mount)
       AND (size_delta <> 0 OR file_delta <> 0 OR $path IS NOT NULL AND event_type = 'filestore.node.moved')
       AND ($path IS NULL OR filestore_below(path, $path)
            OR event_type = 'filestore.node.moved' AND filestore_below(moved_from, $path))
), steps AS (
    SELECT greatest(time_bucket(to_seconds($step), observed_at, $from::TIMESTAMPTZ),
                    $from::TIMESTAMPTZ - to_seconds($step)) AS "at",
           sum(bytes) AS bytes, sum(files) AS files FROM shifts GROUP BY 1
), every AS (
    SELECT unnest(generate_series($from::TIMESTAMPTZ - to_seconds($step), $to::TIMESTAMPTZ - to_seconds(0.000001),
                                  to_seconds($step))) AS "at"
), summed AS (
    SELECT "at", coalesce(bytes, 0)::BIGINT AS "deltaBytes", coalesce(files, 0)::BIGINT AS "deltaFiles",
           sum(coalesce(bytes, 0)) OVER (ORDER BY "at")::BIGINT AS "sizeBytes",
           sum(coalesce(files, 0)) OVER (ORDER BY "at")::BIGINT AS "fileCount" FROM every LEFT JOIN steps USING ("at")
)
SELECT "at", "sizeBytes", "fileCount", "deltaBytes", "deltaFiles" FROM summed
 WHERE "at" >= $from::TIMESTAMPTZ ORDER BY "at" LIMIT $limit

-- name: churn
-- What appeared, changed, moved and went in each step.
SELECT time_bucket(to_seconds($step), observed_at, $from::TIMESTAMPTZ) AS "at",
       count(*) FILTER (event_type = 'filestore.node.created') AS created,
       count(*) FILTER (event_type = 'filestore.node.updated' AND command = 'uploadFile') AS overwritten,
       count(*) FILTER (event_type = 'filestore.node.moved') AS moved,
       count(*) FILTER (event_type = 'filestore.node.deleted') AS deleted,
       coalesce(sum(size_bytes) FILTER (event_type = 'filestore.node.uploaded'), 0)::BIGINT AS "bytesWritten",
       coalesce(-sum(size_delta) FILTER (event_type = 'filestore.node.deleted'), 0)::BIGINT AS "bytesDeleted"
  FROM filestore_activity
 WHERE observed_at >= $from::TIMESTAMPTZ AND observed_at < $to::TIMESTAMPTZ AND ($mount IS NULL OR backend_mount_id = $mount)
   AND ($path IS NULL OR filestore_below(path, $path)) AND event_type LIKE 'filestore.node.%'
 GROUP BY 1 ORDER BY 1 LIMIT $limit

-- name: hot
-- The directories in which most happened.
SELECT backend_mount_id AS "backendMountId", regexp_extract(path, '^(.*)/[^/]*$', 1) AS path, count(*) AS events,
       count(DISTINCT node_id) AS nodes, coalesce(sum(abs(size_delta)), 0)::BIGINT AS "bytesChanged",
       max(observed_at) AS "lastAt"
  FROM filestore_activity
 WHERE observed_at >= $from::TIMESTAMPTZ AND observed_at < $to::TIMESTAMPTZ AND ($mount IS NULL OR backend_mount_id = $mount)
   AND ($path IS NULL OR filestore_below(path, $path)) AND path IS NOT NULL
   AND event_type IN ('filestore.node.created', 'filestore.node.updated', 'filestore.node.deleted', 'filestore.node.downloaded',
                      'filestore.node.missing', 'filestore.node.reconciled')
 GROUP BY ALL ORDER BY events DESC, path LIMIT $limit

-- name: principals
-- Who did how much.
SELECT principal, count(*) AS commands, count(*) FILTER (status <> 'succeeded') AS failed, max(observed_at) AS "lastAt",
       count(DISTINCT command) AS kinds
  FROM filestore_activity
 WHERE event_type = 'filestore.command.completed' AND observed_at >= $from::TIMESTAMPTZ AND observed_at < $to::TIMESTAMPTZ
   AND ($mount IS NULL OR backend_mount_id = $mount) AND ($path IS NULL OR filestore_below(path, $path))
 GROUP BY principal ORDER BY commands DESC, principal LIMIT $limit

-- name: commands
-- Each kind of command: how many, how they ended, how long they took.
SELECT command, count(*) AS commands, count(*) FILTER (status <> 'succeeded') AS failed, avg(duration_ms) AS "meanMs",
       quantile_cont(duration_ms, 0.5) AS "p50Ms", quantile_cont(duration_ms, 0.95) AS "p95Ms",
       quantile_cont(duration_ms, 0.99) AS "p99Ms"
  FROM filestore_activity
 WHERE event_type = 'filestore.command.completed' AND observed_at >= $from::TIMESTAMPTZ AND observed_at < $to::TIMESTAMPTZ
   AND ($mount IS NULL OR backend_mount_id = $mount) AND ($path IS NULL OR filestore_below(path, $path))
 GROUP BY command ORDER BY commands DESC, command LIMIT $limit

-- name: failures
-- The share of commands that failed in each step, and the commonest code.
SELECT time_bucket(to_seconds($step), observed_at, $from::TIMESTAMPTZ) AS "at", count(*) AS commands,
       count(*) FILTER (status <> 'succeeded') AS failed, failed / commands AS rate,
       mode(code) FILTER (status <> 'succeeded') AS code
  FROM filestore_activity
 WHERE event_type = 'filestore.command.completed' AND observed_at >= $from::TIMESTAMPTZ AND observed_at < $to::TIMESTAMPTZ
   AND ($mount IS NULL OR backend_mount_id = $mount) AND ($path IS NULL OR filestore_below(path, $path))
 GROUP BY 1 ORDER BY 1 LIMIT $limit

-- name: lag
-- From when drift was noticed until its node was reconciled or found missing, by when it was noticed. `open`: not yet.
WITH noticed AS (
    SELECT node_id, backend_mount_id, path, observed_at,
           (SELECT min(r.observed_at) FROM filestore_activity r
             WHERE r.node_id = d.node_id AND r.observed_at >= d.observed_at
               AND r.event_type IN ('filestore.node.reconciled', 'filestore.node.missing')) AS ended
      FROM filestore_activity d
     WHERE event_type = 'filestore.drift.detected' AND observed_at >= $from::TIMESTAMPTZ AND observed_at < $to::TIMESTAMPTZ
       AND ($mount IS NULL OR backend_mount_id = $mount) AND ($path IS NULL OR filestore_below(path, $path))
)
SELECT time_bucket(to_seconds($step), observed_at, $from::TIMESTAMPTZ) AS "at", count(*) AS detected,
       count(*) FILTER (ended IS NULL) AS open,
       avg(epoch(ended - observed_at)) AS "meanSeconds", quantile_cont(epoch(ended - observed_at), 0.95) AS "p95Seconds",
       max(epoch(ended - observed_at)) AS "maxSeconds"
  FROM noticed GROUP BY 1 ORDER BY 1 LIMIT $limit

-- name: forecast
-- The straight line through what each mount held at the end of each step: bytes a day, and how well it fits.
WITH steps AS (
    SELECT backend_mount_id, time_bucket(to_seconds($step), greatest(observed_at, $from::TIMESTAMPTZ), $from::TIMESTAMPTZ) AS "at",
           sum(size_delta) AS bytes
      FROM filestore_activity
     WHERE observed_at < $to::TIMESTAMPTZ AND ($mount IS NULL OR backend_mount_id = $mount)
       AND ($path IS NULL OR filestore_below(path, $path)) AND size_delta <> 0
     GROUP BY ALL
), every AS (
    SELECT m.backend_mount_id, s."at" FROM (SELECT DISTINCT backend_mount_id FROM steps) m,
           (SELECT unnest(generate_series($from::TIMESTAMPTZ, $to::TIMESTAMPTZ - to_seconds(0.000001),
                                          to_seconds($step))) AS "at") s
), summed AS (
    SELECT backend_mount_id, "at", sum(coalesce(bytes, 0)) OVER (PARTITION BY backend_mount_id ORDER BY "at") AS bytes
      FROM every LEFT JOIN steps USING (backend_mount_id, "at")
)
SELECT backend_mount_id AS "backendMountId", max_by(bytes, "at")::BIGINT AS "sizeBytes",
       regr_slope(bytes, epoch("at")) * 86400 AS "bytesPerDay", regr_r2(bytes, epoch("at")) AS fit
  FROM summed GROUP BY 1 ORDER BY 1 LIMIT $limit

-- name: below
-- Whether a path is this one or below it.
CREATE OR REPLACE TEMP MACRO filestore_below(path, prefix) AS coalesce(path = prefix OR starts_with(path, prefix || '/'), false)
