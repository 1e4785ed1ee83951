"""Whether a request may come in: its token, and what the token allows."""
