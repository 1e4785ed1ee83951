"""The Timestore over HTTP: what happened, by time."""
