"""Workflows of projects: what becomes visible to others, and long work on tiers."""
