"""The content of files, read."""
