"""Secrets that are stored: sealed by a key that the database does not have, or named by a reference."""
