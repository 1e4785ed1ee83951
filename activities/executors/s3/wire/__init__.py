"""Requests signed and sent here: the account, the line, the signature."""
