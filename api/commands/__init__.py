"""Commands over HTTP: one request each, lists, and how they stand."""
