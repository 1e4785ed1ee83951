"""Freezes over HTTP."""
