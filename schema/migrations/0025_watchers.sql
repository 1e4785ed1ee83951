-- How the watch of each local mount is: its process writes it every few seconds, other processes show it. Not worth a write-ahead
-- log: it is written anew at once.
CREATE UNLOGGED TABLE filestore.watchers (
    mount_id     bigint PRIMARY KEY,
    host_id      text NOT NULL,
    process      text NOT NULL,
    phase        text NOT NULL,
    cause        text NOT NULL,
    lag_seconds  double precision NOT NULL,
    directories  bigint NOT NULL,
    unwatched    bigint NOT NULL,
    events       bigint NOT NULL,
    lost         bigint NOT NULL,
    hints        bigint NOT NULL,
    own          bigint NOT NULL,
    since        timestamptz NOT NULL DEFAULT now(),
    seen_at      timestamptz NOT NULL DEFAULT now()
);
