"""The HTTP front: authorise, parse, hand over, answer. docs/http.md tells the same to clients.

    POST   /v1/files                      uploads.py       a form, streamed into a stage, then a command
    PUT    /v1/files/by-path              writes.py        the body is the file, the address says which
    POST   /v1/uploads, PATCH HEAD GET DELETE /v1/uploads/{id}        tus/        resumable uploads
    POST   /v1/uploads/presign, /v1/uploads/{id}/complete             direct/     uploads straight to a bucket
    POST   /v1/directories                directories.py   a command
    DELETE /v1/nodes, POST /v1/nodes/move /copy /restore, PATCH /v1/nodes/{id}/metadata   mutations.py, commands
    POST   /v1/commands                   batches.py       many commands
    POST   /v1/commands/<name>            commands.py      any of them by its name
    GET    /v1/nodes, /v1/nodes/by-path, /v1/nodes/{id}, /v1/nodes/{id}/children          nodes.py
    GET    /v1/nodes/{id}/snapshots       snapshots.py
    GET    /v1/files/{id}/content         content.py       recorded.py opens what is on record, streamed.py sends it
    GET    /v1/files/{id}/presign         presign.py
    GET POST /v1/backend-mounts, GET PATCH /v1/backend-mounts/{id}                        mounts.py
    GET    /v1/journal                    journal.py
    GET    /v1/events/stream, /v1/events  events.py        feed.py reads for all of them, event_stream.py tells
    GET    /v1/commands/{id}              commands.py
    GET    /health /healthz /ready /readyz                                                health.py
    GET    /metrics                       metrics/
    GET    /openapi.json /docs            openapi.py

Beside the routes: services.py is what they are given, front.py what they reach, auth.py who may, intake.py what headers
say, incoming.py how bytes come in, kinds.py the table of commands and submissions.py how a body becomes one, errors.py and
responses.py how answers look.
"""
