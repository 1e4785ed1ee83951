"""The journal is sealed."""
