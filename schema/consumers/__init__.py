"""Consumers of the event feed."""
