"""The Metastore over HTTP: records of nodes, their search, and namespaces."""
