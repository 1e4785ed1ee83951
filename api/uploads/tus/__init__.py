"""Resumable uploads: tus 1.0 at /v1/uploads (https://tus.io/protocols/resumable-upload). docs/http.md tells the same to clients.

routes.py      what each method does
protocol.py    the headers of the protocol, and its refusals
standing.py    what is remembered of an upload, and how it is told
chunks.py      bytes that come in: written, flushed, then acknowledged
completion.py  all of it is here: the same command as for any other upload
area.py        the files the bytes wait in
turns.py       one writer at a time
expiry.py      what nobody went on with
"""
