"""The development stack, one job per file. In reading order:

run             the story of one stack, from taking its folder to the end of its last process
supervisor      keep processes running: notice deaths, name them, start again, end in order
process, part   how one process is started and ended; what a part of the stack is
infrastructure  the servers, ours or existing: postgres, redis, nats, s3, temporal
application     Filestore itself: migration, worker, API
temporal_program, temporal_build
                find Temporal, or build it once from source
folder, running, remembered, env_file, pids_file
                what lies in the stack's folder: who holds it, its ports and secrets, the files that others read
background, screen, status, logs, say
                what a person sees
"""
