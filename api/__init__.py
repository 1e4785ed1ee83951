"""The HTTP front: authorise, parse, hand over, answer. docs/http.md tells the same to clients.

    POST   /v1/files                      uploads/form.py      a form, streamed into a stage, then a command
    PUT    /v1/files/by-path              uploads/put.py       the body is the file, the address says which
    POST   /v1/uploads, PATCH HEAD /v1/uploads/{id}                    uploads/tus/     resumable uploads
    GET DELETE POST /v1/uploads/{id}                                   uploads/routes.py  of every kind
    POST   /v1/uploads/presign, /v1/uploads/{id}/complete              uploads/direct/  uploads straight to a bucket
    POST   /v1/directories, /v1/nodes/move /copy /restore, DELETE /v1/nodes, PATCH /v1/nodes/{id}/metadata
                                          commands/routes.py   commands
    POST   /v1/commands                   commands/batch.py    many commands
    POST   /v1/commands/<name>, GET /v1/commands/{id}                  commands/run.py: any by its name, status.py
    GET    /v1/nodes, /v1/nodes/by-path, /v1/nodes/{id}, /v1/nodes/{id}/children      nodes/routes.py
    GET    /v1/nodes/{id}/snapshots       nodes/versions.py
    GET    /v1/files/{id}/content         files/content.py     recorded.py opens what is on record, stream.py sends it
    GET    /v1/files/{id}/presign         files/presign.py
    GET POST /v1/backend-mounts, GET PATCH /v1/backend-mounts/{id}     mounts/
    GET    /v1/journal                    journal/
    GET    /v1/events/stream, /v1/events  events/              feed.py reads for all of them, sse.py tells
    GET    /health /healthz /ready /readyz, /metrics                   observe/
    GET    /openapi.json                  http/openapi.py
    GET    /docs                          pages/docs.py

Beside the routes: services.py is what they are given and reach, submission.py a command on its way in, access/ which
requests may come in and how many at once, dispatch/ how commands become lists, http/ how HTTP is spoken.
"""
