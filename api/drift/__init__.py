"""Drift over HTTP: reconciliations by hand, the policy of a mount, the inbox and its decisions."""
