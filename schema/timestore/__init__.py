"""The Timestore: what happened, kept for analysis."""
