"""Incidents: what went wrong, since when, what had changed before it, and how it ended."""
