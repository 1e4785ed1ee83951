"""Notifications of buckets: reasons to look, sent by stores."""
