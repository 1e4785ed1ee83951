"""Consumers of the event feed: each takes in a batch and moves its cursor in one transaction."""
