"""Nodes over HTTP: by id, by path, listed, and their versions."""
