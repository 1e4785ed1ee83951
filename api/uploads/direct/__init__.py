"""Uploads straight to a bucket: a client gets a link, puts the content there itself, and has it made a file like any other.

routes.py      announce one, complete it
completion.py  the content is there: proven, then the same command as for any other upload

What is remembered of one is a row like that of a resumable upload, and is told alike: `api.uploads.remembered`.
"""
