"""Commands on their way into lists, per mount. Knows nothing of HTTP."""
