"""What the Metastore is told: whether it fits what its namespace asks for."""
