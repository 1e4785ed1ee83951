"""Events on their way out: `publish`."""
