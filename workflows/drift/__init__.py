"""Drift: looks because of hints, audits, reconciliations by hand."""
