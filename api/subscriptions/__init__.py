"""Webhooks: subscriptions to the event feed."""
