"""The executor for a directory of this host."""
