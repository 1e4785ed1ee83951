"""What happens on a mount without us: hints to look, gathered and folded. Pure: the standard library alone."""
