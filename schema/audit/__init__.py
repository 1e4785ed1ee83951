"""The chain of seals over the journal: pure. A seal covers the entries after those of the seal before it, and that seal itself."""
