"""Totals of directories: have them recomputed."""
