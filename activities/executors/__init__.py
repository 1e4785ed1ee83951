"""Executors move bytes; `kinds` is the one list that knows which kind of mount has which."""
