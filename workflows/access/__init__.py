"""Workflows of access: locks of objects, and approvals that wait for a person or for their time."""
