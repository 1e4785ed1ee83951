"""One file, one workflow. `run_commands` is the story of every mutation; `resume_commands` finishes what a crash left;
`sweep_mount` and `publish_events` run on schedules. `client` connects, `commands/start` starts lists, `queues` names
where they run."""
