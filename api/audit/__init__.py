"""The chain of seals over the journal."""
