"""Resumable uploads: tus 1.0 at /v1/uploads (https://tus.io/protocols/resumable-upload). docs/http.md tells the same to clients.

routes.py      what each method does; GET and DELETE, which every kind of upload has, are in `api.uploads.routes`
answers.py     the statuses and the version of the protocol
protocol.py    the headers of the protocol, and its refusals
announce.py    a new upload as its client describes it, and the headers of one
appending.py   one more chunk, and what follows from the last
chunks.py      bytes that come in: written, flushed, then acknowledged
completion.py  all of it is here: the same command as for any other upload
area.py        the files the bytes wait in
turns.py       one writer at a time
expiry.py      uploads that no client went on with
"""
