"""The HTTP front: authorise, parse, hand over, answer. docs/http.md tells the same to clients.

    POST   /v1/files                      uploads.py       a form, streamed into a stage, then a command
    POST   /v1/directories                directories.py   a command
    DELETE /v1/nodes                      nodes.py         a command
    GET    /v1/nodes, /v1/nodes/by-path, /v1/nodes/{id}, /v1/nodes/{id}/children          nodes.py
    GET    /v1/files/{id}/content, /v1/files/{id}/presign                                 content.py
    GET POST /v1/backend-mounts, GET PATCH /v1/backend-mounts/{id}                        mounts.py
    GET    /v1/journal                    journal.py
    GET    /v1/events/stream, /v1/events  events.py        feed.py reads for all of them, event_stream.py tells
    GET    /v1/commands/{id}              commands.py
    GET    /health /healthz /ready /readyz                                                health.py
    GET    /openapi.json /docs            openapi.py

Beside the routes: services.py is what they are given, front.py what they reach, auth.py who may, intake.py how a
request becomes a command, errors.py and responses.py how answers look.
"""
