-- How reads are carried out that may take long.

-- name: one_process
-- Until this transaction ends: no workers beside the process of this connection. A long read takes one processor, not all.
SET LOCAL max_parallel_workers_per_gather = 0
