"""Mounts over HTTP."""
