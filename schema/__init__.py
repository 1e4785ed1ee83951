"""The nouns of the service, their SQL, and the functions that run it.

Read in this order: `paths` and `errors`, `nodes`, `commands` (what a mutation is, and whether it may go ahead),
`schema.sql` (the tables), `store/` (functions that take a connection), `check/` (what must always be true).
"""
