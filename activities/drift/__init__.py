"""Drift: looks at a mount, heals, and scrubs."""
