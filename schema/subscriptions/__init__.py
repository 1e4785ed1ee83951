"""Webhooks: subscriptions to the event feed, delivered in order to an address of the subscriber."""
