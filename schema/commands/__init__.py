"""Commands: what is asked, what is decided, what every step hands to the next."""
