"""The contract in dictionaries, for tests and for embedding. Nothing survives the process, so nothing needs a flush.

Its decisions are those of every executor (docs/command-protocol.md); `attempt.py` is the shortest place to read them.
"""
