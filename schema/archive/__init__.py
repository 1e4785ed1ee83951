"""The journal outside of the database: segments that follow each other, each naming the one before by its SHA-256."""
