"""Share links: made, listed, revoked, and followed."""
