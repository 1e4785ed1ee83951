"""How HTTP is spoken; none of our nouns."""
