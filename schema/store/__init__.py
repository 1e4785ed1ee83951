"""Functions that take a connection and run named queries. The transaction belongs to the caller; no client library is
imported here, so that workflows may import what imports this."""
