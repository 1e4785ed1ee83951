"""Drift: what looks at a mount saw, how that is judged against the record, and what the mount's policy makes of it. Pure."""
