"""What happened, as a stream or in pages."""
