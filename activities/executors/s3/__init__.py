"""The executor for a prefix of a bucket."""
